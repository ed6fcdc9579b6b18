"""What can be changed of a workload as a whole: who is there together, what is kept, how much is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ullage.planning.advice.step import CHUNK, LOSS_OF_LESS, Axis, Step
from ullage.spec.capture import Capture
from ullage.spec.section import Section
from ullage.spec.workload import Workload

CHUNKS: Final = (32, 128, 512, 2048)
"""Tokens of a prompt that are read at once: the fewest where a kernel holds all scores on a small card."""
LOSS_OF_LAST: Final = 2 * LOSS_OF_LESS
"""Assumed of states of the last position alone, of which many probes read no other."""
LONG: Final = 1024
"""A prompt that is no longer is not worth chunks."""


def work_axes(workload: Workload) -> Iterator[Axis]:
    """Schedule, captures, chunks of a prompt, and its length."""
    yield from _schedule(workload)
    for index, capture in enumerate(workload.captures):
        yield from _capture(index, capture)
    if workload.training is None and workload.prompt_tokens > LONG:
        yield _chunks(workload.memory.streaming_chunk_size)
    yield _shorter(workload)


def _schedule(workload: Workload) -> Iterator[Axis]:
    if len(workload.roles) < 2:
        return
    turns = (workload.section or Section).taking_turns
    said = {turns: "roles take turns: slower", "simultaneous": "all roles stay"}
    steps = tuple(
        Step("schedule", schedule, (("schedule", schedule),), 0.0, note, slower=schedule == turns)
        for schedule, note in said.items()
        if schedule != workload.schedule
    )
    lean = 0 if steps and steps[0].key == turns else None
    swaps = lean == 0 and turns == "swapped"
    yield Axis("schedule", "same", steps, lean, ends=" engine" if swaps else "")


def _capture(index: int, capture: Capture) -> Iterator[Axis]:
    """Where captured states are kept, and of fewer layers or positions."""
    axis, path = f"captures {index} kept", f"captures.{index}.keep"
    said = {"host": "captures leave the GPU", "disk": "captures go to disk"}
    if capture.keep == "device":
        steps = tuple(Step(axis, key, ((path, key),), 0.0, note, slower=True) for key, note in said.items())
        yield Axis(axis, "same", steps, len(steps) - 1)
    elif capture.keep == "host":
        yield Axis(axis, "same", (Step(axis, "disk", ((path, "disk"),), 0.0, said["disk"], slower=True),), 0)
    axis = f"captures {index} layers"
    steps = tuple(
        Step(
            axis,
            str(halvings),
            ((f"captures.{index}.layers", f"[{', '.join(map(str, kept))}]"),),
            LOSS_OF_LESS * halvings,
            f"states of layers {', '.join(map(str, kept))} alone",
        )
        for halvings, kept in _fewer(capture)
    )
    yield Axis(axis, "less", steps, len(steps) - 1 if steps else None)
    if capture.positions == "all":
        axis, changes = f"captures {index} positions", ((f"captures.{index}.positions", "last"),)
        last = Step(axis, "last", changes, LOSS_OF_LAST, "states of the last position alone")
        yield Axis(axis, "less", (last,), 0)


def _fewer(capture: Capture) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Every other of the layers, and so on; of all of them the first and the last."""
    layers = capture.layers
    if layers == "all":
        yield 3, (0, -1)
        return
    for halvings in (1, 2, 3):
        kept = layers[:: 2**halvings]
        if len(kept) < len(layers[:: 2 ** (halvings - 1)]):
            yield halvings, kept


def _chunks(now: int | None) -> Axis:
    """A prompt read in pieces takes less at once, and more time."""
    path = "memory.streaming_chunk_size"
    sizes = [size for size in CHUNKS if now is None or size != now]
    steps = tuple(
        Step(
            CHUNK,
            str(size),
            ((path, str(size)),),
            0.0,
            f"prompts read {size:,} tokens at a time",
            slower=now is None or size < now,
        )
        for size in sizes
    )
    return Axis(CHUNK, "same", steps, 0 if now is None or now > CHUNKS[0] else None)


def _shorter(workload: Workload) -> Axis:
    note = "shorter prompts"
    if workload.training is not None:
        note = "shorter texts: what is cut off is not learned"
    shorter = [(halvings, workload.prompt_tokens >> halvings) for halvings in (1, 2, 3)]
    steps = tuple(
        Step("context", str(halvings), (("prompt_tokens", str(tokens)),), LOSS_OF_LESS * halvings, note)
        for halvings, tokens in shorter
        if tokens
    )
    return Axis("context", "less", steps, len(steps) - 1)
