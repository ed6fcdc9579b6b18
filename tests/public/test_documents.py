"""Every document that a command prints or a run leaves is what its schema says."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

import ullage
from ullage.cli.main import main
from ullage.errors import UnknownNameError

ROOT = Path(__file__).parents[2]


def valid(document):
    """The word it begins with, once it was held against that word's schema."""
    jsonschema.validate(document, ullage.document_schema(document["document"]))
    return document["document"]


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


def test_every_documented_document_has_a_schema():
    page = (ROOT / "docs/json.md").read_text()
    _, _, others = page.partition("## The others")
    named = {"plan", "estimate", *re.findall(r"\*\*([a-z-]+)\*\*", others)}
    for kind in named:
        jsonschema.Draft202012Validator.check_schema(ullage.document_schema(kind))
    assert {"survey", "pii", "pii-comparison", "calibration", "verification", "run"} <= named


def test_an_unknown_document_says_which_there_are():
    with pytest.raises(UnknownNameError, match="unknown document 'surveys'; nearest: survey"):
        ullage.document_schema("surveys")
