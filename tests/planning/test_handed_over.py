"""A plan's document is made by the plan itself and finds its files wherever it lies."""

import json
import shutil
import subprocess
import sys

import pytest

import ullage
from ullage.errors import InputError, SpecError
from ullage.planning.document import plan_document
from ullage.tinyworld import json_lines

FILE = """\
kind: extract
roles: {model: ullage:tiny}
prompt_tokens: 256
captures: [{sites: [ln_final], positions: last, keep: disk}]
extract: {input: ../texts/few.jsonl}
budget: {gpus: cpu}
"""


@pytest.fixture
def project(tmp_path):
    """A workload file in one folder, its texts in another beside it."""
    for name in ("made", "texts"):
        (tmp_path / "project" / name).mkdir(parents=True)
    (tmp_path / "project" / "made" / "file.yaml").write_text(FILE)
    (tmp_path / "project" / "texts" / "few.jsonl").write_text(json_lines("answer", "test", 2, 0))
    return tmp_path / "project"


def test_a_plan_writes_the_document_that_is_read_back(project, tmp_path):
    plan = ullage.plan(project / "made" / "file.yaml")
    assert json.loads(json.dumps(plan.to_json())) == json.loads(json.dumps(plan_document(plan)))
    (tmp_path / "plan.json").write_text(json.dumps(plan.to_json()))
    assert ullage.read_plan(tmp_path / "plan.json") == plan


@pytest.mark.long
def test_a_plan_in_another_folder_finds_its_files(project, tmp_path, monkeypatch, forks):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    command = [sys.executable, "-m", "ullage", "plan", "../project/made/file.yaml", "--json"]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    (elsewhere / "plan.json").write_text(made.stdout)
    done = forks.run("run", "plan.json", "--out", "run")
    assert done.returncode == 0, done.stderr
    verified = ullage.verify("run")
    assert verified.to_json()["holds"] == verified.holds


def test_where_the_folder_is_not_the_plan_s_own_stands_for_it(project, tmp_path):
    (project / "made" / "plan.json").write_text(
        json.dumps(ullage.plan(project / "made" / "file.yaml").to_json())
    )
    shutil.move(project, tmp_path / "moved")
    there = tmp_path / "moved" / "made"
    assert ullage.read_plan(there / "plan.json").base == there


def test_a_plan_is_told_from_a_workload(project, tmp_path):
    (tmp_path / "plan.json").write_text(json.dumps(ullage.plan(project / "made" / "file.yaml").to_json()))
    with pytest.raises(SpecError, match="this is a plan") as caught:
        ullage.load(tmp_path / "plan.json")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="5: is no workload"):
        ullage.plan(5)
