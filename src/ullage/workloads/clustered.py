"""From a workload and the machines of a cluster to how many copies of it work there, and how long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.errors import DoesNotFitError, InputError, UnsupportedError
from ullage.units import gib
from ullage.workloads.planned import needs_card, plan

if TYPE_CHECKING:
    from ullage.facts.gpu import GpuSet
    from ullage.facts.node import NodeType
    from ullage.facts.price import Prices
    from ullage.planning.cluster.cluster_plan import ClusterPlan
    from ullage.planning.cluster.share import Share
    from ullage.planning.plan import Plan
    from ullage.spec.workload import Workload


def plan_cluster(
    workload: Workload, nodes: str, *, base: Path | None = None, prices: Prices, partition: int | None = None
) -> ClusterPlan:
    """The plan of a workload on `nodes`, as `parse_nodes` reads them.

    Each node type has as many replicas as do most records a second: on 1, 2, 4, ... or all of its cards. A
    partition has `partition` records, else what the workload says, else as many as are soonest done.
    Raises InputError for other nodes and for a workload that nothing is held of, UnsupportedError for nodes
    without cards, DoesNotFitError for a node on which it does not fit.
    """
    from ullage.facts.node import parse_nodes
    from ullage.planning.cluster.shares import cluster_plan
    from ullage.spec.card import own_cards
    from ullage.spec.partition import Partition
    from ullage.workloads.registry import find_kind

    if not needs_card(workload):
        raise InputError("every role of this workload runs elsewhere: nodes would hold nothing of it")
    types = parse_nodes(nodes, own_cards(workload.cards))
    if any(node.gpus.abilities.processor and not node.gpus.abilities.simulated for node in types):
        raise UnsupportedError(
            f"{nodes!r}: nodes are planned with cards alone, as nothing says how many processors another "
            "machine has; `ullage run FILE --on ray` runs on such nodes, and needs no plan of them"
        )
    if workload.partition is not None:
        partition = partition or workload.partition.records
    elif find_kind(workload.kind).partitioner:
        workload = workload.model_copy(update={"partition": Partition()})
    shares = [_share(workload, node, base, prices) for node in types]
    title = workload.name or workload.kind
    return cluster_plan(title, workload.examples, shares, partition, workload.partition)


def _share(workload: Workload, node: NodeType, base: Path | None, prices: Prices) -> Share:
    from ullage.planning.cluster.replica import replica_of
    from ullage.planning.cluster.share import Share

    found = list(_tried(workload, node, base, prices))
    holding = [pair for pair in found if pair[1].verdict == "fits"]
    holding = holding or [pair for pair in found if pair[1].verdict == "tight"]
    if not holding:
        raise DoesNotFitError(_too_small(node, found[-1][1]))
    made = ((each, replica_of(plan_on)) for each, plan_on in holding)
    ways = [(each * replica.sharing, replica) for each, replica in made]
    # Where a time is not known, as many as there is room for.
    count, replica = max(
        ways, key=lambda way: (way[1].known, way[0] / way[1].record.expected if way[1].record else way[0])
    )
    label = prices.only("spot") if node.spot is not None else prices
    return Share(node, count, replica, label.having(node.gpus).of(node.gpus))


def _tried(
    workload: Workload, node: NodeType, base: Path | None, prices: Prices
) -> Iterator[tuple[int, Plan]]:
    """How many times a node has as many of its cards, and the plan of a replica on them. Replicas that share
    a card by the workload's own word are tried on one alone."""
    share = workload.partition is not None and (workload.partition.per_card or 1) > 1
    for gpus in _parts(node.gpus) if not share else [replace(node.gpus, gpus=node.gpus.gpus[:1])]:
        on = workload.model_copy(update={"budget": workload.budget.model_copy(update={"gpus": None})})
        found = plan(on, _spelled(gpus), base=base, advice=False, prices=prices)
        yield len(node.gpus.gpus) // len(gpus.gpus), found


def _parts(gpus: GpuSet) -> Iterator[GpuSet]:
    """Of cards that are alike 1, 2, 4, ... of them, and all; of others all together."""
    whole = len(gpus.gpus)
    if len(set(gpus.gpus)) == 1:
        size = 1
        while size < whole:
            yield replace(gpus, gpus=gpus.gpus[:size])
            size *= 2
    yield gpus


def _spelled(gpus: GpuSet) -> str:
    """As `parse_gpu_set` reads it."""
    counts: Mapping[str, int] = {gpu.id: gpus.gpus.count(gpu) for gpu in gpus.gpus}
    return " + ".join(f"{count}x {name}" for name, count in counts.items())


def _too_small(node: NodeType, plan_on: Plan) -> str:
    over = [device for device in plan_on.devices if device.verdict == "does not fit"]
    worst = max(over, key=lambda device: device.peak.device.high)
    needs = gib(worst.peak.device.high) + ("" if worst.usable is None else f" of {gib(worst.usable)}")
    return (
        f"{node}: the workload does not fit one node: {worst.name} needs {needs}; "
        f"`ullage plan FILE --gpus '{node.gpus.name}'` says what would make it fit"
    )
