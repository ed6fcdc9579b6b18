"""A run does its plan, whoever made it: nothing is opened, settled or decided twice."""

import json
from collections import Counter
from pathlib import Path

import pytest

import ullage
from ullage import api
from ullage.errors import InputError
from ullage.planning.document import plan_document
from ullage.records.folder import RunFolder
from ullage.tinyworld import json_lines

EVALUATION = """
kind: evaluate
schedule: {schedule}
roles:
  generator: {{model: "ullage:tiny", batch: 4, fallback_precisions: [int8]}}
  judge: {{model: "ullage:tiny", batch: 4}}
budget: {{gpus: cpu}}
prompt_tokens: 160
new_tokens: 8
examples: 6
evaluate: {{input: questions.jsonl, fields: {{references: null}}, samples: 1}}
"""


@pytest.fixture
def work(tmp_path):
    (tmp_path / "questions.jsonl").write_text(json_lines("answer", "test", 6, 0))
    file = tmp_path / "work.yaml"
    file.write_text(EVALUATION.format(schedule="sequential"))
    return file


def results(folder: Path) -> dict[str, bytes]:
    """What a run wrote that does not tell of time or memory."""
    return {path.name: path.read_bytes() for path in folder.glob("*.jsonl") if path.stem not in MEASURED}


MEASURED = {"timeline", "log"}


def test_a_plan_handed_over_as_json_gives_the_same_run(work, tmp_path):
    plan = ullage.plan(api.load(work), base=tmp_path, advice=False)
    (tmp_path / "plan.json").write_text(json.dumps(plan_document(plan)))
    first, _ = api.run_plan(plan, tmp_path / "one")
    second, _ = api.run_plan(api.read_plan(tmp_path / "plan.json"), tmp_path / "two")
    third, _ = ullage.run(api.load(work), tmp_path / "three", base=tmp_path)
    assert results(first) == results(second) == results(third)
    assert {"greedy.jsonl", "judge.jsonl", "journal.jsonl"} <= set(results(first))


def test_a_run_opens_each_model_once_and_settles_once(work, tmp_path, monkeypatch):
    from ullage.planning import fallbacks
    from ullage.workloads import opened as model

    opened, settled = Counter(), []
    open_model, settle = model.open_model, fallbacks.settle

    def opening(name, *given, **more):
        opened[name] += 1
        return open_model(name, *given, **more)

    def settling(*given):
        settled.append(given)
        return settle(*given)

    monkeypatch.setattr(model, "open_model", opening)
    monkeypatch.setattr(fallbacks, "settle", settling)
    ullage.run(api.load(work), tmp_path / "run", base=tmp_path)
    assert opened == {"ullage:tiny": 1}
    assert len(settled) == 1


def test_a_resumed_run_does_the_plan_it_was_begun_with(work, tmp_path, monkeypatch):
    from ullage.planning import fallbacks

    folder, _ = ullage.run(api.load(work), tmp_path / "run", base=tmp_path)
    whole = results(folder)
    (folder / "record.json").unlink()
    journal = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"".join(journal[:1]))

    def settle(*_):
        raise AssertionError("a resumed run settles nothing")

    monkeypatch.setattr(fallbacks, "settle", settle)
    ullage.resume(folder)
    assert results(folder) == whole


def test_who_is_in_memory_follows_the_plan(work, tmp_path):
    _, record = ullage.run(api.load(work), tmp_path / "turns", base=tmp_path)
    assert [freed["role"] for freed in record.outcome["freed"]] == ["generator", "judge"]
    work.write_text(EVALUATION.format(schedule="simultaneous"))
    _, record = ullage.run(api.load(work), tmp_path / "together", base=tmp_path)
    assert "freed" not in record.outcome


def test_a_run_of_an_earlier_version_is_named_as_one(work, tmp_path):
    folder, _ = ullage.run(api.load(work), tmp_path / "run", base=tmp_path)
    held = RunFolder(folder)
    record, manifest = held.record(), held.manifest()
    del manifest.plan["settled"]
    held.write_manifest(manifest)
    held.write_record(record)
    with pytest.raises(InputError, match="earlier version"):
        ullage.report(folder)
    assert ullage.verify(folder).comparisons
