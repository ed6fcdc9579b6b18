"""The index that makes a finished store readable by others: index.json and examples.parquet."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from typing_extensions import TypedDict

from ullage.capture.entries import StoredBatches, StoredSequence
from ullage.capture.keeping import OFFSETS, TOKENS
from ullage.documents import document
from ullage.errors import MissingExtraError
from ullage.records.atomic import sha256_of, write_with
from ullage.records.seal import write_sealed

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

FOLDER: Final = "states"
INDEX: Final = "index.json"
ROWS: Final = "examples.parquet"
CONVERTED: Final = 1024
"""Rows that are Python's own objects at a time, on their way into the table."""
GROUP_ROWS: Final = 8 * CONVERTED
GROUP_BYTES: Final = 32 * 2**20
"""Of a row group of the table, which is closed when it has so many rows, or takes so much memory."""
Order = tuple[int, int, int, int]
"""Where a row comes: number of its role and of its stage, index, part."""


class SiteIndex(TypedDict):
    """How a site's rows are stored."""

    dtype: str
    width: list[int]


class RoleIndex(TypedDict):
    """What is stored of one role."""

    model: str
    stages: list[str]
    sites: dict[str, SiteIndex]


class FileIndex(TypedDict):
    """One file with states."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StatesDocument:
    """Everything in a folder of states: how much, of which roles, every role's sites, and the files."""

    examples: int
    tokens: int
    roles: Mapping[str, RoleIndex]
    sites: Mapping[str, SiteIndex]
    files: tuple[FileIndex, ...]


class Place(TypedDict):
    """A site's rows [begin, end) in `file`, seen in `shape`; of which `positions` (None: all, last, mean)."""

    site: str
    file: str
    begin: int
    end: int
    shape: list[int]
    positions: list[int] | None


class SequenceRow(TypedDict):
    """One row of examples.parquet."""

    role: str
    stage: str
    index: int
    part: int
    id: str
    text: str | None
    tokens: list[int]
    offset_begin: list[int]
    offset_end: list[int]
    prompt_tokens: int
    states: list[Place]


def write_index(
    folder: Path, stored: Callable[[], Iterable[StoredBatches]], models: Mapping[str, str]
) -> dict[str, object]:
    """Writes both files for what the journal names; the index. `models` is what each role is.

    `stored` reads that from its beginning, each time it is called: no more than the rows that wait for their
    turn are held. The index holds the SHA-256 of every file, and its own. The same entries give the same
    bytes.
    """
    contents = _Contents(models)
    for each in stored():
        contents.add(each)
    examples, tokens = _write_rows(folder, contents.in_order(folder, stored()))
    roles = contents.roles
    sites = {site: kept for held in reversed(roles.values()) for site, kept in held["sites"].items()}
    files = (*(contents.shards or _maps(folder)), _file(folder / ROWS))
    index = document("states", StatesDocument, StatesDocument(examples, tokens, roles, sites, files))
    write_sealed(folder / INDEX, index)
    return index


class _Contents:
    """What all entries of a journal name together.

    `first` has, for each entry, the first place in the index that its rows take: those of the entries from
    there on come no earlier, so rows need only wait until then.
    """

    def __init__(self, models: Mapping[str, str]) -> None:
        self._models = models
        self.roles: dict[str, RoleIndex] = {}
        self.shards: list[FileIndex] = []
        self._first = array("Q")
        self._numbers: dict[str, dict[str, int]] = {}

    def add(self, each: StoredBatches) -> None:
        """What was kept of each role, in the order of the journal."""
        sites: dict[str, SiteIndex] = {
            site: {"dtype": kept.dtype, "width": kept.width} for site, kept in each.sites.items()
        }
        first = 2**64 - 1
        for example in each.examples:
            begun: RoleIndex = {"model": self._models[example.role], "stages": [], "sites": {}}
            held = self.roles.setdefault(example.role, begun)
            held["sites"] |= sites
            if example.stage not in held["stages"]:
                held["stages"].append(example.stage)
            first = min(first, _bound(self._place(example)))
        self._first.append(first)
        if each.file is not None and each.bytes is not None:
            self.shards.append({"name": each.file, "bytes": each.bytes, "sha256": each.sha256})

    def in_order(self, folder: Path, stored: Iterable[StoredBatches]) -> Iterator[SequenceRow]:
        """The rows of the same entries: by role and stage in the journal's order, then by index and part."""
        later = array("Q", accumulate(reversed(self._first), min))
        later.reverse()
        waiting: list[tuple[Order, int, _Waiting]] = []
        count = 0
        for number, each in enumerate(stored, 1):
            for one in _waiting(folder, each):
                count += 1
                heappush(waiting, (self._place(one.example), count, one))
            while waiting and (number == len(later) or _bound(waiting[0][0]) < later[number]):
                yield heappop(waiting)[2].row()

    def _place(self, example: StoredSequence) -> Order:
        held = self._numbers.setdefault(example.role, {})
        stage = held.setdefault(example.stage, len(held))
        return list(self._numbers).index(example.role), stage, example.index, example.part


