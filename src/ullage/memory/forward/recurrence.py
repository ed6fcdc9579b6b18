"""Replays a layer's recurrence where no kernel of mamba-ssm, causal-conv1d or fla is installed: transformers'
own code (5.19), in torch.

Of a prompt all positions are scanned at once: Mamba's states one after the other, those of Mamba-2 and of
gated delta nets chunk by chunk, padded to whole chunks. `CACHED` are then the padded positions of all
sequences, `SCORES` those times the positions of a chunk, `BLOCKS` the sequences and `BLOCK` their chunks
(`one_pass.amounts_of`). A token alone updates its state.
"""

from __future__ import annotations

from typing import Final

from ullage.facts.architecture import Recurrent
from ullage.memory.forward.one_pass import FULL, Manner, Widths
from ullage.memory.forward.tape import BLOCK, BLOCKS, CACHED, NOTHING, ROWS, SCORES, Size, Tape

SCANNED: Final = frozenset({"mamba1", "mamba2", "gated_delta", "channel_delta"})
"""Kinds of which kernels exist that hold far less than what is replayed here."""


def recur(tape: Tape, mixer: Recurrent, s: Widths, manner: Manner) -> None:
    """Holds the mixer's output, as wide as the stream. What the cache keeps is its own line item."""
    tape.at("recurrence")
    if mixer.kind in _WITHOUT_SCAN:
        _WITHOUT_SCAN[mixer.kind](tape, mixer, s)
        return
    projected, width = ROWS * (mixer.projected * s.width), s.width
    tape.hold(projected)
    convolved = ROWS * (mixer.channels * width)
    full = tape.hold(convolved + BLOCKS * (mixer.conv_elements * width))
    tape.hold(convolved)
    tape.drop(full + projected)
    held = convolved + tape.hold(ROWS * (mixer.kept * width))
    if not manner.several:
        tape.touch(BLOCKS * (mixer.state_elements * FULL * (4 if mixer.kind == "mamba2" else 3)))
        mixed = tape.hold(ROWS * (mixer.inner * width))
    elif mixer.kind == "mamba1":
        mixed = _selective_scan(tape, mixer, width)
    elif mixer.kind == "mamba2":
        mixed = _chunk_scan(tape, mixer, width)
    elif mixer.kind == "channel_delta":
        mixed = _channel_rule(tape, mixer, width)
    else:
        mixed = _delta_rule(tape, mixer, width)
    tape.hold(s.stream)
    tape.drop(mixed + held)


def _channel_rule(tape: Tape, mixer: Recurrent, width: int) -> Size:
    """A delta rule that forgets channel by channel, in fp32: within a chunk one decay for each pair of
    positions and each channel of keys."""
    keys, values = CACHED * (mixer.value_heads * mixer.state * FULL), CACHED * (mixer.inner * FULL)
    scores, pairs = SCORES * (mixer.value_heads * FULL), SCORES * (mixer.value_heads * mixer.state * FULL)
    held = tape.hold(keys * 4 + values)  # queries, keys, keys weighed, decays; values weighed
    unsolved = tape.hold(values)
    tape.touch(pairs * 2)
    held += tape.hold(pairs)
    tape.touch(pairs * 2)
    held += tape.hold(scores * 2)
    tape.drop(unsolved)
    held += tape.hold(keys + values * 2)  # of the system solved, and outputs
    tape.touch(BLOCKS * (mixer.inner * mixer.chunk * FULL * (1 + 2 * mixer.chunk)))
    tape.drop(held)
    return tape.hold(ROWS * (mixer.inner * width))


def _convolve(tape: Tape, mixer: Recurrent, s: Widths) -> None:
    """A gate, what it gates, its convolution and the other gate; laid out anew, and projected."""
    projected, inner = ROWS * (mixer.projected * s.width), ROWS * (mixer.inner * s.width)
    tape.hold(projected)
    gated = tape.hold(inner)
    joined = tape.hold(inner + BLOCKS * (mixer.conv_elements * s.width))
    tape.hold(joined)
    tape.drop(gated)
    tape.hold(inner * 2)
    tape.drop(joined * 2)
    tape.hold(s.stream)
    tape.drop(projected + inner * 2)


def _lightning(tape: Tape, mixer: Recurrent, s: Widths) -> None:
    """Queries, keys and values activated; block after block, then all joined, normed and gated."""
    inner = ROWS * (mixer.inner * s.width)
    raw = tape.hold(ROWS * (mixer.projected * s.width))
    held = tape.hold(raw)
    tape.drop(raw)
    block = BLOCKS * (mixer.inner * mixer.chunk * s.width)
    scores = BLOCKS * (mixer.value_heads * mixer.chunk * mixer.chunk * s.width)
    outputs = tape.hold(inner)
    tape.touch(block * 2 + scores * 2)
    tape.hold(inner)
    tape.drop(outputs)
    full = ROWS * (mixer.inner * FULL)
    tape.touch(full * 2 if s.width == FULL else full * 3)
    held += tape.hold(inner)
    tape.hold(s.stream)
    tape.drop(held + inner)


