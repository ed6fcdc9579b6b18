"""What the sites of a block must satisfy, and which of the places that a block has do satisfy it.

All of it is arithmetic on tensors that were recorded in one pass; an error is a share of the layer's largest
state, for heads of their own largest number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ullage.capture.products import Products
from ullage.capture.rotation import turned_error
from ullage.facts.families.places import Place

if TYPE_CHECKING:
    from torch import Tensor

TOLERANCE: Final = 1e-4

PRE, MID, POST = "hook_resid_pre", "hook_resid_mid", "hook_resid_post"
ATTN, MLP = "hook_attn_out", "hook_mlp_out"
Q, K, V, Z, PATTERN = (f"attn.hook_{name}" for name in ("q", "k", "v", "z", "pattern"))

FIRST_SUM: Final = "resid_pre + attn_out = resid_mid"
SECOND_SUM: Final = "resid_mid + mlp_out = resid_post"
WHOLE_SUM: Final = "resid_pre + attn_out + mlp_out = resid_post"


@dataclass(frozen=True, slots=True)
class Broken:
    """An identity that does not hold for a site, the error of the place that came nearest, and what the
    model's own code said where it did not get so far."""

    identity: str
    error: float
    said: str = ""

    def __str__(self) -> str:
        near = (
            f"off by {self.error:.2g}"
            if math.isfinite(self.error)
            else "no module of the block comes near it"
        )
        return f"{self.identity} does not hold ({self.said or near})"


@dataclass(slots=True)
class Recorded:
    """One block in one pass: its states and what lies at every place it has, by hook; what it multiplied.

    `normed` are queries and keys as the block's own norms of heads may leave them. `first` and `last` are
    transformers' own hidden states before and after it, None where it gives none. `gates` is what may gate
    its heads, `feeds` tells a block whose one part feeds forward.
    """

    at: Mapping[str, Mapping[Place, Tensor]]
    normed: Mapping[tuple[str, Place], Sequence[Tensor]]
    products: Products
    first: Tensor | None
    last: Tensor | None
    gates: Sequence[Tensor] = ()
    feeds: bool = False

    def state(self, hook: str) -> Tensor:
        return next(iter(self.at[hook].values()))

    @property
    def largest(self) -> float:
        return float(self.state(POST).abs().max())


Found = dict[str, Place | Broken]


def held_places(blocks: Sequence[Recorded]) -> Found:
    """For every hook that blocks of one kind define, the place where it is in all of them, or what is
    broken."""
    found = _stream(blocks)
    found |= _parts(blocks)
    if all(block.products.weighed for block in blocks):
        found |= _heads(blocks)
    return found


def _stream(blocks: Sequence[Recorded]) -> Found:
    found: Found = {}
    for hook, identity in ((PRE, "resid_pre = hidden_states"), (POST, "resid_post = hidden_states")):
        pairs = [
            (each.state(hook), each.first if hook == PRE else each.last, each.largest) for each in blocks
        ]
        error = max(_error(own, true, largest) for own, true, largest in pairs)
        place = next(iter(blocks[0].at[hook]))
        found[hook] = place if error <= TOLERANCE else Broken(identity, error)
    return found


def far(one: Tensor, other: Tensor) -> float:
    """The largest difference, as a share of the largest number of `other`."""
    return _error(one, other, float(other.abs().max()))


def _error(own: Tensor, true: Tensor | None, largest: float) -> float:
    if true is None or own.shape != true.shape:
        return math.inf
    error = float((own - true).abs().max()) / max(largest, 1e-30)
    return error if math.isfinite(error) else math.inf


def _sum_error(
    blocks: Sequence[Recorded], parts: Sequence[tuple[str, Place]], whole: tuple[str, Place]
) -> float:
    """The largest error of a sum of places, over blocks."""
    errors = []
    for block in blocks:
        tensors = [block.at[hook][place] for hook, place in parts]
        total = block.at[whole[0]][whole[1]]
        if any(each.shape != total.shape for each in tensors):
            return math.inf
        errors.append(_error(sum(tensors[1:], tensors[0]), total, block.largest))
    return max(errors)


def _everywhere(blocks: Sequence[Recorded], hook: str) -> list[Place]:
    return [place for place in blocks[0].at[hook] if all(place in block.at[hook] for block in blocks)]


def _parts(blocks: Sequence[Recorded]) -> Found:
    """What the two parts of a block add, and the stream between them."""
    pre, post = ((hook, next(iter(blocks[0].at[hook]))) for hook in (PRE, POST))
    mixers, middles, forwards = (_everywhere(blocks, hook) for hook in (ATTN, MID, MLP))
    second = [
        (_sum_error(blocks, [(MID, middle), (MLP, forward)], post), middle, forward)
        for middle in middles
        for forward in forwards
    ]
    for error, middle, forward in second:
        if error <= TOLERANCE:
            first = [(_sum_error(blocks, [pre, (ATTN, m)], (MID, middle)), m) for m in mixers]
            return {ATTN: _best(first, FIRST_SUM), MID: middle, MLP: forward}
    alone = [(_sum_error(blocks, [pre, (ATTN, mixer)], post), mixer) for mixer in mixers]
    whole = _best(alone, "resid_pre + attn_out = resid_post")
    fed = _best([(_sum_error(blocks, [pre, (MLP, f)], post), f) for f in forwards], "")
    if isinstance(whole, Place) or isinstance(fed, Place):
        return _single(blocks, whole, fed)
    for mixer in mixers:
        for forward in forwards:
            if _sum_error(blocks, [pre, (ATTN, mixer), (MLP, forward)], post) <= TOLERANCE:
                return {ATTN: mixer, MLP: forward}
    return _half(blocks, min((error for error, *_ in second), default=math.inf))


