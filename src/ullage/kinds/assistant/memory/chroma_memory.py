"""A memory in a folder of Chroma's.

All of it lies in one SQLite file, whose commits are whole or not at all. Chroma would also write an index of
vectors beside it, in steps that a kill can tear (that user's notes can then not be opened any more), and with
whatever the process had in memory before. It is kept from doing so, and makes the index anew from the
database when a user's notes are first asked for. Where notes go, the others are written anew: Chroma keeps
what was deleted.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ullage.errors import BusyError, FormatError, InputError, UllageError
from ullage.kinds.assistant.memory.chroma import NEVER, Collection, check_chroma, opened
from ullage.kinds.assistant.memory.embedder import Embedder
from ullage.kinds.assistant.memory.erasure import Erased, look_for
from ullage.kinds.assistant.memory.memory import (
    Added,
    Found,
    Limits,
    Note,
    Query,
    check_note,
    check_words,
)
from ullage.kinds.assistant.memory.ranking import Weights, ranked
from ullage.kinds.assistant.memory.stored_embedder import settle_embedder
from ullage.kinds.assistant.memory.user_notes import UserNotes
from ullage.records.folder import RunFolder

if TYPE_CHECKING:
    pass

DATABASE: Final = "chroma.sqlite3"
UNSETTLED: Final = ".unsettled"
"""A file that is there from before notes go until no bytes of them are left in the database."""
INDEX: Final = frozenset(
    {"header.bin", "data_level0.bin", "length.bin", "link_lists.bin", "index_metadata.pickle"}
)
"""The files of an index."""
OWN, NEXT = "user-", "next-"
"""How the names of a user's collection begin: the one that holds, and the one being written to follow it."""


