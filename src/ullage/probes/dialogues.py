"""Labelled dialogues together with their stored states: which rows count, whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ullage.errors import InputError
from ullage.probes.card import digest
from ullage.probes.labels import Labelled, Mistakes
from ullage.probes.probe import Reading
from ullage.probes.rows import StoredRows
from ullage.probes.standing import Frames
from ullage.text import one_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ullage.capture.index import SequenceRow
    from ullage.capture.stored import StoredStates
    from ullage.probes.probe import Ints

    Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Dialogues:
    """Dialogues in the order of the labels; a dialogue's number is its place here.

    `token_ids` are those of each dialogue's counted tokens that have rows, or, where one row stands for them
    all, of all that count. Rows (rows,): `number` says whose each is,
    `sequence` which row of the store's table, `relative` which of the rows kept of it.
    """

    labelled: tuple[Labelled, ...] = field(repr=False)
    token_ids: tuple[tuple[int, ...], ...] = field(repr=False)
    store: StoredStates = field(repr=False)
    sites: tuple[str, ...]
    number: Ints = field(repr=False)
    sequence: Ints = field(repr=False)
    relative: Ints = field(repr=False)
    missing: int = 0

    def __len__(self) -> int:
        return len(self.labelled)

    @property
    def labels(self) -> Bools:
        """(dialogues,)"""
        import numpy as np

        return np.array([bool(one.label) for one in self.labelled], dtype=np.bool_)

    @property
    def pairs(self) -> Ints:
        """Number of each one's pair, (dialogues,); -1 where it is of none."""
        import numpy as np

        numbers: dict[str, int] = {}
        return np.array(
            [numbers.setdefault(one.pair, len(numbers)) if one.pair else -1 for one in self.labelled],
            np.int64,
        )

    def digests(self, which: Bools) -> tuple[frozenset[int], frozenset[int]]:
        """What stands for some dialogues, and for the groups they name."""
        some = [one for one, kept in zip(self.labelled, which, strict=True) if kept]
        return frozenset(map(digest_of, some)), frozenset(digest(one.group) for one in some if one.group)

    def rows(self, reading: Reading) -> StoredRows:
        """The rows of every dialogue, as a probe reads them."""
        import numpy as np

        kept = np.ones(len(self.number), dtype=np.bool_)
        if reading.skip_first:
            begins = np.flatnonzero(np.append(True, self.number[1:] != self.number[:-1]))
            counts = np.diff(np.append(begins, len(self.number)))
            place = np.arange(len(self.number)) - np.repeat(begins, counts)
            kept = (place >= reading.skip_first) | np.repeat(counts <= reading.skip_first, counts)
        places = {}
        for site in self.sites:
            self.store.check_one_role(site)
            places[site] = self.store.rows.places(site)
        table = np.full(len(self.store.rows), -1, np.int64)
        first = places[self.sites[0]]
        if not all(first.alike(each) for each in places.values()):
            raise InputError(
                f"{self.store.folder}: {', '.join(self.sites)} keep other positions than one another; fit "
                "them one by one"
            )
        table[first.row] = np.arange(len(first.row))
        sequence = table[self.sequence[kept]]
        number, relative = self.number[kept], self.relative[kept]
        order = np.lexsort((first.begin[sequence] + relative, first.file[sequence]))
        return StoredRows(
            self.store, places, number[order], sequence[order], relative[order], reduced=reading.rows
        )


def digest_of(one: Labelled) -> int:
    """What a dialogue is known again by: all that was said, however it was spaced and cased."""
    said = [f"{each['role']}\n{each['content']}" for each in one.messages] or [one.text or one.id]
    return digest(" ".join("\n".join(said).casefold().split()))


