"""Rope scalings that a user asks for: a model's rotary positions stretched beyond those it was made with."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from ullage.errors import UnsupportedError
from ullage.facts.architecture import Architecture, Model
from ullage.facts.data_file import read_data

if TYPE_CHECKING:
    from ullage.facts.families.fields import Fields

KINDS: Final = ("dynamic", "linear", "llama3", "yarn")
"""longrope has a factor for each frequency, found by training: nobody can ask for it by a number."""
TEXT: Final = re.compile(
    r"(?P<kind>\w+):(?P<factor>\d{1,4}(\.\d{1,6})?)(:(?P<original>[1-9]\d{0,8}))?", re.ASCII
)
MOST: Final = 1024
"""The largest factor."""


class Rope(NamedTuple):
    """`KIND:FACTOR`, or `KIND:FACTOR:POSITIONS` where a model was trained on fewer positions than its config
    says (Qwen3: 40,960 there, 32,768 in training)."""

    kind: str
    factor: float
    original: int | None = None


def parse_rope(text: str) -> Rope:
    """The scaling that `text` asks for. Raises ValueError with what would be one."""
    found = TEXT.fullmatch(text)
    if found is None:
        raise ValueError(
            "is no rope scaling; write KIND:FACTOR, as yarn:4, or yarn:4:32768 with the positions"
        )
    kind, factor = found["kind"], float(found["factor"])
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no rope scaling that can be asked for: those are {', '.join(KINDS)}")
    if not 1 <= factor <= MOST:
        raise ValueError(f"the factor is from 1 to {MOST}, not {factor:g}")
    return Rope(kind, factor, int(found["original"]) if found["original"] else None)


@cache
def _types() -> Mapping[str, tuple[str, ...]]:
    """Kinds that transformers can do, by type of model."""
    table = read_data("rope_types.json")
    return dict.fromkeys(table["every"], KINDS) | {
        name: tuple(kinds) for name, kinds in table["some"].items()
    }


def own_scaling(fields: Fields, model_type: str) -> str:
    """The kind of scaling a config has itself, "" where none; `alibi` for positions of another nature."""
    if fields.raw("alibi"):
        return "alibi"
    given = fields.raw("rope_parameters", "rope_scaling")
    if isinstance(given, dict) and isinstance(given.get("full_attention"), dict):
        given = given["full_attention"]
    if isinstance(given, dict):
        kind = str(given.get("rope_type", given.get("type", "default")))
        return "" if kind in ("default", "mrope") else kind
    return str(read_data("rope_types.json")["own"].get(model_type, ""))


@lru_cache(maxsize=64)
def stretched(model: Model, text: str) -> Architecture:
    """`model` with the scaling `text` asks for: as many more positions.

    Raises UnsupportedError for a model that cannot have it, with why.
    """
    rope = parse_rope(text)
    if not isinstance(model, Architecture):
        raise UnsupportedError(f"{model.name}: rope: a diffusion pipeline's positions are not stretched")
    if why := _cannot(model, rope.kind):
        raise UnsupportedError(f"{model.name}: rope: {text}: {why}; leave rope out")
    positions = model.max_positions
    assert positions is not None
    most = math.floor((rope.original or positions) * rope.factor)
    rows = model.rotary_positions - positions + most
    return replace(model, max_positions=most, rotary_positions=rows, rope=rope.kind)


def _cannot(model: Architecture, kind: str) -> str:
    """Why a model cannot have a scaling of this kind, "" where it can."""
    can = _types().get(model.model_type, ())
    if not can:
        return f"transformers stretches no rotary positions of type {model.model_type!r}"
    if kind not in can:
        return f"transformers does not do {kind} for type {model.model_type!r}, but {', '.join(can)}"
    if model.rope:
        return f"its own positions are {model.rope}, which a second scaling would undo"
    if model.max_positions is None:
        return "its config does not say how many positions it has"
    return ""


def way_to(model: Architecture, tokens: int) -> str:
    """What to ask for where a model has too few positions for `tokens`, "" where nothing can be asked."""
    if model.max_positions is None or _cannot(model, "yarn"):
        return ""
    factor = math.ceil(tokens / model.max_positions)
    asked = f"rope: yarn:{factor} (--rope yarn:{factor})"
    return f", or stretch its positions, which its answers may suffer from: {asked}"
