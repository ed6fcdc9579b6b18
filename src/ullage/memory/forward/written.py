"""Attention as modeling files write it out that do not leave it to transformers' shared functions.

Source: transformers 5.19. What `Flow.scores` calls each way says what becomes of a score.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ullage.facts.architecture import Attention
from ullage.facts.flow import Flow
from ullage.memory.forward.tape import CACHED, NOTHING, ROWS, SCORES, Size, Tape

FULL: Final = 4


class Lying(NamedTuple):
    """How operands lie in memory: bytes of one element, whether a mask is added, and whether keys and values
    lie side by side, as a cache makes them; where they do not, a product copies them first."""

    width: int
    masked: bool
    cached: bool


class _Sizes(NamedTuple):
    """Bytes of queries, of what they give, of scores and of a mask that is added; of the copies that products
    make of keys and values; of one element."""

    query: Size
    result: Size
    scores: Size
    mask: Size
    key: Size
    value: Size
    width: int

    def wider(self, size: Size) -> Size:
        """The same in fp32."""
        return size * (FULL // self.width)

    def copied(self, size: Size) -> Size:
        """A copy in fp32, where it is one."""
        return self.wider(size) if self.width < FULL else NOTHING


def written_attention(tape: Tape, mixer: Attention, flow: Flow, lying: Lying) -> tuple[Size, Size]:
    """Replays it; (bytes of its result, bytes of the weights that stay with the layer), both held."""
    width = lying.width
    query = ROWS * (mixer.heads * mixer.head_dim * width)
    result = ROWS * (mixer.heads * mixer.value_dim * width)
    key, value = (
        ROWS * (mixer.kv_heads * mixer.head_dim * width),
        ROWS * (mixer.kv_heads * mixer.value_dim * width),
    )
    if lying.cached:
        key = value = NOTHING
    mask = SCORES * width if lying.masked else NOTHING
    s = _Sizes(query, result, SCORES * (mixer.heads * width), mask, key, value, width)
    return result, _WAYS[flow.scores](tape, mixer, s)


def _ends(tape: Tape, s: _Sizes, beside: Size) -> None:
    """What weights give, and its heads laid side by side; `beside` is gone then."""
    tape.touch(s.value + s.result)
    tape.hold(s.result)
    tape.touch(s.result)
    tape.drop(beside)


def _multiply(tape: Tape, query: Size, scores: Size) -> None:
    """Holds scores; their product lays `query`, and what it is multiplied with, side by side first."""
    tape.touch(query + scores)
    tape.hold(scores)


def _full(tape: Tape, mixer: Attention, s: _Sizes) -> Size:
    """Queries, keys and scores in fp32: scaled, masked, their softmax (two at a time), its 16-bit copy."""
    keys = CACHED * (mixer.kv_heads * mixer.head_dim * s.width)
    casts = tape.hold(s.copied(s.query + keys))
    full = s.wider(s.scores)
    _multiply(tape, s.wider(s.query + s.key), full)
    tape.touch(full + s.copied(s.mask))
    if s.width < FULL:
        tape.hold(s.scores)
        tape.drop(full)
    tape.touch(s.value + s.result)
    tape.hold(s.result)
    tape.drop(casts)
    tape.touch(s.result)
    return s.scores


def _promoted(tape: Tape, mixer: Attention, s: _Sizes) -> Size:
    """Scores become fp32 with the fp32 biases that are added, and live on beside their softmax."""
    full, copied = s.wider(s.scores), s.copied(s.scores)
    _multiply(tape, s.query + s.key, s.scores)
    tape.touch(s.scores)
    tape.touch(copied + full)
    tape.hold(full)
    tape.drop(s.scores)
    tape.touch(full)
    tape.hold(full)
    if s.width < FULL:
        tape.hold(s.scores)
        tape.drop(full)
    _ends(tape, s, full)
    return s.scores


def _kept(tape: Tape, mixer: Attention, s: _Sizes) -> Size:
    """Scores, masked scores and their softmax live side by side, beside copies of what is multiplied."""
    beside = tape.hold(s.query + s.key + s.value + s.scores * 2)
    tape.touch(s.copied(s.scores) + s.wider(s.scores))
    tape.hold(s.scores)
    tape.touch(s.copied(s.scores))
    _ends(tape, s._replace(value=NOTHING), beside)
    return s.scores


def _narrow(tape: Tape, mixer: Attention, s: _Sizes) -> Size:
    """Scores, masked and bounded, and their softmax in the compute dtype: two at a time."""
    tape.touch(s.query)
    tape.hold(s.scores)
    tape.touch(s.scores)
    _ends(tape, s._replace(value=NOTHING), NOTHING)
    return s.scores


def _added(tape: Tape, mixer: Attention, s: _Sizes) -> Size:
    """Scores are added to zeros, which live on beside masked scores and their softmax."""
    beside = tape.hold(s.scores * 2)
    tape.hold(s.scores)
    tape.touch(s.value + s.result)
    tape.hold(s.result)
    tape.drop(beside)
    tape.touch(s.result)
    return s.scores


def _less(tape: Tape, mixer: Attention, s: _Sizes) -> Size:
    """On expanded keys and values: scores with sinks, less their largest, their softmax; two at a time."""
    grouped = mixer.heads if mixer.heads > mixer.kv_heads else 0
    beside = tape.hold(CACHED * (grouped * (mixer.head_dim + mixer.value_dim) * s.width))
    tape.hold(s.scores)
    tape.touch(s.scores)
    _ends(tape, s._replace(value=NOTHING), beside)
    return s.scores


def _sunk(tape: Tape, mixer: Attention, s: _Sizes) -> Size:
    """As transformers' functions, on expanded keys and values; sums of exponents, and what sinks leave of a
    head in fp32, live on beside."""
    grouped = mixer.heads if mixer.heads > mixer.kv_heads else 0
    beside = tape.hold(CACHED * (grouped * (mixer.head_dim + mixer.value_dim) * s.width))
    _multiply(tape, s.query, s.scores)
    tape.touch(s.scores)
    beside += tape.hold(ROWS * (mixer.heads * (s.width + FULL)))
    tape.touch(s.copied(s.scores) + s.wider(s.scores))
    _ends(tape, s, beside)
    return s.scores


_WAYS: Final[dict[str, Callable[[Tape, Attention, _Sizes], Size]]] = {
    "full": _full,
    "promoted": _promoted,
    "kept": _kept,
    "narrow": _narrow,
    "added": _added,
    "less": _less,
    "sunk": _sunk,
}