def _half(blocks: Sequence[Recorded], nearest: float) -> Found:
    """A block whose second sum does not hold; the first may, where no norm stands in the stream itself."""
    pre = (PRE, next(iter(blocks[0].at[PRE])))
    broken = Broken(SECOND_SUM, nearest)
    least = math.inf
    for mixer in _everywhere(blocks, ATTN):
        for middle in _everywhere(blocks, MID):
            error = _sum_error(blocks, [pre, (ATTN, mixer)], (MID, middle))
            if error <= TOLERANCE:
                return {ATTN: mixer, MID: middle, MLP: broken}
            least = min(least, error)
    return {ATTN: Broken(FIRST_SUM, least), MID: broken, MLP: broken}


def _single(blocks: Sequence[Recorded], mixer: Place | Broken, forward: Place | Broken) -> Found:
    """A block of one part: what mixes positions, or what feeds forward."""
    if isinstance(forward, Place) and (blocks[0].feeds or not isinstance(mixer, Place)):
        return {MLP: forward}
    return {ATTN: mixer}


def _best(tried: Sequence[tuple[float, Place]], identity: str) -> Place | Broken:
    """The first place that is near enough, else how far the nearest is."""
    for error, place in tried:
        if error <= TOLERANCE:
            return place
    return Broken(identity, min((error for error, _ in tried), default=math.inf))


def _heads(blocks: Sequence[Recorded]) -> Found:
    """Heads of blocks that attend."""

    def tried(hook: str, error: object) -> list[tuple[float, Place]]:
        assert callable(error)
        return [
            (max(error(b, b.at[hook][place]) for b in blocks), place) for place in _everywhere(blocks, hook)
        ]

    def turned(hook: str, side: int) -> list[tuple[float, Place]]:
        return [
            (
                max(min(turned_error(b.products, t, side) for t in b.normed[hook, place]) for b in blocks),
                place,
            )
            for place in _everywhere(blocks, hook)
        ]

    values = [
        (max(min(_value_error(b, t) for t in b.normed[V, place]) for b in blocks), place)
        for place in _everywhere(blocks, V)
    ]
    return {
        PATTERN: _best(tried(PATTERN, _pattern_error), "pattern weighs the values"),
        V: _best(values, "v is what the pattern weighs"),
        Z: _best(tried(Z, _mixed_error), "z = pattern · v, gated where there is a gate,"),
        Q: _best(turned(Q, 0), "q, normed and turned, makes the scores"),
        K: _best(turned(K, 1), "k, normed and turned, makes the scores"),
    }


def spread(tensor: Tensor, heads: int) -> Tensor:
    """(batch, heads, tokens, width) of (batch, tokens, heads or groups, width)."""
    own = tensor.transpose(1, 2)
    return own.repeat_interleave(heads // own.shape[1], dim=1) if heads % own.shape[1] == 0 else own


def _own(tensor: Tensor) -> float:
    return float(tensor.abs().max())


def _pattern_error(block: Recorded, pattern: Tensor) -> float:
    """Held against the probabilities that weighed values; none of them looks ahead."""
    if float(pattern.triu(1).abs().max()) > TOLERANCE:
        return math.inf
    return min(_error(pattern, true, 1.0) for true, _ in block.products.weighed)


def _value_error(block: Recorded, value: Tensor) -> float:
    return min(_error(spread(value, true.shape[1]), true, _own(true)) for _, true in block.products.weighed)


def _mixed_error(block: Recorded, mixed: Tensor) -> float:
    errors = [math.inf]
    for pattern, value in block.products.weighed:
        if pattern.shape[1] % value.shape[1] == 0:
            value = value.repeat_interleave(pattern.shape[1] // value.shape[1], dim=1)
            whole = (pattern @ value).transpose(1, 2)
            errors += [_error(mixed, each, _own(mixed)) for each in (whole, *_gated(whole, block.gates))]
    return min(errors)


def _gated(whole: Tensor, gates: Sequence[Tensor]) -> Iterator[Tensor]:
    """Mixed values (batch, tokens, heads, width) under each gate that fits: of a head, or of each number."""
    import torch

    heads, width = whole.shape[-2:]
    for gate in gates:
        if gate.shape[-1] == 2 * heads * width:
            gate = gate.unflatten(-1, (heads, -1))[..., width:]
        elif gate.shape[-1] in (heads, heads * width):
            gate = gate.unflatten(-1, (heads, -1))
        else:
            continue
        yield whole * gate.sigmoid()
        yield whole * torch.nn.functional.softplus(gate)
