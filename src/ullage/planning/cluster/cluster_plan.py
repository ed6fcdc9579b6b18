"""What a workload comes to on the machines of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ullage.planning.verdict import Verdict
from ullage.shown import Shown, named
from ullage.units import Estimate, Interval

Bound = Literal["compute", "network", "disk", "unknown"]


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One type of machine, of `size` cards: `replicas` on each, every one on `cards` of it, `sharing` on each
    card. Seconds of a record are those of one replica, records a second of all machines; `bound` says what
    they wait for. `needs` are bytes a second that a machine's network and disk carry; `host` is what all
    replicas of a machine take of its host memory."""

    node: str
    count: int
    size: int
    replicas: int
    cards: str
    sharing: int
    verdict: Verdict
    peak: Interval
    host: Interval
    interruptions_per_hour: float
    start: Estimate
    start_basis: Literal["given", "assumed"]
    load: Estimate
    fetch: Estimate | None
    record_seconds: Estimate | None
    records_per_second: Estimate | None
    bound: Bound
    network_needs: Estimate | None
    disk_needs: Estimate | None
    usd_per_hour: float | None
    price_label: str
    price_as_of: str
    spot: bool
    machine: str
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ClusterPlan(Shown):
    """All machines together; `verdict` is the worst of any. `seconds` go from asking for them until the last
    record is there: `start`, the steady state, and an end in which some have nothing to do. `interruptions`
    are machines lost until then; `lost_share` of all work is begun again for it. A replica of half the speed
    would make the steady state `slow_steady` seconds longer, and the end up to `slow_end`.
    Bytes a second are those of the steady state, for all machines; `copied_bytes` those of an input
    in a store, of which each machine has all before it begins. None where the time of a phase is not
    known, or a price is not."""

    workload: str
    examples: int
    verdict: Verdict
    nodes: tuple[NodePlan, ...]
    partition: int | None
    partitions: int | None
    start: Estimate
    steady: Estimate | None
    end: Estimate | None
    seconds: Estimate | None
    records_per_second: Estimate | None
    usd: Estimate | None
    usd_per_1000: Estimate | None
    interruptions: float
    lost_share: float
    slow_steady: float | None
    slow_end: float | None
    read_per_second: Estimate | None
    written_per_second: Estimate | None
    fetched_bytes: int
    copied_bytes: Interval
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        replicas = sum(node.count * node.replicas for node in self.nodes)
        count = sum(node.count for node in self.nodes)
        return f"<ClusterPlan of {named(self.workload)}: {replicas:,} replicas on {count:,} nodes>"
