"""A run's residency pool on the terminal: who is where, who waits, what is taken of every budget."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ullage.records.pool import PlaceUse, RoleSeen
from ullage.records.pool_of_run import PoolOfRun
from ullage.reports.tables import print_named
from ullage.units import GIB, MIB, gib

STATES = {
    "running": "now",
    "cut short": "as it was when the run was cut short: no process runs here",
    "ended": "as it was when the run ended",
}


def show_pool(found: PoolOfRun, console: Console) -> None:
    """Each place with its budget, each role with where it is, and who waits."""
    seen = found.seen
    console.print(Text(f"{found.folder}: {STATES[found.state]}"))
    if seen.simulated:
        console.print(Text("its devices are simulated: memory of this machine with budgets of their own"))
    for place in seen.places:
        console.print(Text(_place(place)))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("role", "where", "bytes", "since", "lent", "loads", "a load takes"):
        table.add_column(name)
    for role in seen.roles:
        table.add_row(*_cells(role))
    if seen.roles:
        print_named(table, console)
    for each in seen.waiting:
        console.print(f"{each.role} is waited for, since {each.seconds:,.1f} s")
    if seen.failures:
        console.print(Text(f"{seen.failures} loads failed", style="yellow"))


BAR = 20
"""Characters of a full bar."""


def _place(place: PlaceUse) -> str:
    share = place.used / place.budget if place.budget else 0.0
    bar = ("█" * round(BAR * share)).ljust(BAR, "·")
    used, budget, most = map(_size, (place.used, place.budget, place.most))
    return f"{place.place:6} {bar} {used} of {budget} taken, at most {most}"


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
