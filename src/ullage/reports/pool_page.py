"""A run's residency pool: who is where, who waits, what is taken of every budget."""

from __future__ import annotations

from collections.abc import Iterator

from ullage.records.pool import PlaceUse, RoleSeen
from ullage.records.pool_of_run import PoolOfRun
from ullage.reports.pages.page import Facts, Gauge, Part, Prose
from ullage.reports.pages.table import Table
from ullage.units import GIB, MIB, gib

STATES = {
    "running": "now",
    "cut short": "as it was when the run was cut short: no process runs here",
    "ended": "as it was when the run ended",
}


def pool_page(found: PoolOfRun) -> Iterator[Part]:
    """Each place with its budget, each role with where it is, and who waits."""
    seen = found.seen
    yield Prose(f"{found.folder}: {STATES[found.state]}")
    if seen.simulated:
        yield Prose("its devices are simulated: memory of this machine with budgets of their own")
    yield Facts(tuple((place.place, (_gauge(place),)) for place in seen.places))
    if seen.roles:
        columns = ("role", "where", "bytes", "since", "lent", "loads", "a load takes")
        yield Table(columns, tuple(map(_cells, seen.roles)))
    for each in seen.waiting:
        yield Prose(f"{each.role} is waited for, since {each.seconds:,.1f} s")
    if seen.failures:
        yield Prose(f"{seen.failures} loads failed", "warning")


def _gauge(place: PlaceUse) -> Gauge:
    share = place.used / place.budget if place.budget else 0.0
    used, budget, most = map(_size, (place.used, place.budget, place.most))
    return Gauge(share, share, f"{used} of {budget} taken, at most {most}")


def _size(size: int) -> str:
    """In MiB where it would be hardly anything in GiB."""
    return gib(size) if size >= GIB or not size else f"{size / MIB:,.1f} MiB"


def _cells(role: RoleSeen) -> tuple[str, ...]:
    held = ", ".join(f"{_size(size)} on {place}" for place, size in role.bytes.items() if size)
    where = role.where if role.form in ("", "full") else f"{role.where} ({role.form})"
    return (
        " = ".join((role.name, *role.aliases)) + (f" ({role.stays})" if role.stays else ""),
        where,
        held or "-",
        f"{role.seconds:,.1f} s",
        f"{role.leases}" if role.leases else "-",
        f"{role.loads}",
        f"{role.load_seconds:,.3f} s" if role.loads else "-",
    )


def pool_document(found: PoolOfRun) -> dict[str, object]:
    """As JSON; bytes and seconds."""
    return {**found.seen.to_json(), "folder": str(found.folder), "state": found.state}
