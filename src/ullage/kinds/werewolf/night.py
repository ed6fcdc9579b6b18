"""A night: the werewolves agree on a victim, seer, doctor and witch do their part, the dead are found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ullage.kinds.werewolf.asks import NO, NOBODY, YES, Answer, Ask
from ullage.kinds.werewolf.deaths import leave
from ullage.kinds.werewolf.identities import DOCTOR, SEER, WEREWOLF, WITCH
from ullage.kinds.werewolf.table import Steps, Table


def night(table: Table) -> Steps[None]:
    """The night before `table.day`."""
    table.at("night")
    kills = table.rules.first_kill or table.day > 1
    if kills and table.rules.night_talk and len(table.pack) > 1:
        for seat in table.pack:
            (answer,) = yield (table.ask(seat, "night_talk"),)
            table.add("night_talk", actor=seat, word=answer.value, seen_by=table.pack)
    asks = tuple(_asks(table, kills))
    answers = (yield asks) if asks else ()
    victim, saved = _done(table, asks, answers)
    healed, poisoned = yield from _witch(table, victim)
    spared = victim is None or victim == saved or healed
    dead = {seat for seat in (None if spared else victim, poisoned) if seat is not None}
    if dead:
        yield from leave(table, sorted(dead), "dies", table.rules.last_words == "all")
    else:
        table.add("dawn")


def _asks(table: Table, kills: bool) -> Sequence[Ask]:
    """What is decided side by side, in the dark."""
    asks = []
    if kills:
        prey = table.named(table.others(*table.pack))
        asks += [table.ask(seat, "kill", prey) for seat in table.pack]
    asks += [table.ask(seat, "see", table.named(table.others(seat))) for seat in table.living_as(SEER)]
    if kills:
        for seat in table.living_as(DOCTOR):
            last = [each.target for each in table.events if each.what == "saved"][-1:]
            barred = [] if table.rules.doctor_repeats else [each for each in last if each is not None]
            barred += [] if table.rules.doctor_saves_self else [seat]
            asks.append(table.ask(seat, "save", table.named(table.others(*barred))))
    return asks


def _done(table: Table, asks: Sequence[Ask], answers: Sequence[Answer]) -> tuple[int | None, int | None]:
    """The werewolves' victim, whom most of them named, and whom the doctor saves."""
    saved, named = None, Counter[int]()
    for ask, answer in zip(asks, answers, strict=True):
        target = table.seat_of(answer.value)
        if ask.purpose == "kill":
            named[target] += 1
            table.add("kill", ask.seat, target, seen_by=table.pack)
        elif ask.purpose == "see":
            found = table.identities[target]
            if table.rules.seer_learns == "werewolf" and found != WEREWOLF:
                found = ""
            table.add("seen", ask.seat, target, found, seen_by=(ask.seat,))
        else:
            saved = target
            table.add("saved", ask.seat, target, seen_by=(ask.seat,))
    if not named:
        return None, saved
    most = max(named.values())
    victim = table.draw([seat for seat, votes in named.items() if votes == most], "victim")
    table.add("victim", target=victim, seen_by=table.pack)
    return victim, saved


def _witch(table: Table, victim: int | None) -> Steps[tuple[bool, int | None]]:
    """Whether she heals the victim, and whom she poisons: each once in a game."""
    healed, poisoned = False, None
    used = {event.what for event in table.events}
    for seat in table.living_as(WITCH):
        if victim is not None and "healed" not in used:
            table.add("attacked", target=victim, seen_by=(seat,))
            (answer,) = yield (table.ask(seat, "heal", (YES, NO), victim),)
            healed = answer.value == YES
            if healed:
                table.add("healed", seat, victim, seen_by=(seat,))
        if "poisoned" not in used:
            (answer,) = yield (table.ask(seat, "poison", (*table.named(table.others(seat)), NOBODY)),)
            if answer.value != NOBODY:
                poisoned = table.seat_of(answer.value)
                table.add("poisoned", seat, poisoned, seen_by=(seat,))
    return healed, poisoned
