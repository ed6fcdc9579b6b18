"""Which layers recur, by each family's rule."""

from __future__ import annotations

from ullage.facts.families.family import KindsRule, LayerKind
from ullage.facts.families.fields import Fields


def _all(kind: LayerKind, depth: int) -> tuple[LayerKind, ...]:
    return (kind,) * depth


def recurrent(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
    """No attention at all."""
    return _all("linear", depth)


def attending(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
    """Jamba: one layer of each `attn_layer_period` attends, the others recur."""
    period, offset = fields.size("attn_layer_period"), fields.count("attn_layer_offset")
    return tuple("full" if i % period == offset else "linear" for i in range(depth))


def both(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
    """Every layer attends and recurs."""
    return _all("both", depth)


def indexed(field: str, missing: LayerKind) -> KindsRule:
    """The layers that `field` lists attend, the others recur; `missing`: what all do without a list."""

    def rule(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
        listed = fields.numbers(field)
        if listed is None:
            return _all(missing, depth)
        return tuple("full" if i in listed else "linear" for i in range(depth))

    return rule


def alternating(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
    """MiniMax: each second layer recurs."""
    return tuple("linear" if i % 2 else "full" for i in range(depth))


def blocked(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
    """RecurrentGemma: the kinds in `block_types`, over and over; those that attend slide."""
    kinds: dict[str, LayerKind] = {"recurrent": "linear", "attention": "sliding"}
    names = fields.names("block_types") or ()
    if not names or not set(names) <= set(kinds):
        raise fields.wrong("block_types", list(names), f"names among {', '.join(kinds)}")
    return tuple(kinds[names[i % len(names)]] for i in range(depth))


def kimi(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
    """Kimi Linear: the layers that `linear_attn_config` numbers from 1, or each fourth after the first."""
    own = fields.raw("linear_attn_config")
    if isinstance(own, dict) and "full_attn_layers" in own:
        listed = Fields(own, {}, fields.model).numbers("full_attn_layers") or ()
        return tuple("full" if i + 1 in listed else "linear" for i in range(depth))
    return tuple("linear" if i % 4 or not i else "full" for i in range(depth))


def listed_alone(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
    """No rule says: a config lists them."""
    raise fields.wrong("layer_types", None, f"{depth} names, one per layer")
