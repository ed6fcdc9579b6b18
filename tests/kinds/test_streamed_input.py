"""Inputs are read while results are written: whoever waits has the first before the last line was read."""

import json

import pytest
import small_models

import ullage
from ullage.errors import InputError
from ullage.kinds.evaluate import dataset
from ullage.records.journal import read_journal

EXTRACT = """
kind: extract
roles: {model: {model: MODEL, batch: 4}}
budget: {gpus: cpu}
prompt_tokens: 64
captures: [{sites: ["blocks.0.hook_resid_post"], positions: last, keep: disk}]
extract: {input: lines.jsonl}
"""
EVALUATE = """
kind: evaluate
roles: {generator: {model: script.jsonl, engine: scripted}}
budget: {gpus: cpu}
evaluate: {input: lines.jsonl, fields: {references: null}}
"""


@pytest.fixture(scope="module")
def smallest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "smallest"
    return small_models.save(folder, "llama", hidden=16, layers=1, heads=2, kv_heads=1)


def write_lines(folder, count, last=""):
    """So many records of ids, and one line more."""
    lines = [json.dumps({"tokens": [3 + n % 50, 4, 5 + n % 7]}) for n in range(count)]
    (folder / "lines.jsonl").write_text("\n".join([*lines, last]))


def extraction(folder, model, *overrides):
    file = folder / "work.yaml"
    file.write_text(EXTRACT.replace("MODEL", str(model)))
    return ullage.load(file, overrides)


@pytest.mark.parametrize("store", ["safetensors", "npy"])
@pytest.mark.long
def test_states_are_stored_before_the_last_line_is_read(tmp_path, smallest, store):
    write_lines(tmp_path, 3200, '{"text": ')
    workload = extraction(tmp_path, smallest, f"extract.store={store}")
    with pytest.raises(InputError, match=r"lines\.jsonl:3201: not JSON"):
        ullage.run(workload, tmp_path / "run", base=tmp_path)
    entries = list(read_journal(tmp_path / "run" / "journal.jsonl"))
    done = [example["index"] for entry in entries for example in entry["examples"]]
    assert len(set(done)) == len(done) >= 2000
    assert ullage.check_run(tmp_path / "run").holds


def test_a_line_that_is_too_long_is_named_when_it_is_reached(tmp_path, smallest):
    write_lines(tmp_path, 2600, json.dumps({"id": "last", "tokens": [5] * 65}))
    with pytest.raises(InputError, match=r"lines\.jsonl:2601: record 'last' has 65 tokens, the plan is for"):
        ullage.run(extraction(tmp_path, smallest), tmp_path / "run", base=tmp_path)


def test_a_long_input_has_its_rows_in_order_however_it_was_read(tmp_path, smallest):
    write_lines(tmp_path, 2600)
    shards = tmp_path / "shards"
    maps = tmp_path / "maps"
    ullage.run(extraction(tmp_path, smallest), shards, base=tmp_path)
    ullage.run(extraction(tmp_path, smallest, "extract.store=npy"), maps, base=tmp_path)
    for folder in (shards, maps):
        store = ullage.open_states(folder)
        assert [row["index"] for row in store.rows] == list(range(2600))
        assert store.rows[2599]["tokens"] == [3 + 2599 % 50, 4, 5 + 2599 % 7]
    (site,) = store.sites
    assert (ullage.open_states(shards).matrix(site) - store.matrix(site)).abs().max() == 0


def test_questions_are_answered_before_the_last_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "AHEAD", 100)
    lines = [json.dumps({"id": str(n), "question": f"What is {n}?"}) for n in range(3000)]
    (tmp_path / "lines.jsonl").write_text("\n".join([*lines, lines[7]]))
    (tmp_path / "script.jsonl").write_text('{"text": "unknown"}\n')
    (tmp_path / "work.yaml").write_text(EVALUATE)
    with pytest.raises(InputError, match=r"lines\.jsonl:3001: id '7' is that of lines\.jsonl:8 too"):
        ullage.run(ullage.load(tmp_path / "work.yaml"), tmp_path / "run", base=tmp_path)
    answers = (tmp_path / "run" / "greedy.jsonl").read_text().splitlines()
    assert 2000 <= len(answers) < 3000
