"""Attention as single families write it out, whatever kernel is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ullage.facts.dtypes import DTYPES
from ullage.memory.forward.tape import BLOCK, BLOCKS, NOTHING, ROWS, SCORES, Size, Tape

if TYPE_CHECKING:
    from ullage.facts.architecture import Attention
    from ullage.memory.forward.attention import Call

FULL: Final = 4
PLACE: Final = 8
"""Bytes of an index, int64."""


def own_scores(tape: Tape, call: Call, mixer: Attention) -> Size:
    """Replays one call; the bytes of its result and of the scores that live as long, which are held.

    MPNet: scores, scaled ones, to which those of distances are added in place, masked ones, probabilities.
    """
    if mixer.distances:
        return _disentangled(tape, call, mixer)
    width = DTYPES[call.compute]
    size = SCORES * (mixer.heads * width)
    result = ROWS * (mixer.heads * mixer.value_dim * width)
    tape.hold(size)
    for _ in range(2 if call.masked else 1):
        tape.hold(size)
        tape.drop(size)
    tape.hold(size + result)
    tape.touch(result)
    return size * 2 + result


def _disentangled(tape: Tape, call: Call, mixer: Attention) -> Size:
    """DeBERTa-v2: scores of contents, those of content to position and of position to content, their sum,
    masked, probabilities. Positions are projected for each sequence anew; scores with all distances are made
    first, and those of the pairs that occur gathered from them (a processor gathers 16 bit in fp32)."""
    width = DTYPES[call.compute]
    size = SCORES * (mixer.heads * width)
    every = ROWS * (2 * mixer.heads * mixer.distances * width)
    gathering = SCORES * (mixer.heads * FULL) if call.processor and width < FULL else NOTHING
    tape.hold(size)
    projected = tape.hold(BLOCKS * (4 * mixer.distances * mixer.heads * mixer.head_dim * width))
    for way in range(2):
        tape.touch(BLOCK * (2 * PLACE))
        tape.hold(BLOCK * PLACE)
        tape.hold(every)
        tape.hold(size)
        tape.touch(gathering)
        tape.drop(every)
        # Divided by the scale: the first sum is a tensor of its own, the second is added to it in place.
        tape.touch(size if way else size * 2)
        tape.hold(NOTHING if way else size)
    tape.drop(projected + BLOCK * (2 * PLACE) + size * 2)
    tape.hold(size)
    tape.drop(size)
    mask = tape.hold(SCORES)
    tape.touch(SCORES + size)
    tape.hold(size)
    result = tape.hold(ROWS * (mixer.heads * mixer.value_dim * width))
    tape.touch(result)
    return size * 3 + mask + result
