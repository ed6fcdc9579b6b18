"""The part of Chroma that a memory uses, and its notes as Chroma has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, cast

from ullage.errors import MissingExtraError
from ullage.kinds.assistant.memory.memory import Found, Note

NEVER: Final = 10**9
"""Changes after which Chroma would write its index of vectors."""

Metadata = dict[str, str | float | int | list[str]]


class Got(Protocol):
    """What was asked for, by name: `ids`, `metadatas`, `embeddings`, `distances`."""

    def __getitem__(self, name: str, /) -> Sequence[object]: ...


class Collection(Protocol):
    """The notes of one user."""

    name: str

    def add(self, *, ids: list[str], embeddings: object, metadatas: list[Metadata]) -> None: ...
    def get(self, *, ids: list[str] | None = None, include: list[str]) -> Got: ...
    def query(
        self, *, query_embeddings: object, n_results: int, where: object, include: list[str]
    ) -> Got: ...
    def modify(self, *, name: str) -> None: ...


class Client(Protocol):
    """A folder of collections."""

    def get_or_create_collection(
        self, name: str, *, embedding_function: None, configuration: object
    ) -> Collection: ...
    def list_collections(self) -> Sequence[Collection]: ...
    def delete_collection(self, name: str) -> None: ...
    def get_max_batch_size(self) -> int: ...
    def close(self) -> None: ...


def check_chroma() -> None:
    """Raises MissingExtraError where chromadb is not installed."""
    from importlib.util import find_spec

    if find_spec("chromadb") is None:
        raise MissingExtraError("chromadb", "memory", "assistant.memory")


def opened(folder: Path) -> Client:
    """The database in `folder`, made where there is none; nothing is told to anybody."""
    import chromadb
    from chromadb.config import Settings

    return cast("Client", chromadb.PersistentClient(str(folder), Settings(anonymized_telemetry=False)))


def metadata_of(note: Note, number: int) -> Metadata:
    """A note as Chroma holds it beside its vector; `number` is its place among the user's."""
    made: Metadata = {
        "text": note.text,
        "significance": float(note.significance),
        "said": note.said,
        "number": number,
    }
    # Chroma takes no empty list.
    return made | {"tags": list(dict.fromkeys(note.tags))} if note.tags else made


def rows_of(got: Got) -> list[tuple[str, Metadata]]:
    """Ids and what is held of each."""
    both = zip(got["ids"], got["metadatas"], strict=True)
    return [(str(id), cast("Metadata", metadata)) for id, metadata in both]


def found_of(id: str, metadata: Metadata, similarity: float) -> Found:
    """A note that was found, not yet ranked."""
    tags = metadata.get("tags", [])
    return Found(
        id,
        str(metadata["text"]),
        tuple(tags) if isinstance(tags, list) else (),
        float(str(metadata["significance"])),
        str(metadata["said"]),
        similarity,
        0.0,
    )
