"""A residency pool at one moment: who is where, who waits, and what is taken of every budget.

While a run lasts its folder holds a snapshot; a finished run's record holds the last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ullage.documents import VERSION, document
from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.records.seal import read_sealed, write_sealed

POOL: Final = "pool.json"


@dataclass(frozen=True, slots=True)
class PlaceUse:
    """A budget in bytes, what is taken of it or spoken for, and the most that ever was."""

    place: str
    budget: int
    used: int
    most: int


@dataclass(frozen=True, slots=True)
class RoleSeen:
    """A role: `where` is disk, host, device or moving; `seconds` since it came there, and since the longest
    of its `leases` began (0: none). `bytes` by place; `load_seconds` of its last loads, on average."""

    name: str
    aliases: tuple[str, ...]
    where: str
    form: str
    bytes: Mapping[str, int]
    seconds: float
    leases: int
    lent_seconds: float
    loads: int
    load_seconds: float
    stays: str
    """persistent, pinned, or nothing."""


@dataclass(frozen=True, slots=True)
class WaiterSeen:
    """One who waits for a role, since so many seconds, and for how many more at most."""

    role: str
    seconds: float
    longest: float


@dataclass(frozen=True, slots=True)
class PoolSeen:
    """A pool. `simulated`: its devices are the processor's memory with budgets of their own. `expected` is
    how likely each role is thought to be next; `failures` are loads that failed."""

    simulated: bool
    closed: bool
    places: tuple[PlaceUse, ...]
    roles: tuple[RoleSeen, ...]
    waiting: tuple[WaiterSeen, ...]
    expected: Mapping[str, float]
    failures: int

    def to_json(self) -> dict[str, object]:
        """As a document."""
        return document("pool", PoolSeen, self)


def write_pool(folder: Path, seen: PoolSeen) -> None:
    """Writes it into a run's folder, whole or not at all."""
    write_sealed(folder / POOL, seen.to_json())


def read_pool(folder: Path) -> PoolSeen:
    """What `write_pool` wrote last. Raises FormatError."""
    path = folder / POOL
    try:
        values = read_sealed(path)
    except FileNotFoundError as error:
        raise FormatError(f"{folder}: no {POOL}; its run has no pool, or is of an earlier version") from error
    return pool_of(Fields(values, f"{path}: not a pool"), str(path))


def pool_of(found: Fields, where: str) -> PoolSeen:
    """A document of a pool; `where` begins messages. Raises FormatError."""
    if found.text("document") != "pool" or found.whole("version") != VERSION:
        raise FormatError(f"{where}: not a pool of version {VERSION}")
    return PoolSeen(
        found.flag("simulated"),
        found.flag("closed"),
        tuple(
            PlaceUse(one.text("place"), one.whole("budget"), one.whole("used"), one.whole("most"))
            for one in found.each("places")
        ),
        tuple(_role(one) for one in found.each("roles")),
        tuple(
            WaiterSeen(one.text("role"), one.number("seconds"), one.number("longest"))
            for one in found.each("waiting")
        ),
        found.inner("expected").numbers(),
        found.whole("failures"),
    )


def _role(one: Fields) -> RoleSeen:
    return RoleSeen(
        one.text("name"),
        tuple(str(each) for each in one.array("aliases")),
        one.text("where"),
        one.text("form"),
        one.inner("bytes").wholes(),
        one.number("seconds"),
        one.whole("leases"),
        one.number("lent_seconds"),
        one.whole("loads"),
        one.number("load_seconds"),
        one.text("stays"),
    )
