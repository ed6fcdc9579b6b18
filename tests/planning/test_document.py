"""A plan is written down and read back whole."""

import json
from pathlib import Path

import pytest

from ullage import api
from ullage.errors import FormatError
from ullage.planning.document import plan_document

EXAMPLES = sorted(Path(__file__).parents[2].glob("examples/*.yaml"))


def made(path, gpus=None):
    workload = api.load(path)
    return api.plan(workload, gpus or workload.budget.gpus or "2xA100-80GB", base=path.parent)


@pytest.mark.long
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_plan_read_back_is_the_same_plan(path, tmp_path):
    plan = made(path)
    target = tmp_path / "plan.json"
    target.write_text(json.dumps(plan_document(plan)))
    read = api.read_plan(target, base=path.parent)
    assert read == plan
    assert plan_document(read) == plan_document(plan)


def test_a_workload_file_is_no_plan():
    assert api.read_plan(EXAMPLES[0]) is None


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.pop("settled"), "earlier version"),
        (lambda d: d.update(version=99), "no plan that this ullage reads"),
        (lambda d: d["phases"][0].pop("work"), "changed or cut short"),
        (lambda d: d["items"][0]["bytes"].update(low=10**15), "changed or cut short"),
        (lambda d: d["phases"][0]["resident"][0].update(name="nobody"), "changed or cut short"),
        (lambda d: d.pop("devices"), "changed or cut short"),
    ],
)
def test_a_changed_plan_is_refused_in_one_line(change, said, tmp_path):
    document = json.loads(json.dumps(plan_document(made(EXAMPLES[0]))))
    change(document)
    target = tmp_path / "plan.json"
    target.write_text(json.dumps(document))
    with pytest.raises(FormatError, match=said) as caught:
        api.read_plan(target)
    assert "\n" not in str(caught.value)


def test_one_model_gives_an_estimate_from_python_as_on_the_command_line():
    assert api.estimate_model("ullage:tiny", "cpu").to_json()["document"] == "estimate"
    assert made(EXAMPLES[0]).to_json()["document"] == "plan"
