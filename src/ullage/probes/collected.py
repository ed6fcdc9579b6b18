"""Activations that lmprobe collected, as a store and the labels of its dialogues.

A folder holds index/*.parquet, one row a prompt (text, label, num_tokens, shard_index, row_offset or
token_offset), whose schema says where tensors lie: tensors/hidden_layer000_shard000.safetensors, one layer of
some prompts each. Where last tokens lie apart from the others, token_shard_ids and token_shard_offsets say of
each token where it is.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ullage.errors import FormatError, InputError
from ullage.fields import Fields
from ullage.records.atomic import write_text

if TYPE_CHECKING:
    from torch import Tensor

    from ullage.capture.store import Example

SHARD_BYTES: Final = 64 * 2**20
META: Final = b"lmprobe:"
COLUMNS: Final = ("text", "label", "num_tokens", "shard_index", "row_offset")
OF_TOKENS: Final = ("token_shard_ids", "token_shard_offsets")
"""Columns of a layout that keeps last tokens apart."""
PLACE: Final = re.compile(r"\{(layer|shard)(?::0?(\d{1,2})d)?\}")
"""Of a pattern: a number, and how many digits it has at least."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where rows lie: `pattern` of a file by layer and shard, `key` of a tensor in it; whether every token
    has one, and those `apart` from the others that are last."""

    folder: Path
    model: str
    layers: tuple[int, ...]
    pattern: str
    key: str
    tokens: bool
    apart: bool = False

    def file(self, layer: int, shard: int) -> Path:
        """Raises FormatError for a name that leads out of the folder."""
        name = self.named(self.pattern, layer=layer, shard=shard)
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise FormatError(f"{self.folder}: {name!r} leads out of it")
        return path

    def named(self, pattern: str, **numbers: int) -> str:
        """A pattern with its numbers; nothing else that Python's formats can do. Raises FormatError."""
        if not set("{}").isdisjoint(PLACE.sub("", pattern)):
            raise FormatError(f"{self.folder}: no pattern of names by layer and shard: {pattern[:100]!r}")
        return PLACE.sub(lambda found: f"{numbers.get(found[1], 0):0{found[2] or 1}d}", pattern)


def import_activations(folder: Path, out: Path, site: str) -> dict[str, object]:
    """Writes `out`/states and, where prompts have labels, `out`/labels.jsonl; the index of the states.

    Layer n becomes `site` with its number; n counts blocks, as their outputs. Raises FormatError for a folder
    of another layout.
    """
    layout, table = _opened(folder)
    if "{l}" not in site and len(layout.layers) > 1:
        raise InputError(
            f"{folder}: has {len(layout.layers)} layers; name their site with {{l}}: --site ...{{l}}..."
        )
    try:
        return _written(layout, table, out, site)
    except BaseException:
        shutil.rmtree(out / "states", ignore_errors=True)  # a part of it looks like the whole
        raise


def _written(layout: _Layout, table: Mapping[str, Sequence[Any]], out: Path, site: str) -> dict[str, object]:
    from ullage.capture.index import write_index
    from ullage.capture.store import ShardStore

    out.mkdir(parents=True, exist_ok=True)
    store = ShardStore(out / "states", SHARD_BYTES, ())
    written, lines = [], []
    for at, example in enumerate(_examples(layout, table, site)):
        written += store.add(at, [example])
        label = table["label"][at]
        if label is not None:
            lines.append(json.dumps({"id": str(at), "text": example.text, "label": _label(label)}))
    written += store.finish()
    index = write_index(out / "states", lambda: iter(written), {"model": layout.model})
    if lines:
        write_text(out / "labels.jsonl", "".join(f"{line}\n" for line in lines))
    return {**index, "source": "lmprobe activations"}