def _selective_scan(tape: Tape, mixer: Recurrent, width: int) -> Size:
    """Mamba's, over all positions in fp32: A, B and inputs made discrete; outputs one by one, stacked."""
    inner, full = ROWS * (mixer.inner * width), ROWS * (mixer.inner * FULL)
    wide, upcast = full * mixer.state, full if width < FULL else NOTHING
    held = tape.hold(ROWS * ((mixer.rank + 2 * mixer.state) * width))
    held += tape.hold(inner)  # a time step for every channel
    tape.touch(inner * 2)
    held += tape.hold(inner)
    tape.touch(wide * 2)
    held += tape.hold(wide * 2)
    tape.touch(upcast + wide)
    held += tape.hold(wide)
    tape.touch(BLOCKS * (mixer.state_elements * FULL * 2))
    held += tape.hold(inner)
    stacked = tape.hold(inner)
    tape.touch(upcast + full)
    skipped = tape.hold(full)
    tape.touch(upcast + full)
    scanned = tape.hold(full)
    tape.drop(skipped + stacked)
    tape.touch(inner + full + upcast)
    tape.drop(held)
    return scanned


def _chunk_scan(tape: Tape, mixer: Recurrent, width: int) -> Size:
    """Mamba-2's, in fp32: within each chunk, what each chunk leaves, from chunk to chunk, and their sum."""
    wide, keys = CACHED * (mixer.inner * FULL), CACHED * (mixer.value_heads * mixer.state * FULL)
    steps, scores = CACHED * (mixer.value_heads * FULL), SCORES * (mixer.value_heads * FULL)
    states, first = BLOCK * (mixer.state_elements * FULL), BLOCKS * (mixer.state_elements * FULL)
    held = tape.hold(ROWS * (mixer.value_heads * width))
    unpadded = tape.hold(
        ROWS * ((mixer.inner + 2 * mixer.value_heads * mixer.state + mixer.value_heads) * FULL)
    )
    tape.touch(wide * 2)
    held += tape.hold(wide)  # what D adds
    held += tape.hold(wide + keys * 2 + steps)
    tape.drop(unpadded)
    held += tape.hold(steps)
    tape.touch(scores * 3)  # sums of segments
    held += tape.hold(scores)
    tape.touch(keys * 2 + scores)
    held += tape.hold(scores) + tape.hold(scores)
    tape.touch(scores + wide * 2)
    held += tape.hold(wide)
    held += tape.hold(steps + keys)
    tape.touch(keys + wide + states)
    tape.hold(states)
    joined = tape.hold(states + first)
    tape.drop(states)
    tape.touch(joined * 2)
    held += tape.hold(joined)
    tape.drop(joined)
    held += tape.hold(steps)
    tape.touch(keys + states + wide)
    held += tape.hold(wide * 2)
    tape.touch(wide * 2)
    mixed = tape.hold(wide)
    tape.touch(wide)
    tape.drop(held)
    return mixed


def _delta_rule(tape: Tape, mixer: Recurrent, width: int) -> Size:
    """A gated delta net's, in fp32: a triangular system within each chunk, then chunk after chunk."""
    repeated = ROWS * (2 * mixer.value_heads * mixer.state * width)
    held = tape.hold(repeated if mixer.repeats else NOTHING)
    keys, values = CACHED * (mixer.value_heads * mixer.state * FULL), CACHED * (mixer.inner * FULL)
    scores, steps = SCORES * (mixer.value_heads * FULL), CACHED * (mixer.value_heads * FULL)
    held += tape.hold(keys * 3 + values * 2)  # queries, keys and values; keys and values weighed
    held += tape.hold(steps * 3)
    tape.touch(scores * 2)
    held += tape.hold(scores)
    tape.touch(scores * 2)
    held += tape.hold(scores)
    tape.touch(scores * 2)
    held += tape.hold(scores)
    held += tape.hold(keys)
    held += tape.hold(values + keys)  # of the system solved
    held += tape.hold(values)
    tape.touch(keys)
    chunk = BLOCKS * (mixer.inner * mixer.chunk * FULL)
    tape.touch(chunk * 4)
    states = BLOCKS * (mixer.state_elements * FULL * 4)  # before, faded, what is added, and their sum
    tape.touch(states + chunk)
    tape.drop(held)
    return tape.hold(ROWS * (mixer.inner * width))


def _gated_unit(tape: Tape, mixer: Recurrent, s: Widths) -> None:
    """The gate; what is convolved, and from it both gates of the recurrence, before it runs."""
    inner = ROWS * (mixer.inner * s.width)
    raw = tape.hold(inner)
    gate = tape.hold(inner)
    tape.drop(raw)
    tape.hold(inner)
    convolved = tape.hold(inner + BLOCKS * (mixer.conv_elements * s.width))
    tape.drop(inner)
    # By heads, gates before and after their sigmoid, decays, their squares, inputs gated and scaled, outputs.
    held = tape.hold(inner * 11)
    tape.touch(BLOCKS * (mixer.inner * FULL * 3))
    tape.drop(held)
    mixed = tape.hold(inner)
    tape.drop(convolved)
    tape.touch(inner)
    tape.hold(s.stream)
    tape.drop(mixed + gate)


_WITHOUT_SCAN: Final = {"gated_unit": _gated_unit, "short_conv": _convolve, "lightning": _lightning}
