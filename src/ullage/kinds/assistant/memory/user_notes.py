"""One user's notes in Chroma."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, cast

from ullage.errors import InputError
from ullage.kinds.assistant.memory.chroma import Collection, Metadata, found_of, metadata_of, rows_of
from ullage.kinds.assistant.memory.memory import Found, Note, Query

if TYPE_CHECKING:
    from ullage.kinds.assistant.memory.embedder import Vectors

NEAREST: Final = 8
"""Notes that are ranked, for each that is asked for."""


@dataclass(slots=True)
class UserNotes:
    """Invariant: `marks` are the significance and the number of each note in `collection`; numbers grow."""

    collection: Collection
    marks: dict[str, tuple[float, int]] = field(default_factory=dict)

    def read(self) -> UserNotes:
        """Itself, knowing what is there."""
        for id, metadata in rows_of(self.collection.get(include=["metadatas"])):
            self.marks[id] = (float(str(metadata["significance"])), int(str(metadata["number"])))
        return self

    @property
    def newest(self) -> int:
        """The number of the note that was added last."""
        return max((number for _, number in self.marks.values()), default=0)

    def add(self, id: str, note: Note, vectors: Vectors) -> None:
        """Adds a note, whose vector is the only row of `vectors`."""
        number = self.newest + 1
        self.collection.add(ids=[id], embeddings=vectors, metadatas=[metadata_of(note, number)])
        self.marks[id] = (note.significance, number)

    def check_same(self, id: str, note: Note) -> None:
        """Raises InputError where the note that is there has another text."""
        ((_, metadata),) = rows_of(self.collection.get(ids=[id], include=["metadatas"]))
        if metadata["text"] != note.text:
            raise InputError(f"memory: a note with key {note.key!r} says something else; delete it first")

    def nearest(self, vector: Vectors, query: Query, tags: Iterable[str] = ()) -> dict[str, Found]:
        """The notes nearest to the only row of `vector`, of those with any of `tags` where some are given."""
        bearing = [{"tags": {"$contains": tag}} for tag in dict.fromkeys(tags)]
        but = query.but in self.marks
        most = min(max(NEAREST * query.count, 32), len(self.marks) - but)
        if not most:
            return {}
        got = self.collection.query(
            query_embeddings=vector,
            n_results=most + but,
            where={"$or": bearing} if len(bearing) > 1 else next(iter(bearing), None),
            include=["metadatas", "distances"],
        )
        ids, metadatas, distances = (
            cast("Sequence[Sequence[object]]", got[name])[0] for name in ("ids", "metadatas", "distances")
        )
        found = {}
        for id, metadata, distance in zip(ids, metadatas, distances, strict=True):
            # Of vectors of length 1 the squared distance is 2 - 2 * cosine.
            similarity = 1 - float(str(distance)) / 2
            found[str(id)] = found_of(str(id), cast("Metadata", metadata), similarity)
        found.pop(query.but, None)
        return dict(islice(found.items(), most))

    def contents(self, ids: list[str]) -> tuple[list[str], list[bytes]]:
        """The texts of notes, and their vectors as files have them."""
        import numpy as np

        if not ids:
            return [], []
        got = self.collection.get(ids=ids, include=["metadatas", "embeddings"])
        vectors = np.asarray(got["embeddings"], "<f4")
        return [str(metadata["text"]) for _, metadata in rows_of(got)], [row.tobytes() for row in vectors]

    def copy(self, ids: Sequence[str], into: Collection, most: int) -> None:
        """Writes notes into another collection, at most so many at once."""
        import numpy as np

        for at in range(0, len(ids), most):
            got = self.collection.get(ids=[*ids[at : at + most]], include=["metadatas", "embeddings"])
            rows = rows_of(got)
            into.add(
                ids=[id for id, _ in rows],
                embeddings=np.asarray(got["embeddings"], np.float32),
                metadatas=[metadata for _, metadata in rows],
            )

    def fitting(self, limit: int) -> list[str]:
        """The notes that stay where there are more than `limit`; all, where there are not.

        Those of least significance go, the oldest of them first, and a tenth of the limit more than has to;
        never the newest.
        """
        over = len(self.marks) - limit
        if over <= 0:
            return [*self.marks]
        newest = self.newest
        order = sorted(self.marks, key=lambda id: (self.marks[id][1] == newest, *self.marks[id]))
        return order[min(over + limit // 10, len(order) - 1) :]
