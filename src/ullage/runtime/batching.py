"""Batches within the plan's token budget, and what happens when memory runs out all the same."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from ullage.errors import OutOfMemoryError
from ullage.runtime.malloc import trim_malloc

Item = TypeVar("Item")
Result = TypeVar("Result")

WINDOW_BATCHES: Final = 64
"""Records are sorted by length within windows of about this many full batches, so a record is never held up
for longer than that, and no more are ever read ahead."""
ALIKE: Final = 0.75
"""Of the longest text's length: what a text of an ample batch has at least."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one batch may hold: padded tokens (sequences x longest), and sequences.

    A batch of fewer, longer or of more, shorter sequences within `tokens` never needs more activation
    memory than the planned shape: every temporary is linear in its padded tokens, or quadratic in its
    length alone. From `ample` padded tokens on a batch takes no text much shorter than its longest: the
    padding would cost more than another pass.
    """

    tokens: int
    sequences: int
    ample: int | None = None

    def takes(self, count: int, longest: int, length: int) -> bool:
        """Whether a batch of `count` sequences takes one more, of `length` tokens and no longer than it."""
        if self.ample is not None and count * longest >= self.ample and length < ALIKE * longest:
            return False
        return self.hold(count + 1, longest)

    def hold(self, count: int, longest: int) -> bool:
        return count == 1 or (count <= self.sequences and count * longest <= self.tokens)


class Done:
    """What an earlier run has done of the same input: numbers of batches, and of items; a byte an item."""

    def __init__(self) -> None:
        self.units: set[int] = set()
        self.count = 0
        self._items = bytearray()

    def add(self, units: Iterable[int], items: Iterable[int]) -> None:
        """Batches `units` are done, and with them `items`."""
        self.units.update(units)
        for item in items:
            self.note(item, True)

    def note(self, item: int, done: bool) -> None:
        """An item is done, or was taken back after it had been."""
        if item >= len(self._items):
            self._items.extend(bytes(item + 1 - len(self._items)))
        self.count += done - self._items[item]
        self._items[item] = done

    def among(self, begin: int, count: int) -> set[int]:
        """Which of `count` items from `begin` on are done, counted from there."""
        held = self._items[begin : begin + count]
        return {place for place, done in enumerate(held) if done}


@dataclass(frozen=True, slots=True)
class Window(Generic[Item]):
    """Items of an input that follow one another, the first of them its number `begin`.

    `left` are batches that are still to be done, by their number: places in `items` and `lengths`.
    """

    begin: int
    items: Sequence[Item]
    lengths: Sequence[int]
    left: Mapping[int, tuple[int, ...]]


def windows(
    measured: Iterable[tuple[Item, int]], limits: Limits, done: Done, first: int = 0
) -> Iterator[Window[Item]]:
    """An input of items and their lengths, window by window; no more than one is held.

    The same lengths and limits give the same batches, so a resumed run makes the same ones, but for those
    that are `done`. Where other items have been done under a batch's number (the texts had other lengths
    then), what is left from that window on is put into batches of its own, under numbers of their own.

    `first` is the first item's number: of a partition how many come before it. Its batches are counted from
    there too, and they are no more than its items, so no two partitions have one number.
    """
    begin = number = first
    anew = False
    for held in _gathered(measured, limits):
        lengths = [length for _, length in held]
        batches = dict(enumerate(_packed(range(len(held)), lengths, limits), number))
        there = done.among(begin, len(held))
        if not anew and {p for unit in batches if unit in done.units for p in batches[unit]} != there:
            anew, number = True, max(number, max(done.units, default=-1) + 1)
        if anew:
            rest = [place for place in range(len(held)) if place not in there]
            batches = dict(enumerate(_packed(rest, lengths, limits), number))
        left = {unit: batch for unit, batch in batches.items() if anew or unit not in done.units}
        yield Window(begin, [item for item, _ in held], lengths, left)
        begin, number = begin + len(held), number + len(batches)


def make_batches(lengths: Sequence[int], limits: Limits) -> list[tuple[int, ...]]:
    """Indices into `lengths`, in batches of similar length, longest first in each window.

    The same lengths and limits give the same batches. A sequence longer than the budget is a batch of its
    own.
    """
    return [
        tuple(window.begin + place for place in batch)
        for window in windows(((None, length) for length in lengths), limits, Done())
        for batch in window.left.values()
    ]


def _gathered(measured: Iterable[tuple[Item, int]], limits: Limits) -> Iterator[list[tuple[Item, int]]]:
    """As many items as fill about WINDOW_BATCHES batches, by tokens or by number."""
    held: list[tuple[Item, int]] = []
    tokens = 0
    for item, length in measured:
        held.append((item, length))
        tokens += length
        if tokens >= WINDOW_BATCHES * limits.tokens or len(held) >= WINDOW_BATCHES * limits.sequences:
            yield held
            held, tokens = [], 0
    if held:
        yield held


def _packed(places: Iterable[int], lengths: Sequence[int], limits: Limits) -> Iterator[tuple[int, ...]]:
    """Places of one window in batches of similar length, longest first."""
    current: list[int] = []
    for place in sorted(places, key=lambda i: (-lengths[i], i)):
        if current and not limits.takes(len(current), lengths[current[0]], lengths[place]):
            yield tuple(current)
            current = []
        current.append(place)
    if current:
        yield tuple(current)


@dataclass(slots=True)
class Splitter:
    """Runs batches; one that does not fit is run in halves, and so are later ones as large.

    Invariant: `limits` only ever shrinks, and every item given to `run` is in its result exactly once and
    in its place.
    """

    limits: Limits
    release: Callable[[], None]
    told: Callable[[str], None]
    splits: int = 0

    def run(
        self,
        items: Sequence[int],
        lengths: Sequence[int],
        work: Callable[[Sequence[int]], Sequence[Result]],
    ) -> list[Result]:
        """`work` over `items` (indices into `lengths`), one result for each.

        Raises OutOfMemoryError when a single sequence does not fit.
        """
        if not self.limits.hold(len(items), max(lengths[i] for i in items)):
            return self._halves(items, lengths, work)
        try:
            return list(work(items))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error).split("\n")[0]
        # Outside the handler: the traceback, which holds the failed pass's tensors, is gone.
        self.release()
        longest = max(lengths[i] for i in items)
        if len(items) == 1:
            raise OutOfMemoryError(
                f"a single sequence of {longest:,} tokens does not fit ({reason}); set "
                "memory.streaming_chunk_size to run it in chunks, or plan for a larger device"
            )
        self.splits += 1
        kept = len(items) * longest // 2
        self.limits = replace(self.limits, tokens=max(min(self.limits.tokens, kept), 1))
        self.told(
            f"out of memory with {len(items)} sequences of up to {longest:,} tokens; going on with batches "
            f"of at most {self.limits.tokens:,} tokens"
        )
        return self._halves(items, lengths, work)

    def _halves(
        self,
        items: Sequence[int],
        lengths: Sequence[int],
        work: Callable[[Sequence[int]], Sequence[Result]],
    ) -> list[Result]:
        middle = len(items) // 2
        halves = (items[:middle], items[middle:])
        return list(itertools.chain.from_iterable(self.run(half, lengths, work) for half in halves))


def release() -> None:
    """Gives memory that nothing refers to back to the devices."""
    import torch

    gc.collect()
    trim_malloc()
    if torch.cuda.is_initialized():
        # cuBLAS's workspace, which torch keeps in its own memory until it is asked for it here.
        torch._C._cuda_clearCublasWorkspaces()
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch ran out of memory: its own error on a GPU, a RuntimeError of the CPU's allocator."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "DefaultCPUAllocator: can't allocate memory" in text or "CUBLAS_STATUS_ALLOC_FAILED" in text
    )
