"""Every document that a command prints or a run leaves is what its schema says."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

import ullage
from ullage.api.documents import PLACES
from ullage.cli.main import main
from ullage.documents import as_json
from ullage.errors import UnknownNameError
from ullage.planning.advice.entry import Nearest, Search
from ullage.workloads.registry import kind_documents

ROOT = Path(__file__).parents[2]


def valid(document):
    """The word it begins with, once it was held against that word's schema."""
    jsonschema.validate(document, ullage.document_schema(document["document"]))
    return document["document"]


@pytest.fixture(scope="module")
def planned():
    """A plan's document, as text."""
    return json.dumps(ullage.plan(ROOT / "examples/extract.yaml", advice=False).to_json())


@pytest.fixture
def printed(capsys):
    """What a command prints with --json."""

    def printed(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--json"])
        out, err = capsys.readouterr()
        assert ended.value.code in (0, 3), err
        return json.loads(out)

    return printed


def test_a_run_its_check_and_what_is_told_of_both(printed, tmp_path):
    (tmp_path / "texts.txt").write_text("one two\nthree four five\n")
    workload = {
        "kind": "extract",
        "roles": {"model": {"model": "ullage:tiny"}},
        "captures": [{"sites": ["blocks.0.hook_resid_post", "blocks.1.hook_resid_post"]}],
        "extract": {"input": "texts.txt"},
        "prompt_tokens": 16,
        "budget": {"gpus": "cpu"},
    }
    (tmp_path / "w.yaml").write_text(json.dumps(workload))
    run = tmp_path / "run"
    assert valid(printed("check", tmp_path / "w.yaml")) == "check"
    assert valid(printed("run", tmp_path / "w.yaml", "--out", run, "--quiet")) == "record"
    assert valid(printed("verify", run)) == "verification"
    assert valid(printed("analyse", run)) == "survey"
    for name in ("manifest.json", "record.json", "states/index.json"):
        valid(json.loads((run / name).read_text()))


def test_a_verification_of_personal_data(printed, tmp_path):
    ullage.sample("verify", tmp_path / "in.jsonl", count=60)
    arguments = ("--model-path", "ullage:tiny", "--gpus", "cpu", "--quiet", "--precision", "fp32")
    found = printed("pii", *arguments, "--input", tmp_path / "in.jsonl", "--output", tmp_path / "out.jsonl")
    assert valid(found) == "pii"
    run = tmp_path / "out.jsonl.run"
    assert valid(printed("pii", "compare", run)) == "pii-comparison"
    assert valid(printed("pii", "calibrate", run, "--out", tmp_path / "c.json")) == "calibration"
    assert valid(json.loads((tmp_path / "c.json").read_text())) == "calibration"


def objects(schema):
    """Every part of a schema that describes an object by its properties."""
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            yield schema
        schema = list(schema.values())
    for part in schema if isinstance(schema, list) else ():
        yield from objects(part)


def test_every_document_is_described_and_has_a_schema_that_names_all_its_fields():
    page = (ROOT / "docs/json.md").read_text()
    _, _, others = page.partition("## The others")
    described = {"plan", "estimate", *re.findall(r"\*\*([a-z-]+)\*\*", others)}
    assert described == {*PLACES, *kind_documents()}
    for word in described:
        schema = ullage.document_schema(word)
        jsonschema.Draft202012Validator.check_schema(schema)
        assert {"document", "version"} <= set(schema["required"])
        assert schema["properties"]["document"]["const"] == word
        assert all(each["additionalProperties"] is False for each in objects(schema)), word


@pytest.mark.parametrize(
    "change",
    [
        lambda plan: plan.update(version=2),
        lambda plan: plan.update(document="estimate"),
        lambda plan: plan.update(colour="red"),
        lambda plan: plan.pop("sha256"),
        lambda plan: plan.update(verdict="fits well"),
        lambda plan: plan["items"][0]["bytes"].update(low=-1),
        lambda plan: plan["items"][0].update(basis="guessed"),
        lambda plan: plan["devices"][0].pop("usable_range"),
        lambda plan: plan["phases"][0]["work"].update(batch="4"),
        lambda plan: plan["cards"][0].update(colour="red"),
        lambda plan: plan["settled"].pop("roles"),
    ],
)
def test_what_is_no_plan_is_none_by_its_schema(planned, change):
    document, schema = json.loads(planned), jsonschema.Draft202012Validator(ullage.document_schema("plan"))
    assert schema.is_valid(document)
    change(document)
    assert not schema.is_valid(document)


def test_what_does_not_fit_is_told_with_bytes_below_none_and_with_what_came_nearest():
    plan = ullage.plan(ROOT / "examples/assistant.yaml", "RTX 4090", advice=False)
    nearest = Nearest((("schedule", "swapped"),), "2x RTX A6000", 3 * 2**30)
    document = replace(plan, search=Search("cost", (), 1234, 0, nearest)).to_json()
    assert valid(document) == "plan"
    assert min(each["ullage"] for each in document["devices"] if each["ullage"] is not None) < 0
    told = {"changes": [["schedule", "swapped"]], "gpus": "2x RTX A6000", "over": 3 * 2**30}
    assert document["search"]["nearest"] == told


def test_a_model_and_a_pipeline_are_told_with_all_their_fields(printed):
    assert valid(printed("models", "ullage:tiny")) == "model"
    listed = printed("models")
    assert valid(listed) == "models"
    assert {"tied" in each for each in listed["models"]} == {True, False}


def test_names_that_are_no_text_stay_what_they_are():
    """A file may be called so; pydantic's own JSON changes keys alone."""
    odd = os.fsdecode(b"caf\xe9")
    assert as_json(Mapping[str, int], {odd: 1}) == {odd: 1}
    assert as_json(Mapping[str, object], {"a": {odd: (1, 2)}}) == {"a": {odd: [1, 2]}}


def test_an_unknown_document_says_which_there_are():
    with pytest.raises(UnknownNameError, match="unknown document 'surveys'; nearest: survey"):
        ullage.document_schema("surveys")
