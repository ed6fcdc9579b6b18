"""The index that makes a finished store readable by others: index.json and examples.parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from ullage.capture.entries import StoredBatches
from ullage.capture.store import OFFSETS, TOKENS
from ullage.errors import FormatError, InputError, MissingExtraError, UnknownNameError
from ullage.records.atomic import sha256_of, write_json, write_with

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


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

    The same entries give the same bytes.
    """
    roles = _roles(stored, models)
    order = [(role, stage) for role, held in roles.items() for stage in held["stages"]]
    rows = [row for each in stored for row in _rows(folder, each)]
    rows.sort(key=lambda row: (order.index((row["role"], row["stage"])), row["index"], row["part"]))
    _write_rows(folder / "examples.parquet", rows)
    index: dict[str, object] = {
        "document": "states",
        "version": 1,
        "examples": len(rows),
        "tokens": sum(len(row["tokens"]) for row in rows),
        "roles": roles,
        "sites": {site: kept for held in reversed(roles.values()) for site, kept in held["sites"].items()},
        "files": _files(folder, stored),
    }
    write_json(folder / "index.json", index)
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
    return shards or [
        {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.glob("*.npy"))
    ]


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
    write_with(path, lambda temporary: pq.write_table(table, temporary))


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


@dataclass(frozen=True, slots=True)
class StoredStates:
    """A finished store. `store[i]` are the states of row i by site; `matrix(site)` all rows of one.

    `roles` says of each role its model, its stages and its sites; `of` narrows to one of them.
    """

    folder: Path
    roles: Mapping[str, RoleIndex]
    rows: Sequence[SequenceRow]

    @property
    def sites(self) -> dict[str, SiteIndex]:
        """dtype and width of every site, in the order of writing; of what roles share, the first one's."""
        kept = [held["sites"] for held in self.roles.values()]
        return {site: value for each in reversed(kept) for site, value in each.items()}

    def of(self, role: str, stage: str | None = None) -> StoredStates:
        """The rows of one role, or of one of its stages. Raises UnknownNameError."""
        if role not in self.roles:
            raise UnknownNameError("role", role, self.roles, f"this store has {', '.join(self.roles)}")
        stages = self.roles[role]["stages"]
        if stage is not None and stage not in stages:
            raise UnknownNameError("stage", stage, stages, f"role {role} has {', '.join(stages)}")
        rows = [row for row in self.rows if row["role"] == role and stage in (None, row["stage"])]
        return StoredStates(self.folder, {role: self.roles[role]}, rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Tensors of one record, in the shapes `capture.reduction` states."""
        return {place["site"]: self._tensor(place) for place in self.rows[index]["states"]}

    def matrix(self, site: str) -> Tensor:
        """(rows, *width): the states of every row, one below the other. Raises InputError where several roles
        have this site."""
        import torch

        if site not in self.sites:
            raise UnknownNameError("site", site, self.sites, f"this store has {', '.join(self.sites)}")
        having = [role for role, held in self.roles.items() if site in held["sites"]]
        if len(having) > 1:
            raise InputError(
                f"{site}: is kept of {' and '.join(having)}; choose one, as store.of({having[0]!r})"
            )
        parts = [self._tensor(p) for row in self.rows for p in row["states"] if p["site"] == site]
        return torch.cat([part.reshape(-1) if part.dim() == 1 else part for part in parts])

    def _tensor(self, place: Place) -> Tensor:
        import torch

        path = self.folder / place["file"]
        if path.suffix == ".npy":
            import numpy as np

            held = np.load(path, mmap_mode="r")[place["begin"] : place["end"]]
            return torch.from_numpy(held.copy()).reshape(place["shape"])
        from safetensors import safe_open

        with safe_open(path, "pt") as shard:
            found: Tensor = shard.get_slice(place["site"])[place["begin"] : place["end"]]
        return found.reshape(place["shape"])


def open_states(folder: Path | str) -> StoredStates:
    """The states of a finished run: its folder, or the `states` folder in it.

    Raises InputError where there are none, FormatError where they are of another version.
    """
    import json

    import pyarrow.parquet as pq

    path = Path(folder)
    path = path / "states" if (path / "states").is_dir() else path
    try:
        index = json.loads((path / "index.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{folder}: no finished states here; a run writes them at its end") from error
    except (OSError, ValueError) as error:
        raise FormatError(f"{path / 'index.json'}: cannot be read: {error}") from error
    if index.get("document") != "states" or index.get("version") != 1:
        raise FormatError(f"{path / 'index.json'}: not the index of stored states, or of a later version")
    return StoredStates(path, index["roles"], pq.read_table(path / "examples.parquet").to_pylist())
