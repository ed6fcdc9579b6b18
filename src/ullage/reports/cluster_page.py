"""What a workload comes to on the machines of a cluster: a page and a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ullage.reports.figures import UNKNOWN, dollars, duration, durations, number, spread, whole
from ullage.reports.pages.page import Items, Page, Section
from ullage.reports.pages.table import Table

if TYPE_CHECKING:
    from ullage.planning.cluster.cluster_plan import ClusterPlan, NodePlan
    from ullage.units import Estimate

COLUMNS: Final = (
    "nodes",
    "replicas each",
    "verdict",
    "peak GiB",
    "records/s",
    "waits for",
    "$/h",
)
LEAST_LOST: Final = 0.01
"""Nodes, below which nothing is said of losing them."""
NUMBERS: Final = frozenset(("peak GiB", "records/s", "$/h"))


def cluster_page(plan: ClusterPlan) -> Page:
    """The answer, how its time is made up, the machines, what they read and write, what was assumed."""
    opening = Items(tuple(_answer(plan)))
    rows = tuple(_row(node) for node in plan.nodes)
    sections = [Section("nodes", (Table(COLUMNS, rows, NUMBERS, _host(plan)),))]
    if plan.seconds is not None:
        sections.append(Section("what becomes the limit", (Items(tuple(_limits(plan))),)))
    sections.append(Section("known how", (Items(plan.notes),)))
    return Page(repr(plan)[1:-1], tuple(sections), (opening,))


def _answer(plan: ClusterPlan) -> Iterator[str]:
    what = _many(plan.examples, "record")
    if plan.seconds is None:
        yield f"{what}: time and cost {UNKNOWN}"
        return
    assert plan.partition is not None
    assert plan.partitions is not None
    yield f"{what} in {durations(plan.seconds)}, {dollars(plan.usd)}, {dollars(plan.usd_per_1000)} per 1000"
    yield (
        f"start {durations(plan.start)}; then {spread(plan.records_per_second)} records/s for "
        f"{durations(plan.steady)}; the last partitions {durations(plan.end)}"
    )
    yield f"{_many(plan.partitions, 'partition')} of {_many(plan.partition, 'record')}"
    if plan.interruptions >= LEAST_LOST:
        yield (
            f"{plan.interruptions:,.2g} nodes are expected to be lost; {100 * plan.lost_share:.2g} % of the "
            "work is done again for it"
        )


def _many(count: int, noun: str) -> str:
    return f"one {noun}" if count == 1 else f"{count:,} {noun}s"


def _row(node: NodePlan) -> tuple[str, ...]:
    rate = node.records_per_second
    return (
        f"{node.count:,} x ({node.node})",
        f"{node.replicas} on {node.cards}{f', {node.sharing} a card' if node.sharing > 1 else ''}",
        node.verdict,
        number(node.peak.high),
        UNKNOWN if rate is None else f"{rate.expected:,.2f}",
        node.bound,
        UNKNOWN if node.usd_per_hour is None else f"{node.usd_per_hour:,.2f}",
    )


def _host(plan: ClusterPlan) -> str:
    """What stands below the table of nodes."""
    parts = [f"host memory of a node: {number(node.host.high)} GiB" for node in plan.nodes if node.host.high]
    prices = [f"{node.price_label}, {node.price_as_of}" for node in plan.nodes if node.price_label]
    return "; ".join((*parts, *(f"prices: {each}" for each in dict.fromkeys(prices))))


def _limits(plan: ClusterPlan) -> Iterator[str]:
    for node in plan.nodes:
        for what, needs in (("network", node.network_needs), ("disk", node.disk_needs)):
            if node.bound == what:
                yield f"{node.node}: its {what} is the limit now"
            elif needs is not None and needs.high > 0:
                yield f"{node.node}: its {what} would be below {_flow(needs)}"
    if plan.read_per_second is not None and plan.written_per_second is not None:
        yield (
            f"the store that all share gives {_flow(plan.read_per_second)} of records and takes "
            f"{_flow(plan.written_per_second)} of results; at the start {number(plan.fetched_bytes)} GiB of "
            f"models{_copied(plan)}"
        )
    if plan.slow_end is not None and plan.slow_steady is not None:
        yield (
            f"a replica of half the speed makes the steady state {duration(plan.slow_steady)} longer, and "
            f"the end up to {duration(plan.slow_end)}"
        )


def _copied(plan: ClusterPlan) -> str:
    nodes, size = sum(node.count for node in plan.nodes), plan.copied_bytes
    return f", and to all nodes {whole(size * nodes)} GiB of the input" if size.high else ""


def _flow(value: Estimate) -> str:
    """Bytes a second, decimal, as networks and disks are sold."""
    unit, name = next(
        ((unit, name) for unit, name in ((1e9, "GB/s"), (1e6, "MB/s")) if value.expected >= unit),
        (1e3, "kB/s"),
    )
    return f"{spread(value * (1 / unit), '{:,.3g}')} {name}"
