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


def cluster_file(
    plan: ClusterPlan, form: str, *, image: str, cloud: str = "", region: str = "", head: str = ""
) -> str:
    """The file that starts the cluster of a plan, as YAML: `form` is `kuberay` (a RayCluster) or `vm` (what
    `ray up` takes, of `cloud` aws, gcp or azure, in a `region`, `head` the type of machine that hands out the
    work). `image` has Ray and Ullage in it. Raises InputError for another form or cloud, and where a kind of
    node does not say its type of machine."""
    from ullage.errors import InputError
    from ullage.reports.cluster_file import Wanted, kuberay_file, vm_file

    if form not in ("kuberay", "vm"):
        raise InputError(f"--for {form!r}: there are kuberay and vm")
    if not image.strip():
        raise InputError("--image: name the image that has Ray and Ullage in it")
    wanted = Wanted(image, cloud, region, head)
    if form == "kuberay":
        return kuberay_file(plan, wanted)
    if not region or not head:
        raise InputError("a cluster of virtual machines needs --region and --head-type")
    return vm_file(plan, wanted)
