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


def write_index(
    folder: Path, entries: Sequence[Mapping[str, Any]], models: Mapping[str, str]
) -> dict[str, Any]:
    """Writes both files for the journal's entries; the index. `models` is what each role is.

    The same entries give the same bytes.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("pyarrow", "run", "writing examples.parquet") from error

    roles = _roles(entries, models)
    files = []
    rows = []
    for entry in entries:
        if "file" in entry:
            files.append({"name": entry["file"], "bytes": entry["bytes"], "sha256": entry["sha256"]})
        rows += list(_rows(folder, entry))
    if not any("file" in entry for entry in entries):
        for path in sorted(folder.glob("*.npy")):
            files.append({"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)})
    order = [(role, stage) for role, held in roles.items() for stage in held["stages"]]
    rows.sort(key=lambda row: (order.index((row["role"], row["stage"])), row["index"], row["part"]))
    table = pa.Table.from_pylist(rows, schema=_schema())
    write_with(folder / "examples.parquet", lambda path: pq.write_table(table, path))
    index = {
        "document": "states",
        "version": 1,
        "examples": len(rows),
        "tokens": sum(len(row["tokens"]) for row in rows),
        "roles": roles,
        "sites": {site: kept for held in reversed(roles.values()) for site, kept in held["sites"].items()},
        "files": files,
    }
    write_json(folder / "index.json", index)
    return index


def _roles(entries: Sequence[Mapping[str, Any]], models: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Each role's model, stages and sites, in the order of writing."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        for example in entry["examples"]:
            role = example["role"]
            held = found.setdefault(role, {"model": models[role], "stages": [], "sites": {}})
            held["sites"] |= entry["sites"]
            if example["stage"] not in held["stages"]:
                held["stages"].append(example["stage"])
    return found


def _schema() -> Any:
    """Columns of examples.parquet."""
    import pyarrow as pa

    place = [("site", pa.string()), ("file", pa.string()), ("begin", pa.int64()), ("end", pa.int64())]
    states = pa.struct([*place, ("shape", pa.list_(pa.int64()))])
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
            ("states", pa.list_(states)),
        ]
    )


def _rows(folder: Path, entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One row of examples.parquet for each record of a journal entry."""
    tokens, offsets = _aligned(folder, entry)
    begin = 0
    for example in entry["examples"]:
        end = begin + example["tokens"]
        mine, pairs = tokens(example, begin, end), offsets(example, begin, end)
        begin = end
        yield {
            **{name: example[name] for name in ("role", "stage", "index", "part", "id", "text")},
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
    """A finished store. `store[i]` are the states of row i by site; `matrix(site)` all rows of one.

    `roles` says of each role its model, its stages and its sites; `of` narrows to one of them.
    """

    folder: Path
    roles: Mapping[str, Mapping[str, Any]]
    rows: Sequence[Mapping[str, Any]]

    @property
    def sites(self) -> dict[str, Mapping[str, Any]]:
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
    return StoredStates(path, index["roles"], pq.read_table(path / "examples.parquet").to_pylist())
