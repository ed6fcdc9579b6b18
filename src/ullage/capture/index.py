"""The index that makes a finished store readable by others: index.json and examples.parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

from ullage.capture.entries import StoredBatches
from ullage.capture.keeping import OFFSETS, TOKENS
from ullage.errors import MissingExtraError
from ullage.records.atomic import sha256_of, write_with
from ullage.records.seal import write_sealed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


FOLDER: Final = "states"
INDEX: Final = "index.json"
ROWS: Final = "examples.parquet"


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


class Place(TypedDict):
    """Where one site's rows of a sequence are: rows [begin, end) in `file`, to be seen in `shape`."""

    site: str
    file: str
    begin: int
    end: int
    shape: list[int]


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
    folder: Path, stored: Sequence[StoredBatches], models: Mapping[str, str]
) -> dict[str, object]:
    """Writes both files for what the journal names; the index. `models` is what each role is.

    The index holds the SHA-256 of every file, and its own. The same entries give the same bytes.
    """
    roles = _roles(stored, models)
    order = [(role, stage) for role, held in roles.items() for stage in held["stages"]]
    rows = [row for each in stored for row in _rows(folder, each)]
    rows.sort(key=lambda row: (order.index((row["role"], row["stage"])), row["index"], row["part"]))
    _write_rows(folder / ROWS, rows)
    index: dict[str, object] = {
        "document": "states",
        "version": 1,
        "examples": len(rows),
        "tokens": sum(len(row["tokens"]) for row in rows),
        "roles": roles,
        "sites": {site: kept for held in reversed(roles.values()) for site, kept in held["sites"].items()},
        "files": [*_files(folder, stored), _file(folder / ROWS)],
    }
    write_sealed(folder / INDEX, index)
    return index


def _roles(stored: Sequence[StoredBatches], models: Mapping[str, str]) -> dict[str, RoleIndex]:
    """What was kept of each role, in the order of the journal."""
    roles: dict[str, RoleIndex] = {}
    for each in stored:
        sites: dict[str, SiteIndex] = {
            site: {"dtype": kept.dtype, "width": kept.width} for site, kept in each.sites.items()
        }
        for example in each.examples:
            held = roles.setdefault(example.role, {"model": models[example.role], "stages": [], "sites": {}})
            held["sites"] |= sites
            if example.stage not in held["stages"]:
                held["stages"].append(example.stage)
    return roles


def _files(folder: Path, stored: Sequence[StoredBatches]) -> list[FileIndex]:
    """The shards the journal names, or else every memory map."""
    shards: list[FileIndex] = [
        {"name": each.file, "bytes": each.bytes, "sha256": each.sha256}
        for each in stored
        if each.file is not None and each.bytes is not None
    ]
    return shards or [_file(path) for path in sorted(folder.glob("*.npy"))]


def _file(path: Path) -> FileIndex:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _write_rows(path: Path, rows: Sequence[SequenceRow]) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("pyarrow", "run", "writing examples.parquet") from error

    place = [
        ("site", pa.string()),
        ("file", pa.string()),
        ("begin", pa.int64()),
        ("end", pa.int64()),
        ("shape", pa.list_(pa.int64())),
    ]
    schema = pa.schema(
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
    table = pa.Table.from_pylist(rows, schema=schema)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # pyarrow takes a path for an address
            pq.write_table(table, file)

    write_with(path, write)


def _rows(folder: Path, stored: StoredBatches) -> Iterator[SequenceRow]:
    """One row of examples.parquet for each sequence of a journal entry."""
    tokens, offsets = _numbers(folder, stored)
    after = 0
    for example in stored.examples:
        begin = after if example.token_begin is None else example.token_begin
        after = begin + example.tokens
        pairs = offsets[begin:after]
        yield {
            "role": example.role,
            "stage": example.stage,
            "index": example.index,
            "part": example.part,
            "id": example.id,
            "text": example.text,
            "tokens": tokens[begin:after].tolist(),
            "offset_begin": pairs[:, 0].tolist(),
            "offset_end": pairs[:, 1].tolist(),
            "prompt_tokens": example.prompt_tokens,
            "states": [
                {
                    "site": site,
                    "file": stored.file or f"{site}.npy",
                    "begin": at[0],
                    "end": at[1],
                    "shape": at[2:],
                }
                for site, at in example.states.items()
            ],
        }


def _numbers(folder: Path, stored: StoredBatches) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Tokens (rows,) and offsets (rows, 2) of a shard, or of the whole run where there are no shards."""
    if stored.file is not None:
        from safetensors import safe_open

        with safe_open(folder / stored.file, "np") as shard:
            return shard.get_tensor(TOKENS), shard.get_tensor(OFFSETS)
    import numpy as np

    return (
        np.load(folder / f"{TOKENS}.npy", mmap_mode="r"),
        np.load(folder / f"{OFFSETS}.npy", mmap_mode="r"),
    )
