"""Activations that lmprobe collected, as a store and the labels of its dialogues.

A folder holds index/*.parquet, one row a prompt (text, label, num_tokens, shard_index, row_offset or
token_offset), whose schema says where tensors lie: tensors/hidden_layer000_shard000.safetensors, one layer of
some prompts each.
"""

from __future__ import annotations

import json
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


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where rows lie: `pattern` of a file by layer and shard, `key` of a tensor in it; whether every token
    has one."""

    folder: Path
    model: str
    layers: tuple[int, ...]
    pattern: str
    key: str
    tokens: bool

    def file(self, layer: int, shard: int) -> Path:
        """Raises FormatError for a name that leads out of the folder."""
        try:
            name = self.pattern.format(layer=layer, shard=shard)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise FormatError(f"{self.folder}: no pattern of file names: {self.pattern!r}") from error
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise FormatError(f"{self.folder}: {name!r} leads out of it")
        return path


def import_activations(folder: Path, out: Path, site: str) -> dict[str, object]:
    """Writes `out`/states and, where prompts have labels, `out`/labels.jsonl; the index of the states.

    Layer n becomes `site` with its number; n counts blocks, as their outputs. Raises FormatError for a folder
    of another layout.
    """
    from ullage.capture.index import write_index
    from ullage.capture.store import ShardStore

    layout, table = _opened(folder)
    if "{l}" not in site and len(layout.layers) > 1:
        raise InputError(
            f"{folder}: has {len(layout.layers)} layers; name their site with {{l}}: --site ...{{l}}..."
        )
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
    if hidden.values.get("last_token_shards"):
        raise FormatError(f"{folder}: keeps last tokens apart from the others, which is not known here")
    missing = [name for name in COLUMNS if name not in read.column_names]
    if missing:
        raise FormatError(f"{where}: it has no column {', '.join(missing)}")
    layers = tuple(each for each in hidden.array("layers") if isinstance(each, int))
    model = said.get("model", said.get("model_name", ""))
    layout = _Layout(
        folder,
        str(model.get("name", "") if isinstance(model, dict) else model),
        layers,
        hidden.text("file_pattern"),
        hidden.text("key_pattern"),
        hidden.text("storage") != "pooled",
    )
    return layout, read.to_pydict()


def _examples(layout: _Layout, table: Mapping[str, Sequence[Any]], site: str) -> Iterator[Example]:
    """One prompt after another; rows of a layer are read from its file where they lie."""
    from ullage.capture.store import Example

    place = "token_offset" if layout.tokens else "row_offset"
    if place not in table:
        raise FormatError(f"{layout.folder}: has no column {place}")
    for at, text in enumerate(table["text"]):
        count = int(table["num_tokens"][at] or 1) if layout.tokens else 1
        begin, shard = int(table[place][at]), int(table["shard_index"][at])
        states = {
            site.replace("{l}", str(layer)): _rows(layout, layer, shard, begin, count)
            for layer in layout.layers
        }
        yield (
            Example(at, str(at), None, (0,) * count, ((-1, -1),) * count, count, states, "model", "extract")
            if not isinstance(text, str)
            else Example(
                at, str(at), text, (0,) * count, ((0, len(text)),) * count, count, states, "model", "extract"
            )
        )


def _rows(layout: _Layout, layer: int, shard: int, begin: int, count: int) -> Tensor:
    from safetensors import SafetensorError, safe_open

    path = layout.file(layer, shard)
    try:
        with safe_open(path, "pt") as opened:
            found: Tensor = opened.get_slice(layout.key.format(layer=layer))[begin : begin + count]
    except (OSError, SafetensorError, KeyError, IndexError) as error:
        raise FormatError(f"{path}: cannot be read: {' '.join(str(error).split())[:200]}") from error
    if len(found) != count or found.ndim != 2:
        raise FormatError(f"{path}: has no rows {begin} to {begin + count} of layer {layer}")
    return found


def _label(value: object) -> object:
    """0 and 1 may have been written as texts."""
    return int(value) if isinstance(value, str) and value in ("0", "1") else value
