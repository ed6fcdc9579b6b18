"""An experiment as a page: who wins, what was said, what probes heard, and games told again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ullage.kinds.werewolf.analysis import Share
from ullage.kinds.werewolf.retold import games_again
from ullage.reports.counted import listing, share, three, within
from ullage.reports.fits_section import fits_sections
from ullage.reports.pages.page import Fold, Page, Part, Prose, Section
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span, Words

if TYPE_CHECKING:
    from ullage.kinds.werewolf.found import Found, Listened
    from ullage.kinds.werewolf.listening import Moment, Row
    from ullage.kinds.werewolf.rows import GameRow, TurnRow
    from ullage.records.fits import Fitted

ROLES_LEFT_OUT: Final = (
    'Intervals over resamples of games. "Without roles" is the same text after a prompt that does not say '
    'who the speaker is; "shuffled" has the labels of each game\'s texts in another order.'
)


def page_of(
    title: str,
    models: Mapping[str, str],
    found: Found,
    games: Sequence[GameRow],
    turns: Sequence[TurnRow],
    fits: Sequence[Fitted] = (),
) -> Page:
    """What was found, probes that were fitted, and games told again, of each condition as many."""
    roles = "".join(f" {role}: {model}." for role, model in models.items())
    invalid = (Prose(f"{line}.", "bad") for line in found.invalid)
    sections = (
        Section("Who wins", tuple(_wins(found))),
        Section("What was said", tuple(_said(found))),
        *fits_sections(fits),
        *(Section(f"Probe {probe.probe}", tuple(_heard(probe))) for probe in found.probes),
        Section("Games", tuple(games_again(games, turns, found.probes[0] if found.probes else None))),
    )
    return Page(title, sections, (Prose(f"{found.games} games.{roles}"), *invalid))


def _wins(found: Found) -> Iterator[Part]:
    shares = ("villagers win", "first exile is a werewolf", "votes against werewolves")
    names = ("games", *shares, "choices read again", "drawn by chance", "said nothing")
    rows = tuple[tuple[Words, ...], ...](
        (
            arm.condition,
            str(arm.wins.count),
            *map(_share, (arm.wins, arm.first_exile, arm.votes)),
            str(arm.choices.repaired),
            f"{arm.choices.fallbacks} of {arm.choices.choices}",
            str(arm.choices.silent),
        )
        for arm in found.arms
    )
    yield Table(("condition", *names), rows, frozenset(names))
    chance = found.chance
    how = f"{chance.exact}, exactly" if chance.exact else f"{share(chance.low)} to {share(chance.high)}"
    yield Prose(
        f"At random play the villagers win {share(chance.value)} ({how}). Intervals of 95 %: Wilson's for "
        "games, of votes over resamples of games.",
        "note",
    )
    if found.pairs:
        yield _pairs(found)
        said = "The villagers' wins from the same seeds and seats; p of the exact paired test."
        yield Prose(said, "note")


def _share(one: Share) -> Words:
    return within(share(one.value), one.interval, "{:.1%}")


def _pairs(found: Found) -> Table:
    names = ("games of both", "only the first won", "only the second", "gain", "p")
    rows = tuple(
        (
            pair.one,
            pair.other,
            str(pair.games),
            str(pair.only_one),
            str(pair.only_other),
            share(pair.gain),
            three(pair.p),
        )
        for pair in found.pairs
    )
    return Table(("between", "and", *names), rows, frozenset(names))


def _said(found: Found) -> Iterator[Part]:
    judged = f" Of these the judge decided: {listing(found.judged)}." if found.judged else ""
    yield Prose(f"{listing(found.truths)}.{judged}")
    said = "A lie is a claim that its speaker knows to be false. What is unverifiable is left to a judge."
    yield Prose(said, "note")


def _heard(probe: Listened) -> Iterator[Part]:
    numbers = ("texts", "AUROC", "unavailable")
    told = tuple(map(_told_apart, probe.rows))
    yield Table(("of", "tells", "by", "score", *numbers), told, frozenset(numbers))
    yield Prose(ROLES_LEFT_OUT, "note")
    if probe.bins:
        names = ("probability", "lies", "statements")
        bins = tuple((three(one.probability), share(one.positive), str(one.count)) for one in probe.bins)
        title = (
            f"Calibration on decided statements: expected error {three(probe.error)}, "
            f"the score read as {probe.read_as}"
        )
        yield Fold(title, (Table(names, bins, frozenset(names)),))
    if probe.rounds:
        columns = ("day", "round", "side", "mean", "statements")
        rounds = Table(columns, tuple(map(_moment, probe.rounds)), frozenset(columns) - {"side"})
        yield Fold("Mean score over the game", (rounds,))


def _told_apart(row: Row) -> tuple[Words, ...]:
    score = row.auroc
    told: Words = Span("none", tip=score.reason)
    if score.value is not None and score.low is not None and score.high is not None:
        told = within(three(score.value), (score.low, score.high))
    return row.span, row.label, row.by, row.column, str(score.answers), told, str(row.unavailable)


def _moment(one: Moment) -> tuple[Words, ...]:
    side = "werewolves" if one.werewolves else "villagers"
    mean = within(three(one.mean), one.interval)
    return str(one.day), str(one.round), side, mean, str(one.statements)