def _bound(place: Order) -> int:
    """A number that is no larger for a place that comes no later."""
    role, stage, index, part = place
    return role << 56 | stage << 48 | min(index, 2**32 - 1) << 16 | min(part, 2**16 - 1)


def _maps(folder: Path) -> list[FileIndex]:
    """Every memory map, where there are no shards."""
    return [_file(path) for path in sorted(folder.glob("*.npy"))]


def _file(path: Path) -> FileIndex:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _write_rows(folder: Path, rows: Iterator[SequenceRow]) -> tuple[int, int]:
    """Writes examples.parquet; how many rows and tokens are in it. One row group is held at a time."""
    check_writable()
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    examples = tokens = 0

    def write(temporary: Path) -> None:
        nonlocal examples, tokens
        with temporary.open("wb") as file, pq.ParquetWriter(file, schema) as written:
            group: list[pa.RecordBatch] = []
            while some := list(islice(rows, CONVERTED)):
                examples += len(some)
                tokens += sum(len(row["tokens"]) for row in some)
                group.append(pa.RecordBatch.from_pylist(some, schema=schema))
                full = len(group) * CONVERTED >= GROUP_ROWS or sum(b.nbytes for b in group) >= GROUP_BYTES
                if full:
                    written.write_table(pa.Table.from_batches(group).combine_chunks())
                    group = []
            if group or not examples:
                written.write_table(pa.Table.from_batches(group, schema).combine_chunks())

    write_with(folder / ROWS, write)  # a file, as pyarrow takes a path for an address
    return examples, tokens


def check_writable() -> None:
    """Raises MissingExtraError where examples.parquet could not be written: best asked before the work."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("pyarrow", "run", "writing examples.parquet") from error


def _schema() -> pa.Schema:
    import pyarrow as pa

    place = [
        ("site", pa.string()),
        ("file", pa.string()),
        ("begin", pa.int64()),
        ("end", pa.int64()),
        ("shape", pa.list_(pa.int64())),
        ("positions", pa.list_(pa.int32())),
    ]
    return pa.schema(
        [
            ("role", pa.string()),
            ("stage", pa.string()),
            ("index", pa.int64()),
            ("part", pa.int64()),
            ("id", pa.string()),
            ("text", pa.string()),
            ("tokens", pa.list_(pa.int32())),
            ("offset_begin", pa.list_(pa.int32())),
            ("offset_end", pa.list_(pa.int32())),
            ("prompt_tokens", pa.int32()),
            ("states", pa.list_(pa.struct(place))),
        ]
    )


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A sequence of a journal entry whose row's turn has not come: tokens (n,), offsets (n, 2)."""

    example: StoredSequence
    file: str | None
    tokens: NDArray[np.int32]
    offsets: NDArray[np.int32]

    def row(self) -> SequenceRow:
        """Its row of examples.parquet."""
        example = self.example
        return {
            "role": example.role,
            "stage": example.stage,
            "index": example.index,
            "part": example.part,
            "id": example.id,
            "text": example.text,
            "tokens": self.tokens.tolist(),
            "offset_begin": self.offsets[:, 0].tolist(),
            "offset_end": self.offsets[:, 1].tolist(),
            "prompt_tokens": example.prompt_tokens,
            "states": [
                {
                    "site": site,
                    "file": self.file or f"{site}.npy",
                    "begin": at[0],
                    "end": at[1],
                    "shape": at[2:],
                    "positions": example.positions_of(site),
                }
                for site, at in example.states.items()
            ],
        }


def _waiting(folder: Path, stored: StoredBatches) -> Iterator[_Waiting]:
    """Every sequence of a journal entry."""
    tokens, offsets = _numbers(folder, stored)
    after = 0
    for example in stored.examples:
        begin = after if example.token_begin is None else example.token_begin
        after = begin + example.tokens
        yield _Waiting(example, stored.file, tokens[begin:after], offsets[begin:after])


def _numbers(folder: Path, stored: StoredBatches) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Tokens (rows,) and offsets (rows, 2) of a shard, or of the whole run where there are no shards."""
    if stored.file is not None:
        from safetensors import safe_open

        with safe_open(folder / stored.file, "np") as shard:
            return shard.get_tensor(TOKENS), shard.get_tensor(OFFSETS)
    import numpy as np

    tokens, offsets = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in (TOKENS, OFFSETS))
    return tokens, offsets
