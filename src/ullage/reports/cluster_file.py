"""The file from which a cluster is started that a plan needs: KubeRay's, or that of Ray's own launcher."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import ceil
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ullage.errors import InputError
from ullage.text import one_line
from ullage.units import GIB

if TYPE_CHECKING:
    from ullage.planning.cluster.cluster_plan import ClusterPlan, NodePlan

RAY: Final = "2.60.0"
"""The version that runs are tried with."""
HEAD: Final = {"cpu": "4", "memory": "16Gi"}
"""Of the machine that hands partitions out, assumed."""
SUBMIT: Final = (
    "ray job submit --address http://HEAD:8265 -- ullage run SHARED/FILE --gpus '{cards}' --out SHARED/RUN "
    "--on ray"
)
"""How a run is begun from a machine that is none of the cluster's: there is no `ray://` for that. It begins
on the head, which has no card: --gpus says what the others have."""
PROCESS: Final = 6 * GIB
"""Bytes of host memory of one replica beside what its plan keeps there, assumed: the interpreter, torch, its
libraries, and pages of the files that it loads."""
CLOUDS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "aws": ("InstanceType", {"InstanceMarketOptions": {"MarketType": "spot"}}),
    "gcp": ("machineType", {"scheduling": [{"preemptible": True}]}),
    "azure": ("vmSize", {"priority": "Spot"}),
}
"""By cloud how Ray's launcher has the machine's type, and what asks for spot machines."""


class Wanted(NamedTuple):
    """What a cluster file needs beside the plan: the image that has Ray and Ullage; of virtual machines the
    cloud, its region and the type of the head."""

    image: str
    cloud: str = ""
    region: str = ""
    head: str = ""


def kuberay_file(plan: ClusterPlan, wanted: Wanted) -> str:
    """A RayCluster of KubeRay (ray.io/v1): a head without cards, a group of workers for each kind of node."""
    head = _container("ray-head", wanted.image, HEAD)
    groups = []
    for number, node in enumerate(plan.nodes):
        resources = {"nvidia.com/gpu": str(node.size), "memory": f"{ceil(_host_bytes(node) / GIB)}Gi"}
        pod: dict[str, Any] = {"containers": [_container("ray-worker", wanted.image, resources)]}
        if node.labels:
            pod["nodeSelector"] = dict(node.labels)
        count = dict.fromkeys(("replicas", "minReplicas", "maxReplicas"), node.count)
        name = {"groupName": f"nodes-{number}", "rayStartParams": {"num-gpus": str(node.size)}}
        groups.append({**name, **count, "template": {"spec": pod}})
    document = {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": _name(plan)},
        "spec": {
            "rayVersion": RAY,
            "headGroupSpec": {
                "rayStartParams": {"dashboard-host": "0.0.0.0", "num-cpus": "0"},
                "template": {"spec": {"containers": [head]}},
            },
            "workerGroupSpecs": groups,
        },
    }
    unlabelled = [f"nodes-{at}" for at, node in enumerate(plan.nodes) if node.spot and not node.labels]
    missing = f"{', '.join(unlabelled)}: spot, but no label says so: add `label KEY=VALUE`"
    return _text(plan, document, (missing,) if unlabelled else ())


def vm_file(plan: ClusterPlan, wanted: Wanted) -> str:
    """What `ray up` takes: a head without cards, a node type for each kind of node.

    Raises InputError where a kind of node does not say its machine, and for an unknown cloud.
    """
    if wanted.cloud not in CLOUDS:
        raise InputError(f"--cloud {wanted.cloud!r}: there are {', '.join(CLOUDS)}")
    named, spot = CLOUDS[wanted.cloud]
    region = "location" if wanted.cloud == "azure" else "region"
    types: dict[str, Any] = {
        "head": {"resources": {"CPU": 0}, "node_config": _machine(wanted.cloud, {named: wanted.head})}
    }
    for number, node in enumerate(plan.nodes):
        if not node.machine:
            raise InputError(f"{node.count}x({node.node}): say what the cloud calls it: ; type p5.48xlarge")
        config = {named: node.machine, **(spot if node.spot else {})}
        types[f"nodes-{number}"] = {
            "resources": {"GPU": node.size},
            "node_config": _machine(wanted.cloud, config),
            "min_workers": node.count,
            "max_workers": node.count,
        }
    document = {
        "cluster_name": _name(plan),
        "max_workers": sum(node.count for node in plan.nodes),
        "provider": {
            "type": wanted.cloud,
            region: wanted.region,
        },
        "docker": {"image": wanted.image, "container_name": "ray"},
        "head_node_type": "head",
        "available_node_types": types,
    }
    return _text(plan, document, ())


def _machine(cloud: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"azure_arm_parameters": config} if cloud == "azure" else config


def _container(name: str, image: str, resources: Mapping[str, str]) -> dict[str, Any]:
    both = {"limits": dict(resources), "requests": dict(resources)}
    return {"name": name, "image": image, "resources": both}


def _host_bytes(node: NodePlan) -> int:
    return node.host.high + node.replicas * PROCESS


def _name(plan: ClusterPlan) -> str:
    """As Kubernetes allows."""
    plain = re.sub(r"[^a-z0-9]+", "-", plan.workload.casefold()).strip("-")[:40].strip("-")
    return f"ullage-{plain}" if plain else "ullage"


def _text(plan: ClusterPlan, document: dict[str, Any], more: tuple[str, ...]) -> str:
    import yaml

    comments = "".join(f"# {one_line(line)}\n" for line in (*_said(plan), *more))
    return comments + str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def _said(plan: ClusterPlan) -> Iterator[str]:
    yield f"{plan!r}"[1:-1]
    cards = tuple(dict.fromkeys(node.cards for node in plan.nodes))
    yield f"then: {SUBMIT.format(cards='CARDS' if len(cards) > 1 else cards[0])}"
    if len(cards) > 1:
        yield f"CARDS: one of {', '.join(cards)}; a run has one plan, which all nodes have to fit"
    yield (
        "SHARED: a folder that all nodes have at one path, with FILE, inputs, models and the run in it; none "
        "is mounted here: add your volume, or name inputs, models and partition.store by their URLs"
    )
    for number, node in enumerate(plan.nodes):
        kind = "spot" if node.spot else "not spot"
        yield (
            f"nodes-{number}: {node.count} of {node.node}, {kind}; {node.replicas} replicas each on "
            f"{node.cards}, host memory {_host_bytes(node) / GIB:.1f} GiB (6 GiB a replica assumed beside "
            "the plan's)"
        )
