"""What each block of a model takes in a traced pass: what stays in it, and its fullest moment beside that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ullage.memory.traced import Block
from ullage.tracing.storages import Event
from ullage.tracing.trace import Trace

CACHE: Final = "kv_cache"


def blocks_of(trace: Trace) -> tuple[Block, ...]:
    """The embeddings, each layer, and what follows them, by what they make.

    A moment is of the block that makes something; it is all that is alive then but captured states and what
    stays of caches at the end.
    """
    placed = list(_placed(trace))
    kept = _kept(trace, placed)
    moments = [0] * len(kept)
    cached = [0] * len(kept)
    born: dict[int, tuple[int, int]] = {}
    live = held = 0
    for event, block in placed:
        own = event.storage in trace.results
        if event.bytes > 0:
            born[event.storage] = block, event.bytes
        elif event.storage not in born:
            continue
        else:
            block, _ = born.pop(event.storage)
        live += 0 if own else event.bytes
        if not own and trace.made[event.storage].component == CACHE:
            held -= min(cached[block], kept[block])
            cached[block] += event.bytes
            held += min(cached[block], kept[block])
        if event.bytes > 0 and (not trace.stages or event.stage in trace.stages):
            moments[block] = max(moments[block], live - held)
    return tuple(map(Block, kept, moments))


def _placed(trace: Trace) -> Iterator[tuple[Event, int]]:
    """Each event with the block that runs. What no layer makes is of the last layer that made something,
    and after the last of all of what follows the layers, until the next pass begins."""
    layers = [f"{path}." for path in trace.paths]
    first, last = f"{trace.embedding}.", len(layers)
    numbers: dict[str, int] = {}
    block = 0
    for event in trace.events:
        if event.bytes > 0:
            path = f"{trace.made[event.storage].module}."
            if path not in numbers:
                found = next((at for at, layer in enumerate(layers, 1) if path.startswith(layer)), 0)
                numbers[path] = found if found or path.startswith(first) else -1
            if numbers[path] >= 0:
                block = numbers[path]
            elif block >= last:
                block = last + 1
        yield event, block


def _kept(trace: Trace, placed: Sequence[tuple[Event, int]]) -> list[int]:
    """Bytes of the caches of each block when the phase makes its last tensor."""
    made = (
        at
        for at, (event, _) in enumerate(placed, 1)
        if event.bytes > 0 and (not trace.stages or event.stage in trace.stages)
    )
    there: dict[int, tuple[int, int]] = {}
    for event, block in placed[: max(made, default=0)]:
        if event.bytes < 0:
            there.pop(event.storage, None)
        elif trace.made[event.storage].component == CACHE and event.storage not in trace.results:
            there[event.storage] = block, event.bytes
    found = [0] * (len(trace.paths) + 2)
    for block, size in there.values():
        found[block] += size
    return found