def match(
    labelled: Sequence[Labelled],
    store: StoredStates,
    sites: Sequence[str],
    where: str,
    absent: frozenset[str] = frozenset(),
    frames: Frames | None = None,
    means: bool = True,
) -> Dialogues:
    """Dialogues with their rows of a store, found by id; `absent` are known not to be there, `frames` those
    of the model's template. Where one row stands for a text, `means` says that it may be the mean.

    Raises InputError, with a line for each, for dialogues that the store has not, and for those of which
    nothing that counts has states.
    """
    mistakes = Mistakes(where)
    known = {one.id: at for at, one in enumerate(labelled)}
    found: dict[int, _Found] = {}
    for at, row in enumerate(store.rows):
        number = known.get(row["id"])
        place = next((p for p in row["states"] if p["site"] == sites[0]), None)
        if number is None or place is None:
            continue
        counted, problem = _counted(labelled[number], row, frames)
        kept = _kept(row, place["positions"], place["end"] - place["begin"])
        relative = [r for r, position in enumerate(kept) if position in counted]
        if kept == [-1] and not problem:
            problem = _not_of_it(labelled[number], row, means)
        if problem or not relative:
            mistakes.add(labelled[number].line, problem or "what counts of it has no stored states")
        places = sorted(counted - {-1}) if kept == [-1] else [kept[r] for r in relative]
        found[number] = _Found(at, relative, [row["tokens"][place] for place in places])
    for number, one in enumerate(labelled):
        if number not in found and one.id not in absent:
            mistakes.add(one.line, f"dialogue {one.id!r} has no states in {store.folder}")
    mistakes.tell()
    return _together(labelled, found, store, sites)


class _Found(NamedTuple):
    """A dialogue's row in the store's table, which of the rows kept of it count, and ids of what counts."""

    sequence: int
    relative: list[int]
    tokens: list[int]


def _together(
    labelled: Sequence[Labelled], found: Mapping[int, _Found], store: StoredStates, sites: Sequence[str]
) -> Dialogues:
    """What was found of each dialogue, by its number among the labels, side by side."""
    import numpy as np

    order = sorted(found)
    every = [found[number] for number in order]
    counts = [len(each.relative) for each in every]
    return Dialogues(
        tuple(labelled[number] for number in order),
        tuple(tuple(each.tokens) for each in every),
        store,
        tuple(sites),
        np.repeat(np.arange(len(order)), counts).astype(np.int64),
        np.repeat(np.array([each.sequence for each in every], np.int64), counts),
        np.array([one for each in every for one in each.relative], np.int64),
        len(labelled) - len(order),
    )


def _kept(row: SequenceRow, positions: Sequence[int] | None, rows: int) -> list[int]:
    """The token that each kept row is of; -1 for the mean of all."""
    if positions is not None:
        return list(positions)
    return list(range(rows)) if rows == len(row["tokens"]) else [-1]


def _not_of_it(one: Labelled, row: SequenceRow, means: bool) -> str:
    """Why the one row of a text is not of what counts in it; "" where it is."""
    again = "extract with --positions span or all"
    if not _ends_with_it(one, row):
        return (
            "what counts ends before the text does, and its states are one row of the whole: the last "
            f"token's, or the mean; {again}"
        )
    if means and not _begins_with_it(one, row):
        return f"what counts begins after the text does, and its states may be the mean of the whole; {again}"
    return ""


def _begins_with_it(one: Labelled, row: SequenceRow) -> bool:
    """Whether what counts of a dialogue is all of it from the beginning: never of messages, before which the
    template writes whose they are."""
    text = row["text"] or ""
    return not one.messages and (one.span is None or one.span[0] <= len(text) - len(text.lstrip()))


def _ends_with_it(one: Labelled, row: SequenceRow) -> bool:
    """Whether what counts of a dialogue reaches to its end."""
    if one.messages:
        return len(one.messages) - 1 in one.detect
    whole = len(row["tokens"]) if row["text"] is None else len(row["text"].rstrip())
    return one.span is None or one.span[1] >= whole


def _counted(one: Labelled, row: SequenceRow, frames: Frames | None) -> tuple[set[int], str]:
    """Positions of the tokens that count (-1 with them: a row of the mean, or of the last token), or what is
    wrong."""
    text = row["text"]
    if text is None:
        return {-1, *range(*(one.span or (0, len(row["tokens"]))))}, ""
    ranges = one.counted(text)
    if ranges is None and frames is not None and one.messages:
        ranges = one.counted(text, frames.of(one.messages))
    if ranges is None:
        return (
            set(),
            "what counts does not stand in the dialogue as it was written out, or in more than one place: "
            f"{one_line(text[:60])!r}",
        )
    offsets = list(zip(row["offset_begin"], row["offset_end"], strict=True))
    if len(offsets) > 1 and set(offsets) == {(0, len(text))} and ranges != [(0, len(text))]:
        return set(), "a part of it counts, and which of its tokens are of that is not known of these states"
    found = {
        at
        for at, (low, high) in enumerate(offsets)
        if any(low < end and high > begin for begin, end in ranges)
    }
    if not found:
        begin, end = ranges[0]
        return set(), f"no token lies in characters {begin} to {end}"
    return found | {-1}, ""
