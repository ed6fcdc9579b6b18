"""What a workload comes to on the machines of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ullage.facts.price import Prices
    from ullage.planning.cluster.cluster_plan import ClusterPlan
    from ullage.spec.workload import Workload


def plan_cluster(
    workload: Workload,
    nodes: str,
    *,
    base: Path | None = None,
    prices: Prices | str | Path | None = None,
    label: str | None = None,
    provider: str | None = None,
    partition: int | None = None,
) -> ClusterPlan:
    """What the workload's examples take on `nodes`, such as `4x(8xH100-80GB; spot 0.05/h) + 2x(4xL4)`: how
    many replicas there are and on which cards, the steady rate in records a second, seconds and US dollars of
    all of it with their intervals, and what would bound it. A partition has `partition` records; without one,
    as many as make the whole soonest done.

    `prices`, `label` and `provider` are those of `rentals`. Raises InputError for nodes that cannot be read
    and for a workload of which nothing is held here, UnknownNameError for an unknown card or provider,
    DoesNotFitError for a node that does not hold it.
    """
    from ullage.api.renting import lists
    from ullage.workloads.clustered import plan_cluster as plan_nodes

    if partition is not None and partition < 1:
        from ullage.errors import InputError

        raise InputError(f"partition: {partition} records are none; give 1 or more")
    return plan_nodes(workload, nodes, base=base, prices=lists(prices, label, provider), partition=partition)
