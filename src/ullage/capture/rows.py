"""The rows of examples.parquet, each made into Python's own objects when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast, overload

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from ullage.capture.index import SequenceRow

TOGETHER: Final = 1024
"""Rows that are Python's own objects at a time while all are gone through."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the rows of one site lie, one entry a sequence: number of its file in `files`, rows [begin, end)
    there, and which of the table's rows it is; each an array (sequences,)."""

    files: tuple[str, ...]
    file: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    row: NDArray[np.int64]

    def alike(self, other: Places) -> bool:
        """Whether it has as many rows of the same sequences."""
        import numpy as np

        counts, others = self.end - self.begin, other.end - other.begin
        return np.array_equal(self.row, other.row) and np.array_equal(counts, others)

    def as_stored(self) -> NDArray[np.int64]:
        """The order in which they lie in the files."""
        import numpy as np

        return np.lexsort((self.begin, self.file))

    def some(self, which: slice | NDArray[np.bool_] | NDArray[np.int64]) -> Places:
        """Those of some of the sequences, in that order."""
        return Places(self.files, *(each[which] for each in (self.file, self.begin, self.end, self.row)))


@dataclass(frozen=True, slots=True, eq=False)
class Rows(Sequence["SequenceRow"]):
    """A table as a sequence of rows."""

    table: pa.Table

    def __len__(self) -> int:
        rows: int = self.table.num_rows
        return rows

    @overload
    def __getitem__(self, index: int) -> SequenceRow: ...

    @overload
    def __getitem__(self, index: slice) -> Rows: ...

    def __getitem__(self, index: int | slice) -> SequenceRow | Rows:
        if isinstance(index, slice):
            return Rows(self.table.take(list(range(*index.indices(len(self))))))
        place = range(len(self))[index]
        return cast("SequenceRow", self.table.slice(place, 1).to_pylist()[0])

    def __iter__(self) -> Iterator[SequenceRow]:
        for batch in self.table.to_batches(max_chunksize=TOGETHER):
            yield from batch.to_pylist()

    def of(self, role: str, stage: str | None) -> Rows:
        """Those of a role, or of one of its stages."""
        import pyarrow.compute as pc

        kept = pc.equal(self.table["role"], role)
        return Rows(
            self.table.filter(kept if stage is None else pc.and_(kept, pc.equal(self.table["stage"], stage)))
        )

    def places(self, site: str) -> Places:
        """Where a site's rows are, in the order of the table."""
        import numpy as np
        import pyarrow.compute as pc

        kept, row = of_site(self.table, site)
        coded = pc.struct_field(kept, "file").combine_chunks().dictionary_encode()
        begin, end = (
            pc.struct_field(kept, name).to_numpy().astype(np.int64, copy=False) for name in ("begin", "end")
        )
        return Places(
            tuple(coded.dictionary.to_pylist()), coded.indices.to_numpy().astype(np.int64), begin, end, row
        )


def of_site(table: pa.Table, site: str) -> tuple[pa.ChunkedArray, NDArray[np.int64]]:
    """What a table says of a site's rows, one entry a sequence, and which of its rows each entry is of."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table["states"]
    parents, before = [], 0
    for chunk in column.chunks:
        parents.append(pc.list_parent_indices(chunk).to_numpy() + before)
        before += len(chunk)
    flat = pa.chunked_array([chunk.flatten() for chunk in column.chunks], type=column.type.value_type)
    row = np.concatenate(parents) if parents else np.zeros(0, np.int64)
    named = pc.equal(pc.struct_field(flat, "site"), site)
    return flat.filter(named), row[named.to_numpy().astype(bool)]