@contextmanager
def open_chroma(
    folder: Path, embedder: Embedder, limits: Limits | None = None, weights: Weights | None = None
) -> Iterator[ChromaMemory]:
    """The memory in `folder`, made where there is none; held for this process alone while it is open.

    Raises MissingExtraError without chromadb, BusyError while another process has it open, InputError where
    another embedder wrote it, FormatError where it is damaged.
    """
    check_chroma()
    folder = folder.absolute()
    try:
        folder.mkdir(0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot hold a memory: {error.strerror or error}") from error
    with _alone(folder):
        settle_embedder(folder, embedder)
        memory = ChromaMemory(folder, embedder, limits or Limits(), weights or Weights())
        try:
            yield memory
        finally:
            memory.close()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    lock = RunFolder(folder).lock()
    try:
        lock.__enter__()
    except BusyError as error:
        raise BusyError(
            f"{folder}: another process has this memory open; end it, or name another chroma_dir"
        ) from error
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


class ChromaMemory:
    """Invariant: of each user one collection, named by the hash of theirs, holds every note whose `add` has
    returned and that has not gone since. For one thread."""

    def __init__(self, folder: Path, embedder: Embedder, limits: Limits, weights: Weights) -> None:
        self._folder, self._embedder, self._limits, self._weights = folder, embedder, limits, weights
        self._held: dict[str, UserNotes] = {}
        self._names: set[str]
        with self._told():
            self._client = opened(folder)
            self._names = {collection.name for collection in self._client.list_collections()}
            self._recover()
            if (folder / UNSETTLED).exists():
                with self._settled():
                    pass

    def add(self, user: str, note: Note) -> Added:
        check_note(note, self._limits)
        with self._told():
            notes = self._of(user) or self._made(user)
            id = id_of(note.key)
            if id in notes.marks:
                notes.check_same(id, note)
                return Added(id, True, 0)
            notes.add(id, note, self._embedder.embed([note.text]))
            staying = notes.fitting(self._limits.notes)
            dropped = len(notes.marks) - len(staying)
            self._rewrite(user, notes, staying)
            return Added(id, False, dropped)

    def search(self, user: str, query: Query) -> list[Found]:
        for name, text in (("the query", query.text), *(("a tag", tag) for tag in query.tags)):
            check_words(name, text)
        with self._told():
            notes = self._of(user)
            if notes is None or query.count < 1:
                return []
            vector = self._embedder.ask([query.text])
            found = notes.nearest(vector, query)
            if query.tags:
                found |= notes.nearest(vector, query, query.tags)
        return ranked([*found.values()], query.tags, self._weights)[: query.count]

    def delete(self, user: str, ids: Sequence[str] | None = None) -> Erased:
        texts: list[str] = []
        vectors: list[bytes] = []
        with self._told():
            notes = self._of(user)
            if notes is not None:
                gone = {id for id in notes.marks if ids is None or id in ids}
                texts, vectors = notes.contents([*gone])
                self._rewrite(user, notes, [id for id in notes.marks if id not in gone])
            with self._settled() as kept:
                return look_for(self._folder, texts, vectors, kept)

    def count(self, user: str) -> int:
        with self._told():
            notes = self._of(user)
            return 0 if notes is None else len(notes.marks)

    def close(self) -> None:
        """Lets go of the database; nothing of notes that went is left in it then."""
        with self._told():
            if (self._folder / UNSETTLED).exists():
                with self._settled():
                    pass
            self._client.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raises FormatError for whatever Chroma cannot do, on one line; of its index nothing stays."""
        try:
            yield
            self._without_index()
        except UllageError:
            raise
        except Exception as error:
            told = " ".join(str(error).split()) or type(error).__name__
            raise FormatError(
                f"{self._folder}: chroma cannot go on with this memory: {told}; is its disk full, or was it "
                "changed? bring back a copy, or name another chroma_dir"
            ) from error

    def _of(self, user: str) -> UserNotes | None:
        """The user's notes; None of one who never had any, or has none left."""
        check_words("a user", user)
        name = name_of(user)
        if name not in self._held and OWN + name in self._names:
            self._held[name] = UserNotes(self._collection(OWN + name)).read()
        return self._held.get(name)

    def _made(self, user: str) -> UserNotes:
        name = name_of(user)
        self._held[name] = UserNotes(self._collection(OWN + name))
        self._names.add(OWN + name)
        return self._held[name]

    def _collection(self, name: str) -> Collection:
        wide = {"ef_search": max(self._limits.notes, 100), "ef_construction": 200, "space": "l2"}
        hnsw = wide | {"sync_threshold": NEVER, "batch_size": NEVER}
        return self._client.get_or_create_collection(
            name, embedding_function=None, configuration={"hnsw": hnsw}
        )

    def _rewrite(self, user: str, notes: UserNotes, kept: list[str]) -> None:
        """The user's notes become those of `kept`: all at once, whenever the process is killed."""
        if len(kept) == len(notes.marks):
            return
        (self._folder / UNSETTLED).touch()
        name = name_of(user)
        following = self._collection(NEXT + name) if kept else None
        if following is not None:
            notes.copy(kept, following, self._client.get_max_batch_size())
        self._client.delete_collection(OWN + name)
        self._names.discard(OWN + name)
        if following is not None:
            following.modify(name=OWN + name)
            self._names.add(OWN + name)
        del self._held[name]

    def _recover(self) -> None:
        """Ends or drops what a kill left half done."""
        for name in sorted(name for name in self._names if name.startswith(NEXT)):
            own = OWN + name.removeprefix(NEXT)
            if own in self._names:
                self._client.delete_collection(name)
            else:
                self._collection(name).modify(name=own)
                self._names.add(own)

    def _without_index(self) -> None:
        """Removes what Chroma wrote of its index: memory that was never filled, and so may hold any text."""
        for entry in self._folder.iterdir():
            if entry.is_dir() and _is_index(entry):
                shutil.rmtree(entry, ignore_errors=True)

    @contextmanager
    def _settled(self) -> Iterator[Iterator[str]]:
        """Leaves nothing in the database but what is remembered; inside, the texts of that, and no Chroma."""
        self._client.close()
        self._held.clear()
        self._without_index()
        database = sqlite3.connect(self._folder / DATABASE)
        try:
            for pragma in ("temp_store = memory", "secure_delete = on"):
                database.execute(f"PRAGMA {pragma}")
            database.execute("VACUUM")
            (self._folder / UNSETTLED).unlink(missing_ok=True)
            rows = database.execute("SELECT string_value FROM embedding_metadata WHERE key = 'text'")
            yield (str(text) for (text,) in rows)
        finally:
            database.close()
            self._client = opened(self._folder)


def id_of(key: str) -> str:
    """The id of a note: nothing of what its key says is in it."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def name_of(user: str) -> str:
    """What a user is called in the folder: nothing of their name is in it."""
    return hashlib.sha256(user.encode()).hexdigest()[:40]


def _is_index(folder: Path) -> bool:
    """Whether a folder is one of Chroma's indices, and nothing else."""
    try:
        return str(UUID(folder.name)) == folder.name and {one.name for one in folder.iterdir()} <= INDEX
    except (ValueError, OSError):
        return False
