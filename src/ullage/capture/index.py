"""The index that makes a finished store readable by others: index.json and examples.parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ullage.capture.store import OFFSETS, TOKENS
from ullage.errors import FormatError, InputError, MissingExtraError, UnknownNameError
from ullage.records.atomic import sha256_of, write_json, write_with

if TYPE_CHECKING:
    from torch import Tensor


def write_index(folder: Path, entries: Sequence[Mapping[str, Any]], model: str) -> dict[str, Any]:
    """Writes both files for the journal's entries; the index.

    The same entries give the same bytes.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("pyarrow", "run", "writing examples.parquet") from error

    sites: dict[str, Any] = {}
    files = []
    rows = []
    for entry in entries:
        sites.update(entry["sites"])
        if "file" in entry:
            files.append({"name": entry["file"], "bytes": entry["bytes"], "sha256": entry["sha256"]})
        rows += list(_rows(folder, entry))
    if not any("file" in entry for entry in entries):
        for path in sorted(folder.glob("*.npy")):
            files.append({"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)})
    rows.sort(key=lambda row: row["index"])
    place = pa.struct(
        [
            ("site", pa.string()),
            ("file", pa.string()),
            ("begin", pa.int64()),
            ("end", pa.int64()),
            ("shape", pa.list_(pa.int64())),
        ]
    )
    schema = pa.schema(
        [
            ("index", pa.int64()),
            ("id", pa.string()),
            ("text", pa.string()),
            ("tokens", pa.list_(pa.int32())),
            ("offset_begin", pa.list_(pa.int32())),
            ("offset_end", pa.list_(pa.int32())),
            ("prompt_tokens", pa.int32()),
            ("states", pa.list_(place)),
        ]
    )
    table = pa.Table.from_pylist(rows, schema=schema)
    write_with(folder / "examples.parquet", lambda path: pq.write_table(table, path))
    index = {
        "document": "states",
        "version": 1,
        "model": model,
        "examples": len(rows),
        "tokens": sum(len(row["tokens"]) for row in rows),
        "sites": sites,
        "files": files,
    }
    write_json(folder / "index.json", index)
    return index


def _rows(folder: Path, entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One row of examples.parquet for each record of a journal entry."""
    tokens, offsets = _aligned(folder, entry)
    begin = 0
    for example in entry["examples"]:
        end = begin + example["tokens"]
        mine, pairs = tokens(example, begin, end), offsets(example, begin, end)
        begin = end
        yield {
            "index": example["index"],
            "id": example["id"],
            "text": example["text"],
            "tokens": mine.tolist(),
            "offset_begin": pairs[:, 0].tolist(),
            "offset_end": pairs[:, 1].tolist(),
            "prompt_tokens": example["prompt_tokens"],
            "states": [
                {
                    "site": site,
                    "file": entry.get("file", f"{site}.npy"),
                    "begin": at[0],
                    "end": at[1],
                    "shape": at[2:],
                }
                for site, at in example["states"].items()
            ],
        }


def _aligned(folder: Path, entry: Mapping[str, Any]) -> tuple[Any, Any]:
    """Functions that give an example's tokens and offsets."""
    if "file" in entry:
        from safetensors import safe_open

        with safe_open(folder / entry["file"], "np") as shard:
            tokens, offsets = shard.get_tensor(TOKENS), shard.get_tensor(OFFSETS)
        return lambda _e, begin, end: tokens[begin:end], lambda _e, begin, end: offsets[begin:end]
    import numpy as np

    tokens = np.load(folder / f"{TOKENS}.npy", mmap_mode="r")
    offsets = np.load(folder / f"{OFFSETS}.npy", mmap_mode="r")
    return (
        lambda e, _begin, _end: tokens[e["token_begin"] :][: e["tokens"]],
        lambda e, _begin, _end: offsets[e["token_begin"] :][: e["tokens"]],
    )


@dataclass(frozen=True, slots=True)
class StoredStates:
    """A finished store. `store[i]` are the states of record i by site; `matrix(site)` all rows of one."""

    folder: Path
    sites: Mapping[str, Mapping[str, Any]]
    rows: Sequence[Mapping[str, Any]]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Tensors of one record, in the shapes `capture.reduction` states."""
        return {place["site"]: self._tensor(place) for place in self.rows[index]["states"]}

    def matrix(self, site: str) -> Tensor:
        """(rows, *width): the states of every record, in input order, one below the other."""
        import torch

        if site not in self.sites:
            raise UnknownNameError("site", site, self.sites, f"this store has {', '.join(self.sites)}")
        parts = [self._tensor(p) for row in self.rows for p in row["states"] if p["site"] == site]
        return torch.cat([part.reshape(-1) if part.dim() == 1 else part for part in parts])

    def _tensor(self, place: Mapping[str, Any]) -> Tensor:
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
    return StoredStates(path, index["sites"], pq.read_table(path / "examples.parquet").to_pylist())
