"""How far a run is, as a page."""

from __future__ import annotations

from collections import Counter
from typing import Final

from ullage.documents import document
from ullage.records.status import ActorSeen, RunStatus
from ullage.reports.figures import duration
from ullage.reports.pages.page import Page, Prose, Section
from ullage.reports.pages.table import Table
from ullage.units import MIB

MOST: Final = 30
"""Actors that are listed one by one; of more each node is told."""


def status_document(found: RunStatus) -> dict[str, object]:
    """The document `status`."""
    return document("status", RunStatus, found)


def status_page(found: RunStatus) -> Page:
    """What is done and left, how fast and for how much; partitions; who does them."""
    told = (_done(found), _time(found), _cost(found), _partitions(found))
    unfit = () if found.partitions is None else found.partitions.left_out
    warnings = (*(f"left out: {line}" for line in unfit), *found.wrong)
    opening = (*(Prose(line) for line in told if line), *(Prose(each, "warning") for each in warnings))
    sections = (Section("actors", (_actors(found),)),) if found.actors else ()
    return Page(
        f"{found.folder}: {found.kind} on {found.gpus}, {found.state}", opening=opening, sections=sections
    )


def _done(found: RunStatus) -> str:
    if found.total is None:
        return f"{found.done:,} pieces of work on disk"
    share = f" ({100 * found.done / found.total:.1f} %)" if found.total else ""
    return f"{found.done:,} of {found.total:,} records{share}"


def _time(found: RunStatus) -> str:
    text = f"{duration(found.seconds)} so far" if found.state == "running" else f"{duration(found.seconds)}"
    if found.rate is not None:
        text += f"; {found.rate:,.4g} a second, by {found.basis}"
    if found.left is not None:
        text += f"; {duration(found.left)} left"
    return text


def _cost(found: RunStatus) -> str:
    if found.usd is None:
        return "cost: no price is known for these cards"
    count = f"{len(found.actors):,} actors" if found.actors else "this run"
    sharing = max((each.sharing for each in found.actors), default=1)
    whose = f"{sharing} to a card, each card" if sharing > 1 else "each"
    return f"cost: ${found.usd:,.2f} so far: {count}, {whose} at ${found.usd_per_hour:,.2f} an hour"


def _partitions(found: RunStatus) -> str:
    seen = found.partitions
    if seen is None:
        return ""
    doing = f", {seen.doing:,} in flight" if found.state == "running" else ""
    return (
        f"partitions: {seen.kept:,} of {seen.count:,} done{doing}, {seen.again:,} begun again, {seen.lost:,} "
        f"lost with their actors; {seen.trials:,} trials for records that end actors, {seen.rejected:,} of "
        "them rejected"
    )


def _actors(found: RunStatus) -> Table:
    planned = "unknown" if found.planned is None else f"{found.planned / MIB:,.0f}"
    caption = f"MiB: the most that any device of it held; planned at most {planned}"
    right = frozenset(("partitions", "records", "records/s", "MiB"))
    if len(found.actors) > MOST:
        return _by_node(found, caption)
    columns = ("actor", "node", "partitions", "records", "records/s", "does", "MiB")
    return Table(columns, tuple(map(_row, found.actors)), right, caption)


def _row(actor: ActorSeen) -> tuple[str, ...]:
    rate = f"{actor.records / actor.seconds:,.4g}" if actor.seconds else "-"
    doing = "-" if actor.doing is None else f"{actor.doing:,}"
    counts = (f"{actor.partitions:,}", f"{actor.records:,}", rate)
    return (actor.name, actor.node, *counts, doing, _size(actor.measured))


def _by_node(found: RunStatus, caption: str) -> Table:
    """A row for each node, its actors together."""
    actors: Counter[str] = Counter()
    busy: Counter[str] = Counter()
    partitions: Counter[str] = Counter()
    records: Counter[str] = Counter()
    most: dict[str, int] = {}
    for each in found.actors:
        actors[each.node] += 1
        busy[each.node] += each.doing is not None
        partitions[each.node] += each.partitions
        records[each.node] += each.records
        most[each.node] = max(most.get(each.node, 0), each.measured or 0)
    rows = tuple(
        (
            node,
            *(f"{each[node]:,}" for each in (actors, busy, partitions, records)),
            _size(most[node] or None),
        )
        for node in sorted(actors)
    )
    columns = ("node", "actors", "busy", "partitions", "records", "MiB")
    return Table(columns, rows, frozenset(columns[1:]), caption)


def _size(measured: int | None) -> str:
    return "-" if measured is None else f"{measured / MIB:,.0f}"
