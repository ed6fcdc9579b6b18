"""A day's ballot: who is exiled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ullage.kinds.werewolf.asks import NOBODY
from ullage.kinds.werewolf.deaths import leave
from ullage.kinds.werewolf.table import Steps, Table


def vote(table: Table) -> Steps[None]:
    """All living vote at the same time, and whom the rules say leaves."""
    table.at("vote", 1)
    chosen, leading = yield from _ballot(table, table.living)
    ties: str = table.rules.ties
    if chosen is None and ties == "second_ballot" and leading:
        table.at("vote", 2)
        table.add("second_ballot", word=", ".join(table.named(leading)))
        chosen, leading = yield from _ballot(table, leading)
        ties = table.rules.second_tie
    if chosen is None and ties == "random" and leading:
        chosen = table.draw(leading, "tie")
    if chosen is None:
        table.add("spared")
        return
    yield from leave(table, [chosen], "exiled", table.rules.last_words != "nobody")


def _ballot(table: Table, candidates: Sequence[int]) -> Steps[tuple[int | None, list[int]]]:
    """Whom the ballot exiles, and else among whom a tie is broken: those with the most votes, or, where they
    are one who lacks a majority, all with a vote."""
    legal = {seat: table.named(each for each in candidates if each != seat) for seat in table.living}
    extra = (NOBODY,) if table.rules.abstention else ()
    # Of a second ballot's candidates there are two at least, but with abstentions there may be one.
    voters = [seat for seat in table.living if legal[seat] or extra]
    asks = tuple(table.ask(seat, "vote", (*legal[seat], *extra)) for seat in voters)
    answers = yield asks
    votes = Counter[int]()
    for ask, answer in zip(asks, answers, strict=True):
        target = None if answer.value == NOBODY else table.seat_of(answer.value)
        if target is not None:
            votes[target] += 1
        seen = None if table.rules.ballots == "open" else (ask.seat,)
        table.add("ballot", ask.seat, target, seen_by=seen)
    if table.rules.ballots == "counted":
        for seat, count in votes.items():
            table.add("tally", target=seat, word=str(count))
    if not votes:
        return None, []
    most = max(votes.values())
    leading = [seat for seat, count in votes.items() if count == most]
    enough = table.rules.exile == "plurality" or 2 * most > len(table.living)
    if len(leading) == 1 and enough:
        return leading[0], []
    return None, leading if len(leading) > 1 else sorted(votes)
