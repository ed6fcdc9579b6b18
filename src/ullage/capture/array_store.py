"""Captured states in .npy files: one a site, rows in input order.

numpy has no bf16: such states are stored as fp32, which holds the same numbers.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.capture.entries import Format, StoredBatches, StoredSequence
from ullage.capture.growing import GrowingArray
from ullage.capture.keeping import OFFSETS, TOKENS
from ullage.capture.store import Example, stored_sequence
from ullage.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

PIECE_BYTES: Final = 4 * 2**20
NOWHERE: Final = 0
"""In place of the mark of an example that is not done."""


class ArrayStore:
    """One memory map a site; where a sequence's rows are follows from all sequences before it.

    Invariant: what a journal entry names has been flushed, and stands in `done` when a run is taken up;
    anything else is written again. Of what is done, eight bytes a sequence are held.
    """

    def __init__(self, folder: Path, done: Iterable[StoredBatches] = ()) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._marks = array("Q")
        for example in (example for each in done for example in each.examples):
            missing = example.index + 1 - len(self._marks)
            self._marks.extend([NOWHERE] * max(missing, 0))
            self._marks[example.index] = _mark_of(example)
        if not self._marks:
            for left in folder.glob("*.npy"):
                left.unlink()  # begun, but nothing in it is named by the journal
        self._arrays: dict[str, GrowingArray] = {}
        self._first = 0
        self._begins: dict[str, list[int]] = {}

    @property
    def held_bytes(self) -> int:
        """Nothing waits: what is added is written."""
        return 0

    def expect(self, begin: int, lengths: Sequence[int], rows: Mapping[str, Sequence[int]]) -> None:
        """Examples from `begin` on come next, in any order: so many tokens, and rows of each site.

        Raises InputError where what is done lies elsewhere than that says.
        """
        counts = {**rows, TOKENS: lengths}
        before = self._begins
        self._first = begin
        self._begins = {
            site: [*accumulate(some, initial=before[site][-1] if site in before else 0)]
            for site, some in counts.items()
        }
        for place in range(len(lengths)):
            self._check(begin + place)
        for site, grown in self._arrays.items():
            grown.reserve(self._begins[TOKENS if site == OFFSETS else site][-1])

    def add(self, unit: int, examples: Sequence[Example]) -> list[StoredBatches]:
        """Writes a batch."""
        import numpy as np

        digest = hashlib.sha256()
        stored, sites = [], {}
        for example in examples:
            place = {}
            for site in tuple(example.states):
                state = example.states.pop(site)
                begin, end = self._place(site, example.index)
                place[site] = [begin, end, *state.shape]
                for rows in _pieces(state):
                    self._array(site, rows).put(begin, rows)
                    sites[site] = Format(str(rows.dtype), list(rows.shape[1:]))
                    digest.update(rows.data)
                    begin += len(rows)
            tokens = np.array(example.tokens, dtype=np.int32)
            offsets = np.array(example.offsets, dtype=np.int32).reshape(-1, 2)
            for name, numbers in ((TOKENS, tokens), (OFFSETS, offsets)):
                self._array(name, numbers).put(self._place(TOKENS, example.index)[0], numbers)
                digest.update(numbers.data)
            stored.append(stored_sequence(example, place, self._place(TOKENS, example.index)[0]))
        for held in self._arrays.values():
            held.flush()
        return [StoredBatches([unit], digest.hexdigest(), sites, stored)]

    def finish(self) -> list[StoredBatches]:
        """Nothing that was not written; the files have as many rows as there were."""
        for site, held in self._arrays.items():
            held.reserve(self._begins[TOKENS if site == OFFSETS else site][-1], exactly=True)
            held.flush()
            held.close()
        self._arrays = {}
        return []

    def _check(self, index: int) -> None:
        if index >= len(self._marks) or self._marks[index] == NOWHERE:
            return
        places = {site: self._place(site, index) for site in self._begins}
        if self._marks[index] != _mark(places):
            raise InputError(
                f"{self._folder}: the rows of record {index + 1:,} of the input are not where this model's "
                "tokens put them; start a new run"
            )

    def _place(self, site: str, index: int) -> tuple[int, int]:
        """The first row of an example, and the row after its last."""
        begins = self._begins[site]
        return begins[index - self._first], begins[index - self._first + 1]

    def _array(self, site: str, rows: NDArray[np.generic]) -> GrowingArray:
        """The array that holds such rows of a site."""
        if site not in self._arrays:
            self._arrays[site] = GrowingArray(self._folder / f"{site}.npy", rows.dtype, rows.shape[1:])
            self._arrays[site].reserve(self._begins[TOKENS if site == OFFSETS else site][-1])
        return self._arrays[site]


def _pieces(state: Tensor) -> Iterator[NDArray[np.generic]]:
    """Rows of a state as numpy holds them, PIECE_BYTES at a time, and at least once."""
    import numpy as np
    import torch

    count = max(PIECE_BYTES // max(state[:1].nbytes, 1), 1)
    for rows in state.split(count) if len(state) else (state,):
        if rows.dtype == torch.bfloat16:  # the upper half of the fp32 of the same number
            halves = rows.contiguous().view(torch.int16).numpy().view(np.uint16)
            yield (halves.astype(np.uint32) << 16).view(np.float32)
        else:
            yield np.ascontiguousarray(rows.numpy())


def _mark_of(example: StoredSequence) -> int:
    places = {site: (at[0], at[1]) for site, at in example.states.items()}
    begin = example.token_begin or 0
    return _mark({**places, TOKENS: (begin, begin + example.tokens)})


def _mark(places: Mapping[str, tuple[int, int]]) -> int:
    """Eight bytes that tell the places of an example's rows from others."""
    text = repr(sorted(places.items()))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) | 1
