"""Which mixer each layer has, and which layers route to experts, by each family's rule."""

from __future__ import annotations

from typing import Final

from ullage.facts.families.family import Family, KindsRule, LayerKind, Part, Shape, SparseRule
from ullage.facts.families.fields import Fields

_KINDS: Final[dict[str, LayerKind]] = {
    "full_attention": "full",
    "attention": "full",
    "indexed_attention": "full",
    "sliding_attention": "sliding",
    "chunked_attention": "chunked",
    "linear_attention": "linear",
    "mamba": "linear",
    "conv": "linear",
    "recurrent": "linear",
}


def shapes_of(fields: Fields, family: Family) -> tuple[Shape, ...]:
    """What each layer is."""
    if family.shapes is not None:
        return family.shapes(fields)
    depth = fields.depth()
    kinds = _listed(fields, depth) or (family.kinds or every_layer)(fields, depth)
    routes = (False,) * depth if family.sparse is None else _routing(fields, family.sparse, depth)
    bare: Part = "none" if family.dense is None else "dense"
    parts: list[Part] = ["sparse" if routed else bare for routed in routes]
    turns = (True,) * depth if family.rotates is None else family.rotates(fields, kinds)
    indexed = (True,) * depth if family.indexes is None else family.indexes(fields, depth)
    heads = _heads(fields, family.heads_each, depth)
    normed = (not family.opens_normed,) + (True,) * (depth - 1)
    shapes = tuple(
        Shape(kind, part, rotates=turn, heads=count, indexes=own, normed=norms)
        for kind, part, turn, count, own, norms in zip(
            kinds, parts, turns, heads, indexed, normed, strict=True
        )
    )
    return shapes if family.reshapes is None else family.reshapes(fields, shapes)


def _heads(fields: Fields, name: str, depth: int) -> tuple[int | None, ...]:
    """The query heads of each layer, where a field lists them."""
    listed = fields.numbers(name) if name else None
    if listed is not None and (len(listed) != depth or not all(listed)):
        raise fields.wrong(name, list(listed), f"{depth} numbers, one per layer, none of them 0")
    return listed or (None,) * depth


def _listed(fields: Fields, depth: int) -> tuple[LayerKind, ...] | None:
    listed = fields.names("layer_types")
    if listed is None:
        return None
    unknown = sorted(set(listed) - set(_KINDS))
    if unknown:
        raise fields.wrong("layer_types", unknown[0], f"one of {', '.join(_KINDS)}")
    if len(listed) != depth:
        raise fields.wrong("layer_types", list(listed), f"{depth} names, one per layer")
    return tuple(_KINDS[name] for name in listed)


def _routing(fields: Fields, rule: SparseRule, depth: int) -> tuple[bool, ...]:
    """Which layers route to experts: those that `mlp_layer_types` lists, else the family's rule."""
    listed = fields.names("mlp_layer_types")
    if listed is None:
        return rule(fields, depth)
    if len(listed) != depth or not set(listed) <= {"dense", "sparse"}:
        raise fields.wrong("mlp_layer_types", list(listed), f"{depth} names, dense or sparse")
    return tuple(name == "sparse" for name in listed)


def _all(kind: LayerKind, depth: int) -> tuple[LayerKind, ...]:
    return (kind,) * depth


