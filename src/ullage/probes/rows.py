"""Rows of labelled dialogues for fitting: block by block from a store, or from arrays; never all held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

from ullage.capture.gathering import read_rows
from ullage.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ullage.capture.rows import Places
    from ullage.capture.stored import StoredStates
    from ullage.probes.probe import Floats, Ints, RowsOf

Group = tuple[str, ...]
"""Sites that are read side by side."""
BLOCK_VALUES: Final = 2**21
"""Of a block: 8 MiB in float32. What is computed of it is as large again, once or twice."""
HELD_BYTES: Final = 128 * 2**20
"""Of blocks that are kept for later passes, where all or some of them are so small."""


@dataclass(frozen=True, slots=True)
class Block:
    """Rows (rows, width) of one group of sites, in float32 as they are stored or in float64; `group` is its
    number.

    `dialogue` (rows,) says whose each row is: those of one dialogue follow one another. `first` is the number
    of the first row among all, in the order of the blocks.
    """

    group: int
    states: Floats
    dialogue: Ints
    first: int

    @property
    def begins(self) -> Ints:
        """Where the rows of each dialogue begin."""
        import numpy as np

        return np.flatnonzero(np.append(True, self.dialogue[1:] != self.dialogue[:-1])).astype(np.int64)


class Rows(Protocol):
    """What fits read, pass by pass; every pass gives the same blocks in the same order."""

    @property
    def dialogue(self) -> Ints:
        """Whose each row is, (rows,), in the order of the blocks."""

    def width(self, group: Group) -> int:
        """Values of a row."""

    def blocks(self, groups: Sequence[Group], whole: bool = False) -> Iterator[Block]:
        """One pass: each piece of the rows, of every group in turn. `whole` keeps a dialogue in one piece."""

    def of(self, dialogues: NDArray[np.bool_]) -> Rows:
        """The rows of some of the dialogues, which keep their numbers."""


@dataclass(slots=True)
class Held:
    """Blocks kept between passes, as many as fit; and how many bytes were read from files."""

    blocks: dict[tuple[int, int, str], Floats] = field(default_factory=dict)
    room: int = HELD_BYTES
    bytes_read: int = 0

    def keep(self, key: tuple[int, int, str], states: Floats) -> None:
        """Keeps a block where there is room for it."""
        if states.nbytes <= self.room:
            self.room -= states.nbytes
            self.blocks[key] = states


@dataclass(frozen=True, slots=True, eq=False)
class StoredRows:
    """Rows of a store: of sequence `sequence[i]` of its table row `relative[i]` of those kept, each (rows,).

    Rows lie in the order of the files. `reduced` makes one row of each dialogue's.
    """

    store: StoredStates = field(repr=False)
    places: Mapping[str, Places] = field(repr=False)
    number: Ints
    sequence: Ints
    relative: Ints
    reduced: RowsOf = "tokens"
    held: Held = field(default_factory=Held, repr=False)

    @property
    def dialogue(self) -> Ints:
        """Whose each row is, (rows,)."""
        return self.number if self.reduced == "tokens" else self.number[_begins(self.number)]

    def width(self, group: Group) -> int:
        """Values of a row."""
        return sum(self.store.sites[site]["width"][-1] for site in group)

    def of(self, dialogues: NDArray[np.bool_]) -> StoredRows:
        """The rows of some of the dialogues."""
        kept = dialogues[self.number]
        return replace(
            self,
            held=Held(),
            number=self.number[kept],
            sequence=self.sequence[kept],
            relative=self.relative[kept],
        )

    def blocks(self, groups: Sequence[Group], whole: bool = False) -> Iterator[Block]:
        """One pass. Raises InputError for states that are NaN or infinite, naming file and row."""
        import numpy as np

        first = 0
        for piece in self._pieces(max(map(self.width, groups)), whole or self.reduced != "tokens"):
            number = self.number[piece]
            begins = _begins(number)
            mine = number if self.reduced == "tokens" else number[begins]
            read: dict[str, Floats] = {}
            for at, group in enumerate(groups):
                if len(groups) > 1 and not set(group) & read.keys():
                    read.clear()
                for site in group:
                    if site not in read:
                        read[site] = self._states(site, piece, begins)
                parts = [read[site] for site in group]
                states = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
                yield Block(at, states, mine, first)
            first += len(mine)

    def _pieces(self, width: int, whole: bool) -> Iterator[slice]:
        """Rows that lie in one file, no more than a block holds; of `whole` dialogues one at least."""
        import numpy as np

        file = next(iter(self.places.values())).file[self.sequence]
        most = max(1, BLOCK_VALUES // width)
        ends = np.flatnonzero(np.append(file[1:] != file[:-1], True)) + 1
        begins = np.append(_begins(self.number), len(self.number))
        begin = 0
        for end in ends:
            while begin < end:
                cut = min(begin + most, int(end))
                if whole and cut < end:
                    at = int(np.searchsorted(begins, cut, "right")) - 1
                    cut = int(begins[at]) if begins[at] > begin else int(min(begins[at + 1], end))
                yield slice(begin, cut)
                begin = cut

    def _states(self, site: str, piece: slice, begins: Ints) -> Floats:
        key = (int(self.number[piece.start]), int(self.relative[piece.start]), f"{site} {self.reduced}")
        kept = self.held.blocks.get(key)
        wanted = len(begins) if self.reduced != "tokens" else piece.stop - piece.start
        if kept is not None and len(kept) == wanted:
            return kept
        found = self._read(site, piece)
        if self.reduced != "tokens":
            found = reduce(found, begins, self.reduced)
        if kept is None:
            self.held.keep(key, found)
        return found

    def _read(self, site: str, piece: slice) -> Floats:
        import numpy as np
        import torch

        places = self.places[site]
        sequence = self.sequence[piece]
        at = places.begin[sequence] + self.relative[piece]
        low, high = int(at.min()), int(at.max()) + 1
        name = places.files[int(places.file[sequence[0]])]
        held = read_rows(self.store.checked(name), site, low, high)
        self.held.bytes_read += held.nbytes
        if not np.array_equal(at, np.arange(low, high)):
            held = held[torch.from_numpy(at - low)]
        found: Floats = held.reshape(len(at), -1).to(torch.float32).numpy()
        if not np.isfinite(np.add.reduce(found, axis=None)):
            wrong = np.flatnonzero(~np.isfinite(found).all(axis=1))
            if len(wrong):
                one = self.store.rows[int(sequence[wrong[0]])]
                others = f", and {len(wrong) - 1:,} other rows there" if len(wrong) > 1 else ""
                raise InputError(
                    f"{self.store.folder / name}: row {at[wrong[0]]} of {site} (record {one['id']!r}) holds "
                    f"NaN or infinity{others}; leave the record out, or extract in another precision"
                )
        return found


@dataclass(frozen=True, slots=True, eq=False)
class ArrayRows:
    """Rows of arrays (rows, hidden) by site; those of one dialogue follow one another."""

    states: Mapping[str, Floats] = field(repr=False)
    number: Ints
    reduced: RowsOf = "tokens"

    @property
    def dialogue(self) -> Ints:
        """Whose each row is, (rows,)."""
        return self.number if self.reduced == "tokens" else self.number[_begins(self.number)]

    def width(self, group: Group) -> int:
        """Values of a row."""
        return sum(self.states[site].shape[1] for site in group)

    def of(self, dialogues: NDArray[np.bool_]) -> ArrayRows:
        """The rows of some of the dialogues."""
        kept = dialogues[self.number]
        return replace(
            self, states={name: value[kept] for name, value in self.states.items()}, number=self.number[kept]
        )

    def blocks(self, groups: Sequence[Group], whole: bool = False) -> Iterator[Block]:
        """One pass, in one piece."""
        import numpy as np

        for at, group in enumerate(groups):
            states = np.concatenate([self.states[site] for site in group], axis=1)
            if self.reduced != "tokens":
                states = reduce(states, _begins(self.number), self.reduced)
            yield Block(at, states, self.dialogue, 0)


def reduce(states: Floats, begins: Ints, rows: RowsOf) -> Floats:
    """One row of each dialogue's rows, (dialogues, width): their mean, or the last."""
    import numpy as np

    ends = np.append(begins[1:], len(states))
    if rows == "last":
        return np.asarray(states[ends - 1])
    sums = np.add.reduceat(states.astype(np.float64), begins, axis=0)
    return np.asarray(sums / (ends - begins)[:, None])


def _begins(number: Ints) -> Ints:
    import numpy as np

    return np.flatnonzero(np.append(True, number[1:] != number[:-1])).astype(np.int64)[: len(number)]
