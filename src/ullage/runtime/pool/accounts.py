"""Whose the bytes of every budget are."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import TypeAlias

Sizes: TypeAlias = Mapping[str, int]
"""Bytes by place: the name of a device, or "host"."""


class Accounts:
    """Bytes that are taken or spoken for, by owner.

    Invariant: at every instant no place has more bytes taken than its budget.
    """

    def __init__(self, budgets: Sizes) -> None:
        self.budgets = dict(budgets)
        self.most = dict.fromkeys(self.budgets, 0)
        """By place the most bytes that were ever taken."""
        self._taken: dict[Hashable, dict[str, int]] = {}

    def used(self) -> dict[str, int]:
        """Bytes taken, by place."""
        return together(dict.fromkeys(self.budgets, 0), *self._taken.values())

    def free(self) -> dict[str, int]:
        """Bytes that nobody has, by place."""
        used = self.used()
        return {place: budget - used[place] for place, budget in self.budgets.items()}

    def of(self, owner: Hashable) -> dict[str, int]:
        """Bytes that one owner has, by place."""
        return dict(self._taken.get(owner, {}))

    def exchange(self, gone: Collection[Hashable], come: Iterable[tuple[Hashable, Sizes]]) -> None:
        """Closes some owners' accounts and opens others, in one instant."""
        taken = {owner: held for owner, held in self._taken.items() if owner not in gone}
        for owner, held in come:
            taken[owner] = {place: size for place, size in held.items() if size}
        used = together(dict.fromkeys(self.budgets, 0), *taken.values())
        over = exceeding(used, self.budgets)
        assert not over, f"beyond the budget: {over}"
        self._taken = taken
        self.most = either(self.most, used)


def together(*parts: Sizes) -> dict[str, int]:
    """The sum: things that are there at once."""
    found: dict[str, int] = {}
    for part in parts:
        for place, size in part.items():
            found[place] = found.get(place, 0) + size
    return found


def without(whole: Sizes, part: Sizes) -> dict[str, int]:
    """`whole` less `part`; may be below zero."""
    return {place: whole.get(place, 0) - part.get(place, 0) for place in {**whole, **part}}


def either(*parts: Sizes) -> dict[str, int]:
    """The maximum: things that are not there at once."""
    return {place: max(part.get(place, 0) for part in parts) for place in together(*parts)}


def exceeding(need: Sizes, room: Sizes) -> dict[str, int]:
    """Bytes of `need` that there is no room for, by place; empty where all of it fits."""
    over = {place: size - room.get(place, 0) for place, size in need.items()}
    return {place: size for place, size in over.items() if size > 0}


def of_places(sizes: Sizes, places: Iterable[str]) -> dict[str, int]:
    """The part of `sizes` that is in `places`."""
    wanted = set(places)
    return {place: size for place, size in sizes.items() if place in wanted}
