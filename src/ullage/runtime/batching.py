"""Batches within the plan's token budget, and what happens when memory runs out all the same."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from ullage.errors import OutOfMemoryError
from ullage.runtime.malloc import trim_malloc

Result = TypeVar("Result")

WINDOW_BATCHES: Final = 64
"""Records are sorted by length within runs of about this many full batches, so a record is never held up
for longer than that, and what is read ahead stays bounded."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one batch may hold: padded tokens (sequences x longest), and sequences.

    A batch of fewer, longer or of more, shorter sequences within `tokens` never needs more activation
    memory than the planned shape: every temporary is linear in its padded tokens, or quadratic in its
    length alone.
    """

    tokens: int
    sequences: int

    def hold(self, count: int, longest: int) -> bool:
        return count == 1 or (count <= self.sequences and count * longest <= self.tokens)


def make_batches(lengths: Sequence[int], limits: Limits) -> list[tuple[int, ...]]:
    """Indices into `lengths`, in batches of similar length, longest first in each window.

    The same lengths and limits give the same batches, so a resumed run makes the same ones. A sequence
    longer than the budget is a batch of its own.
    """
    batches: list[tuple[int, ...]] = []
    for window in _windows(lengths, limits):
        current: list[int] = []
        for index in sorted(window, key=lambda i: (-lengths[i], i)):
            longest = lengths[current[0]] if current else lengths[index]
            if current and not limits.hold(len(current) + 1, longest):
                batches.append(tuple(current))
                current = []
            current.append(index)
        if current:
            batches.append(tuple(current))
    return batches


def batches_left(
    batches: Sequence[tuple[int, ...]],
    units: Collection[int],
    done: Collection[int],
    lengths: Sequence[int],
    limits: Limits,
) -> dict[int, tuple[int, ...]]:
    """The batches that are still to be done, by number, where `units` are, and with them items `done`.

    They are those of `batches`, unless other items have been done under these numbers (the texts had other
    lengths then): then what is left is put into batches of its own, numbered from the last one on.
    """
    same = all(unit < len(batches) for unit in units)
    if same and {item for unit in units for item in batches[unit]} == set(done):
        return {number: batch for number, batch in enumerate(batches) if number not in units}
    left = [item for item in range(len(lengths)) if item not in done]
    anew = make_batches([lengths[item] for item in left], limits)
    return {
        number: tuple(left[place] for place in batch)
        for number, batch in enumerate(anew, max(units, default=-1) + 1)
    }


def _windows(lengths: Sequence[int], limits: Limits) -> Iterator[list[int]]:
    window: list[int] = []
    tokens = 0
    for index, length in enumerate(lengths):
        window.append(index)
        tokens += length
        if tokens >= WINDOW_BATCHES * limits.tokens:
            yield window
            window, tokens = [], 0
    if window:
        yield window


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
        self.limits = Limits(max(min(self.limits.tokens, kept), 1), self.limits.sequences)
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
