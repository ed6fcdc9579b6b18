"""How often the villagers win when all play at random, exactly: for plain rules, ballot by ballot."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from ullage.kinds.werewolf.rules import Rules

Voters = Literal["independent", "bloc", "exile"]
"""`independent`: each votes for any other player. `bloc`: so do the villagers, and the werewolves vote
together for one of them. `exile`: somebody is exiled, whoever it is, each as likely."""

Counts = tuple[int, ...]
"""Votes that each player of a group has, in order of size: who it is makes no difference."""


def is_exact(rules: Rules) -> bool:
    """Whether `exact` knows the rules: no part at night but the werewolves', no abstention, one ballot."""
    return (
        rules.plain and not rules.abstention and rules.ties != "second_ballot" and rules.days >= rules.players
    )


def exact(rules: Rules, voters: Voters = "independent") -> Fraction:
    """The villagers' share of wins. The possessed votes as a villager does."""
    return _won(rules.werewolves, rules.players - rules.werewolves, rules, voters, rules.first_kill)


def _won(wolves: int, others: int, rules: Rules, voters: Voters, kills: bool) -> Fraction:
    """From the night on in which so many live."""
    others -= kills
    if not wolves or wolves >= others:
        return Fraction(not wolves)
    wolf, other, nobody = exiled(wolves, others, rules, voters)
    found = Fraction(0)
    for chance_of, pack, rest in (
        (wolf, wolves - 1, others),
        (other, wolves, others - 1),
        (nobody, wolves, others),
    ):
        if not pack:
            found += chance_of
        elif chance_of and pack < rest:
            found += chance_of * _won(pack, rest, rules, voters, True)
    return found


def exiled(wolves: int, others: int, rules: Rules, voters: Voters) -> tuple[Fraction, Fraction, Fraction]:
    """The chances that a ballot of so many exiles a werewolf, another player, nobody."""
    living = wolves + others
    if voters == "exile" or (
        voters == "independent" and rules.ties == "random"
    ):  # no player is unlike another
        return Fraction(wolves, living), Fraction(others, living), Fraction(0)
    hit = [Fraction(0)] * 3
    for pack, rest, share in _counted(wolves, others, voters == "bloc"):
        most = max(*pack, *rest)
        leading = pack.count(most), rest.count(most)
        if sum(leading) == 1 and (rules.exile == "plurality" or 2 * most > living):
            hit[0 if leading[0] else 1] += share
        elif rules.ties == "nobody":
            hit[2] += share
        else:
            if sum(leading) == 1:  # who leads without a majority: all with a vote are drawn from
                leading = sum(map(bool, pack)), sum(map(bool, rest))
            hit[0] += share * Fraction(leading[0], sum(leading))
            hit[1] += share * Fraction(leading[1], sum(leading))
    return hit[0], hit[1], hit[2]


@lru_cache(maxsize=64)
def _counted(wolves: int, others: int, bloc: bool) -> tuple[tuple[Counts, Counts, Fraction], ...]:
    """Every result of a ballot, and its chance: the votes of each werewolf, of each other, both in order.

    Voters vote one after another. Those who have not yet voted are kept apart, for none votes for itself.
    """
    begin = (tuple([0] * wolves), (), tuple([0] * others), ())
    states: dict[tuple[Counts, Counts, Counts, Counts], Fraction] = {begin: Fraction(1)}
    if bloc:
        first = (wolves, *[0] * (others - 1))
        states = {((), begin[0], tuple(sorted(first)), ()): Fraction(1)}
    for _ in range(others if bloc else wolves + others):
        after: dict[tuple[Counts, Counts, Counts, Counts], Fraction] = {}
        for state, share in states.items():
            for found, part in _one_vote(state, wolves + others - 1):
                after[found] = after.get(found, Fraction(0)) + share * part
        states = after
    return tuple((pack, rest, share) for (_, pack, _, rest), share in states.items())


def _one_vote(
    state: tuple[Counts, Counts, Counts, Counts], candidates: int
) -> Iterator[tuple[tuple[Counts, Counts, Counts, Counts], Fraction]]:
    """The next who has not voted does: a werewolf, else another. `state` is the votes of the werewolves who
    have yet to vote and who have, and of the others."""
    place = 0 if state[0] else 2
    own, groups = state[place][0], list(state)
    groups[place] = state[place][1:]
    for group, counts in enumerate(groups):
        for votes in set(counts):
            rest = list(counts)
            rest.remove(votes)
            changed = list(groups)
            changed[group] = tuple(sorted([*rest, votes + 1]))
            changed[place + 1] = tuple(sorted([*changed[place + 1], own]))
            yield (changed[0], changed[1], changed[2], changed[3]), Fraction(counts.count(votes), candidates)