def _opened(folder: Path) -> tuple[_Layout, Mapping[str, Sequence[Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted((folder / "index").glob("*.parquet"))
    if len(files) != 1:
        raise FormatError(f"{folder}: has no index/*.parquet; known are activations as lmprobe lays them out")
    try:
        with files[0].open("rb") as file:
            read = pq.read_table(file)
    except pa.ArrowInvalid as error:
        raise FormatError(f"{files[0]}: not Parquet: {error}") from error
    said: dict[str, object] = {}
    for name, value in (read.schema.metadata or {}).items():
        if name.startswith(META):
            try:
                said[name.removeprefix(META).decode()] = json.loads(value)
            except ValueError:
                said[name.removeprefix(META).decode()] = value.decode(errors="replace")
    where = f"{files[0]}: not lmprobe's"
    hidden = Fields(said, where).inner("tensors").inner("hidden_layers")
    tokens, apart = hidden.text("storage") != "pooled", bool(hidden.values.get("last_token_shards"))
    needed = (*COLUMNS, *(OF_TOKENS if tokens and apart else ("token_offset",) if tokens else ()))
    missing = [name for name in needed if name not in read.column_names]
    if missing:
        raise FormatError(f"{where}: it has no column {', '.join(missing)}")
    layers = tuple(each for each in hidden.array("layers") if isinstance(each, int))
    if not layers:
        raise FormatError(f"{where}: it names no layers")
    model = said.get("model", said.get("model_name", ""))
    layout = _Layout(
        folder,
        str(model.get("name", "") if isinstance(model, dict) else model),
        layers,
        hidden.text("file_pattern"),
        hidden.text("key_pattern"),
        tokens,
        apart and tokens,
    )
    return layout, read.to_pydict()


def _examples(layout: _Layout, table: Mapping[str, Sequence[Any]], site: str) -> Iterator[Example]:
    """One prompt after another; rows of a layer are read from its file where they lie."""
    from ullage.capture.store import Example

    for at, text in enumerate(table["text"]):
        runs = _runs(layout, table, at)
        count = sum(each for _, _, each in runs)
        states = {site.replace("{l}", str(layer)): _rows(layout, layer, runs) for layer in layout.layers}
        yield (
            Example(at, str(at), None, (0,) * count, ((-1, -1),) * count, count, states, "model", "extract")
            if not isinstance(text, str)
            else Example(
                at, str(at), text, (0,) * count, ((0, len(text)),) * count, count, states, "model", "extract"
            )
        )


def _runs(layout: _Layout, table: Mapping[str, Sequence[Any]], at: int) -> list[tuple[int, int, int]]:
    """Where the rows of a prompt lie, in their order: shard, first row and how many, time and again."""
    where = f"{layout.folder}: prompt {at}"
    count = _whole(table["num_tokens"][at], f"{where}: num_tokens") if layout.tokens else 1
    if not layout.apart:
        names = "shard_index", "token_offset" if layout.tokens else "row_offset"
        shard, begin = (_whole(table[name][at], f"{where}: {name}") for name in names)
        return [(shard, begin, count)]
    shards, rows = (
        [_whole(each, f"{where}: {name}") for each in table[name][at] or ()] for name in OF_TOKENS
    )
    if not count == len(shards) == len(rows) > 0:
        raise FormatError(f"{where}: says where {len(shards)} of {count} tokens lie")
    runs: list[tuple[int, int, int]] = []
    for shard, row in zip(shards, rows, strict=True):
        if runs and (runs[-1][0], runs[-1][1] + runs[-1][2]) == (shard, row):
            runs[-1] = shard, runs[-1][1], runs[-1][2] + 1
        else:
            runs.append((shard, row, 1))
    return runs


def _whole(value: object, what: str) -> int:
    if not isinstance(value, int) or value < 0:
        raise FormatError(f"{what} is {value!r}, no whole number")
    return value


def _rows(layout: _Layout, layer: int, runs: Sequence[tuple[int, int, int]]) -> Tensor:
    import torch

    parts = [_run(layout, layer, *each) for each in runs]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _run(layout: _Layout, layer: int, shard: int, begin: int, count: int) -> Tensor:
    from safetensors import SafetensorError, safe_open

    path = layout.file(layer, shard)
    try:
        with safe_open(path, "pt") as opened:
            found: Tensor = opened.get_slice(layout.named(layout.key, layer=layer))[begin : begin + count]
    except (OSError, SafetensorError, KeyError, IndexError) as error:
        raise FormatError(f"{path}: cannot be read: {' '.join(str(error).split())[:200]}") from error
    if len(found) != count or found.ndim != 2:
        raise FormatError(f"{path}: has no rows {begin} to {begin + count} of layer {layer}")
    return found


def _label(value: object) -> object:
    """0 and 1 may have been written as texts or with a fraction. Raises FormatError for what is no label."""
    if value in (0, 1, "0", "1"):
        return int(value)
    if not isinstance(value, str | int):
        raise FormatError(f"label: {value!r} is not 0 or 1")
    return value