def where_windowed(rule: KindsRule) -> KindsRule:
    """A rule that holds where a window is set; all attend fully where none is."""

    def found(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
        return rule(fields, depth) if fields.optional("sliding_window") else _all("full", depth)

    return found


def windows_rotate_if_any(fields: Fields, kinds: tuple[LayerKind, ...]) -> tuple[bool, ...]:
    """EXAONE 4: full layers know no positions where others slide."""
    return windows_rotate(fields, kinds) if fields.optional("sliding_window") else (True,) * len(kinds)


def listed_rotate(fields: Fields, kinds: tuple[LayerKind, ...]) -> tuple[bool, ...]:
    """SmolLM3: those that `no_rope_layers` gives a 1, or all but each `no_rope_layer_interval`-th."""
    step = fields.optional("no_rope_layer_interval") or 4
    rope = fields.numbers("no_rope_layers") or tuple(int((i + 1) % step != 0) for i in range(len(kinds)))
    if len(rope) != len(kinds):
        raise fields.wrong("no_rope_layers", list(rope), f"{len(kinds)} numbers, one per layer")
    return tuple(map(bool, rope))


def unrotated_slide(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
    """SmolLM3: with `use_sliding_window` the layers without rotary positions slide."""
    if not fields.flag("use_sliding_window") or fields.optional("sliding_window") is None:
        return _all("full", depth)
    turns = listed_rotate(fields, _all("full", depth))
    return tuple("full" if turn else "sliding" for turn in turns)


def windows_rotate(fields: Fields, kinds: tuple[LayerKind, ...]) -> tuple[bool, ...]:
    """Full layers know no positions."""
    return tuple(kind != "full" for kind in kinds)


def every_layer(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
    """Full attention throughout."""
    return _all("full", depth)


def windowed(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
    """All slide where a window is set; with `use_sliding_window` only those from `max_window_layers` on."""
    window = fields.optional("sliding_window")
    used = fields.raw("use_sliding_window")
    if window is None or used is False:
        return _all("full", depth)
    first = fields.count("max_window_layers") if used is True else 0
    return tuple("sliding" if i >= first else "full" for i in range(depth))


def prefixed(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
    """Cohere 2 with experts: each `sliding_window_pattern`-th layer attends fully, by a pattern of their own
    among the dense ones before."""
    before = fields.count("first_k_dense_replace")
    own = fields.optional("prefix_dense_sliding_window_pattern") or 1
    step = fields.optional("sliding_window_pattern") or 4
    places = [(i, own) if i < before else (i - before, step) for i in range(depth)]
    return tuple("sliding" if (i + 1) % period else "full" for i, period in places)


def prefixed_rotate(fields: Fields, kinds: tuple[LayerKind, ...]) -> tuple[bool, ...]:
    """Cohere 2 with experts: full layers know no positions, but dense ones where those all are full."""
    routes = _routing(fields, after_dense, len(kinds))
    forced = (fields.optional("prefix_dense_sliding_window_pattern") or 1) == 1
    return tuple(
        kind != "full" or (forced and not routed) for kind, routed in zip(kinds, routes, strict=True)
    )


def first_and_sixth(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
    """MiMo-V2: the first and each sixth layer attend fully."""
    return tuple("sliding" if i and (i + 1) % 6 else "full" for i in range(depth))


def own_indexer(fields: Fields, depth: int) -> tuple[bool, ...]:
    """GLM with DeepSeek's indexer: the layers that `indexer_types` calls full, `index_topk_pattern` F, or
    every `index_topk_freq`-th."""
    listed = fields.names("indexer_types")
    pattern = fields.raw("index_topk_pattern")
    if listed is None and isinstance(pattern, str):
        listed = tuple({"F": "full", "S": "shared"}.get(letter, letter) for letter in pattern)
    elif listed is None:
        listed = fields.names("index_topk_pattern")
    if listed is None:
        step, offset = max(fields.count("index_topk_freq"), 1), fields.optional("index_skip_topk_offset")
        first = 2 if offset is None else offset
        return tuple(max(i - first + 1, 0) % step == 0 for i in range(depth))
    if len(listed) != depth or not set(listed) <= {"full", "shared"}:
        raise fields.wrong("indexer_types", list(listed), f"{depth} names, full or shared")
    return tuple(name == "full" for name in listed)


def frequent(fields: Fields, depth: int) -> tuple[bool, ...]:
    """MiniMax-M3: those that `moe_layer_freq` gives a 1, all where it is missing."""
    listed = fields.numbers("moe_layer_freq")
    if listed is not None and len(listed) != depth:
        raise fields.wrong("moe_layer_freq", list(listed), f"{depth} numbers, one per layer")
    return (True,) * depth if listed is None else tuple(map(bool, listed))


def beyond_full(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
    """dots.llm1: where a window is set, the layers from `max_window_layers` on slide."""
    first = fields.count("max_window_layers") if fields.optional("sliding_window") else depth
    return tuple("sliding" if i >= first else "full" for i in range(depth))


def every(
    period: int, *names: str, other: LayerKind = "sliding", first: bool = False, last: bool = False
) -> KindsRule:
    """Each `period`-th layer attends fully, the fields `names` before the family's own number; `first`:
    counted from the first one on; `last`: the last one too."""

    def rule(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
        step = (fields.optional(*names) if names else None) or period
        after = 0 if first else 1
        return tuple(
            other if (i + after) % step and not (last and i == depth - 1) else "full" for i in range(depth)
        )

    return rule


def without_rope(period: int) -> KindsRule:
    """Llama 4: layers without rotary positions attend fully, the others over chunks."""

    def rule(fields: Fields, depth: int) -> tuple[LayerKind, ...]:
        step = fields.optional("no_rope_layer_interval") or period
        rope = fields.numbers("no_rope_layers") or tuple(int((i + 1) % step != 0) for i in range(depth))
        if len(rope) != depth:
            raise fields.wrong("no_rope_layers", list(rope), f"{depth} numbers, one per layer")
        return tuple("chunked" if uses else "full" for uses in rope)

    return rule


def thetas_rotate(fields: Fields, kinds: tuple[LayerKind, ...]) -> tuple[bool, ...]:
    """Granite with windows: those whose base frequency is not 0."""
    thetas = fields.raw("layer_rope_theta")
    if thetas is None:
        return (True,) * len(kinds)
    if not isinstance(thetas, list) or len(thetas) != len(kinds):
        raise fields.wrong("layer_rope_theta", thetas, f"{len(kinds)} numbers, one per layer")
    return tuple(map(bool, thetas))


def always(fields: Fields, depth: int) -> tuple[bool, ...]:
    """Every layer routes."""
    return (True,) * depth


def with_one_shared(fields: Fields, depth: int) -> tuple[bool, ...]:
    """HunYuan: every layer routes, and has one expert that all tokens use, whatever a config says."""
    if fields.raw("num_shared_expert") is not None and fields.level("num_shared_expert") != 1:
        raise fields.wrong("num_shared_expert", fields.raw("num_shared_expert"), "1: transformers has one")
    return (True,) * depth


def where_counted(*names: str) -> SparseRule:
    """Every layer, if there are experts at all."""

    def rule(fields: Fields, depth: int) -> tuple[bool, ...]:
        return (fields.count(*names) > 0,) * depth

    return rule


def stepped(fields: Fields, depth: int) -> tuple[bool, ...]:
    """Each `decoder_sparse_step`-th layer, `mlp_only_layers` apart, if there are experts at all."""
    step = fields.optional("decoder_sparse_step") or 1
    dense = fields.numbers("mlp_only_layers") or ()
    routed = fields.count("num_experts", "num_local_experts") > 0
    return tuple(routed and i not in dense and (i + 1) % step == 0 for i in range(depth))


def after_first(name: str) -> SparseRule:
    """All but as many as a field says."""

    def rule(fields: Fields, depth: int) -> tuple[bool, ...]:
        first = fields.count(name)
        return tuple(i >= first for i in range(depth))

    return rule


after_dense: Final[SparseRule] = after_first("first_k_dense_replace")


def after_one(fields: Fields, depth: int) -> tuple[bool, ...]:
    """All but the first."""
    return tuple(i > 0 for i in range(depth))


def ranged(fields: Fields, depth: int) -> tuple[bool, ...]:
    """ERNIE 4.5: each `moe_layer_interval`-th of those from a first to a last one; a last one of -1 is the
    model's."""
    step, first = fields.optional("moe_layer_interval") or 1, fields.count("moe_layer_start_index")
    named = "moe_layer_end_index"
    last = depth - 1 if fields.raw(named) in (None, -1) else fields.count(named)
    return tuple((i + 1) % step == 0 and first <= i <= last for i in range(depth))


def interleaved(fields: Fields, depth: int) -> tuple[bool, ...]:
    """Llama 4: the layers that `moe_layers` lists, or each `interleave_moe_layer_step`-th."""
    listed = fields.numbers("moe_layers")
    if listed is not None:
        return tuple(i in listed for i in range(depth))
    step = fields.optional("interleave_moe_layer_step") or 1
    return tuple((i + 1) % step == 0 for i in range(depth))


def periodic(fields: Fields, depth: int) -> tuple[bool, ...]:
    """Jamba: one layer of each `expert_layer_period`, if there is more than one expert."""
    several = fields.size("num_experts", "num_local_experts") > 1
    period, offset = fields.size("expert_layer_period"), fields.count("expert_layer_offset")
    return tuple(several and i % period == offset for i in range(depth))
