"""Cluster files against the schemas of those who read them."""

from __future__ import annotations

import gzip
import json
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest
import yaml

import ullage
from ullage.cli.main import main

EXAMPLES = Path(__file__).parents[2] / "examples"
SCHEMAS = Path(__file__).parents[1] / "cluster_schemas"
SPOT = "3x(8xL4; spot 0.05/h; type g6.48xlarge; label cloud.google.com/gke-spot=true)"
NODES = f"{SPOT} + 2x(4xA100-80GB; type a100)"
VM = ("--cloud", "aws", "--region", "us-east-1", "--head-type", "m7i.xlarge")


@pytest.fixture
def cluster(capsys):
    def call(*arguments, nodes=NODES, code=0):
        with pytest.raises(SystemExit) as ended:
            main(["cluster", str(EXAMPLES / "pii.yaml"), "--nodes", nodes, "--image", "ours:1", *arguments])
        output = capsys.readouterr()
        assert ended.value.code == code, output.err
        return output.out or output.err

    return call


def kuberay_schema():
    """KubeRay's, closed: Kubernetes drops fields that no schema has."""
    schema = json.loads(gzip.decompress((SCHEMAS / "kuberay-1.7.0-raycluster-v1.json.gz").read_bytes()))

    def close(part):
        if isinstance(part, dict):
            if isinstance(part.get("properties"), dict) and "additionalProperties" not in part:
                part["additionalProperties"] = part.get("x-kubernetes-preserve-unknown-fields", False)
            for each in part.values():
                close(each)
        elif isinstance(part, list):
            for each in part:
                close(each)

    close(schema)
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def test_kuberays_file_is_what_its_schema_has_and_the_plan_needs(cluster):
    text = cluster("--for", "kuberay")
    found = yaml.safe_load(text)
    schema = kuberay_schema()
    jsonschema.validate(found, schema)
    with pytest.raises(jsonschema.ValidationError):  # the schema is closed
        jsonschema.validate({**found, "spec": {**found["spec"], "workers": 3}}, schema)
    spot, other = found["spec"]["workerGroupSpecs"]
    plan = ullage.plan_cluster(ullage.load(EXAMPLES / "pii.yaml"), NODES)
    assert [group["replicas"] for group in (spot, other)] == [node.count for node in plan.nodes]
    (container,) = spot["template"]["spec"]["containers"]
    assert container["image"] == "ours:1"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "8"
    assert spot["template"]["spec"]["nodeSelector"] == {"cloud.google.com/gke-spot": "true"}
    assert "nodeSelector" not in other["template"]["spec"]
    assert "--gpus 'CARDS'" in text  # of two kinds: the run's plan is for one
    assert "# CARDS: one of 1x L4, 1x A100-SXM4-80GB" in text


def test_a_run_is_begun_for_the_cards_of_the_nodes(cluster):
    """The head has none, and the file may say other ones."""
    assert "ullage run SHARED/FILE --gpus '1x L4' --out" in cluster("--for", "kuberay", nodes="3x(8xL4)")


def test_spot_nodes_without_a_label_are_told_of(cluster):
    text = cluster("--for", "kuberay", nodes="3x(8xL4; spot 0.05/h)")
    assert "nodes-0: spot, but no label says so" in text


def test_a_launchers_file_has_the_machines_of_the_plan(cluster, tmp_path):
    out = tmp_path / "cluster.yaml"
    assert cluster("--for", "vm", *VM, "--out", str(out)).strip() == str(out)
    found = yaml.safe_load(out.read_text())
    spot, other = (found["available_node_types"][name] for name in ("nodes-0", "nodes-1"))
    market = {"InstanceMarketOptions": {"MarketType": "spot"}}
    assert spot["node_config"] == {"InstanceType": "g6.48xlarge", **market}
    assert other["node_config"] == {"InstanceType": "a100"}
    assert (spot["min_workers"], spot["resources"], found["max_workers"]) == (3, {"GPU": 8}, 5)


@pytest.mark.skipif(
    find_spec("ray") is None, reason="ray is not installed: its launcher's schema is not at hand"
)
@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
def test_a_launchers_file_is_what_rays_schema_has(cluster, cloud):
    schema = Path(find_spec("ray").origin).parent / "autoscaler" / "ray-schema.json"
    text = cluster("--for", "vm", *VM, "--cloud", cloud)
    jsonschema.validate(yaml.safe_load(text), json.loads(schema.read_text()))


@pytest.mark.parametrize(
    ("arguments", "nodes", "said"),
    [
        (("--for", "slurm"), NODES, "there are kuberay and vm"),
        (("--for", "vm"), NODES, "needs --region and --head-type"),
        (("--for", "vm", *VM, "--cloud", "moon"), NODES, "there are aws, gcp, azure"),
        (("--for", "vm", *VM), "2x(4xL4)", "say what the cloud calls it"),
        (("--for", "kuberay", "--image", " "), NODES, "name the image"),
        (("--for", "kuberay", "--out", "/nowhere/at/all.yaml"), NODES, "cannot be written"),
        (("--for", "kuberay"), "2x(4xL4; type a; type b)", "says type twice"),
    ],
)
def test_what_cannot_be_written_is_one_line(cluster, arguments, nodes, said):
    found = cluster(*arguments, nodes=nodes, code=2)
    assert said in found
    assert len(found.splitlines()) == 1
