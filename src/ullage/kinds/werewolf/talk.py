"""The talk of a day: in turns, all at once, or by bids for the floor."""

from __future__ import annotations

from collections.abc import Sequence

from ullage.kinds.werewolf.asks import NOBODY
from ullage.kinds.werewolf.chance import chance
from ullage.kinds.werewolf.rules import HIGHEST_BID
from ullage.kinds.werewolf.table import Steps, Table

BIDS = tuple(map(str, range(HIGHEST_BID + 1)))


def talk(table: Table) -> Steps[None]:
    """All rounds of a day. Who speaks when in turns is drawn anew each day."""
    order = list(table.living)
    chance(table.seed, "order", table.day).shuffle(order)
    last: int | None = None
    for number in range(1, table.rules.rounds + 1):
        table.at("talk", number)
        if table.rules.speech == "at_once":
            yield from _speak(table, order)
        elif table.rules.speech == "turns":
            for seat in order:
                yield from _speak(table, (seat,))
        else:
            last = yield from _bid(table, last)
            yield from _speak(table, (last,))


def _bid(table: Table, last: int | None) -> Steps[int]:
    """Who has the floor: the highest bid of all but the last speaker. Among equals goes first whom that
    speaker named, then chance decides."""
    seats = table.others(*(() if last is None else (last,)))
    answers = yield tuple(table.ask(seat, "bid", BIDS) for seat in seats)
    bids = {seat: int(answer.value) for seat, answer in zip(seats, answers, strict=True)}
    for seat, bid in bids.items():
        table.add("bid", seat, word=str(bid), seen_by=(seat,))
    highest = [seat for seat, bid in bids.items() if bid == max(bids.values())]
    said = next((event.word for event in reversed(table.events) if event.what == "said"), "")
    named = [seat for seat in highest if last is not None and table.names[seat] in said]
    return table.draw(named or highest, "floor", table.round)


def _speak(table: Table, seats: Sequence[int]) -> Steps[None]:
    """Each of `seats` says something; none hears the others before all have."""
    thoughts = table.rules.thoughts
    if thoughts != "none":
        wolves = () if table.rules.thinkers == "all" else table.pack
        thinkers = [seat for seat in seats if seat not in wolves]
        asks = tuple(table.ask(seat, "thought") for seat in thinkers)
        answers = (yield asks) if asks else ()
        for seat, answer in zip(thinkers, answers, strict=True):
            table.add("thought", seat, word=answer.value, seen_by=None if thoughts == "public" else (seat,))
    answers = yield tuple(table.ask(seat, "statement") for seat in seats)
    for seat, answer in zip(seats, answers, strict=True):
        table.add("said", seat, word=answer.value)
        table.heard(seat, answer.score)
    if table.rules.callouts:
        for seat in seats:
            yield from _call_out(table, seat)


def _call_out(table: Table, seat: int) -> Steps[None]:
    """The speaker may name another and ask; who is asked answers at once."""
    (called,) = yield (table.ask(seat, "callout", (*table.named(table.others(seat)), NOBODY)),)
    if called.value == NOBODY:
        return
    target = table.seat_of(called.value)
    (asked,) = yield (table.ask(seat, "question", about=target),)
    table.add("question", seat, target, asked.value)
    table.heard(seat, asked.score)
    (answered,) = yield (table.ask(target, "answer", about=seat),)
    table.add("answer", target, seat, answered.value)
    table.heard(target, answered.score)
