"""Rows of one site for training: in batches, mixed by a seed, of texts laid end to end; never all held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ullage.capture.gathering import gathered
from ullage.capture.gradients import is_pattern
from ullage.capture.rows import Places
from ullage.capture.skipping import without
from ullage.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ullage.capture.stored import StoredStates

BLOCK_ROWS: Final = 256
"""Rows of a block: what is read at once, and what lies together before it is mixed."""
BUFFER_ROWS: Final = 65536


@dataclass(frozen=True, slots=True)
class StateView:
    """Batches (batch, *width) of rows, or (batch, context, *width) of contexts; each row, or each whole
    context, comes exactly once. The last batch is what is left.

    Without a seed they come as they are stored. With one: rows are cut into blocks of BLOCK_ROWS as they are
    stored (of contexts, as many as have so many rows, and at least one); the blocks are put into an order by
    the seed; as many as `buffer_rows` hold are read at a time and their rows, or contexts, mixed by the seed.
    Another epoch is another seed.
    """

    store: StoredStates = field(repr=False)
    site: str
    batch: int
    context: int
    seed: int | None
    skip_special: bool
    skip: frozenset[int]
    buffer_rows: int
    _places: Places = field(init=False, repr=False)
    _before: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        import numpy as np

        for name in ("batch", "context", "buffer_rows"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: {getattr(self, name)} is not 1 or more")
        if is_pattern(self.site):
            raise InputError(f"{self.site}: patterns have no rows of one width; read store[i] instead")
        places = self.store.rows.places(self.site)
        if self.skip_special or self.skip:
            places = without(self.store.rows.table, places, self.site, self.skip_special, self.skip)
        held = places.some(places.as_stored())
        object.__setattr__(self, "_places", held)
        object.__setattr__(self, "_before", np.concatenate([[0], np.cumsum(held.end - held.begin)]))

    @property
    def rows(self) -> int:
        """How many rows there are, without those that are skipped."""
        return int(self._before[-1])

    @property
    def left_out(self) -> int:
        """Rows at the end that fill no context."""
        return self.rows % self.context

    def __len__(self) -> int:
        """How many batches there are."""
        return -(-(self.rows // self.context) // self.batch)

    def __iter__(self) -> Iterator[Tensor]:
        import torch

        waiting: list[Tensor] = []
        count = 0
        for some in self._mixed():
            waiting.append(some)
            count += len(some)
            if count < self.batch:
                continue
            whole = torch.cat(waiting)
            full = count - count % self.batch
            yield from whole[:full].split(self.batch)
            waiting, count = [whole[full:].clone()], count - full
        if count:
            yield torch.cat(waiting)

    def _mixed(self) -> Iterator[Tensor]:
        """Rows or contexts as they come, so many at a time as the buffer holds."""
        import numpy as np
        import torch

        units = self.rows // self.context
        size = max(BLOCK_ROWS // self.context, 1)
        blocks = np.arange(-(-units // size))
        chance = None if self.seed is None else np.random.default_rng(self.seed)
        if chance is not None:
            chance.shuffle(blocks)
        together = max(self.buffer_rows // (size * self.context), 1)
        for first in range(0, len(blocks), together):
            some = blocks[first : first + together]
            read = [self._read(int(b) * size, min((int(b) + 1) * size, units)) for b in some]
            held = torch.cat(read)
            del read
            yield held if chance is None else held[torch.from_numpy(chance.permutation(len(held)))]

    def _read(self, first: int, last: int) -> Tensor:
        """Rows or contexts [first, last)."""
        import numpy as np

        low, high = first * self.context, last * self.context
        before = self._before
        begun, ended = np.searchsorted(before, low, "right") - 1, np.searchsorted(before, high, "left")
        some = self._places.some(slice(begun, ended))
        begin = some.begin + np.maximum(low - before[begun:ended], 0)
        end = some.end - np.maximum(before[begun + 1 : ended + 1] - high, 0)
        found = gathered(self.store.checked, some, self.site, begin, end)
        return found if self.context == 1 else found.unflatten(0, (-1, self.context))
