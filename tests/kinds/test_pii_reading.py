"""How candidates are put to a model: a text once for all of them, whatever way gives the same verdicts."""

import json
import random

import pytest
import small_models
from hypothesis import given, settings
from hypothesis import strategies as st

import ullage
from ullage.engines.transformers_engine import TransformersEngine
from ullage.kinds.pii.asking import AROUND, CLOSE, OPEN, Asking, excerpt, mark
from ullage.kinds.pii.records import RecordReader
from ullage.kinds.pii.section import RecordFields, Section
from ullage.kinds.pii.types import read_types
from ullage.kinds.pii.wording import prompt_version, wording_of

TYPES = read_types()
READER = RecordReader(TYPES, RecordFields())
NAMES = ("person", "phone", "email", "address")
WORK = """
kind: pii
roles: {verifier: {model: model, batch: 4}}
budget: {gpus: cpu}
prompt_tokens: 160
new_tokens: 0
pii: {input: records.jsonl, least_mass: 0, prefix_tokens: 1400, branch_tokens: 48}
"""


def write_records(path, count=14):
    chance = random.Random(1)
    lines = []
    for number in range(count):
        text = " ".join(chance.choices(small_models.WORDS[:12], k=chance.randint(8, 60)))
        starts = [chance.randrange(len(text) - 4) for _ in range(chance.randint(1, 6))]
        found = [{"type": chance.choice(NAMES), "start": at, "end": at + 4} for at in starts]
        lines.append(json.dumps({"id": number, "text": text, "candidates": found}))
    path.write_text("\n".join(lines) + "\n")


def margins(folder):
    rows = [json.loads(line)["candidates"] for line in (folder / "verified.jsonl").open()]
    assert all(0 < one["mass"] < 1 for row in rows for one in row)
    return [one["margin"] for row in rows for one in row]


@pytest.fixture
def work(tmp_path):
    words = small_models.tokenizer(True, ["yes", "no"] * 200)
    small_models.save(tmp_path / "model", "llama", words=words, hidden=64, layers=2)
    write_records(tmp_path / "records.jsonl")
    (tmp_path / "work.yaml").write_text(WORK)
    return tmp_path


def run(folder, name, *overrides):
    found, record = ullage.run(ullage.load(folder / "work.yaml", overrides), folder / name, base=folder)
    assert not [
        row for row in ullage.verify(found).comparisons if row.what == "live" and row.verdict == "above"
    ]
    return found, record


def test_together_or_singly_the_verdicts_are_the_same_and_what_was_planned_holds(work, monkeypatch, capsys):
    together, record = run(work, "together")
    assert "read_singly" not in record.outcome
    read = sum(json.loads(line).get("tokens", 0) for line in (together / "journal.jsonl").open())
    kept, _ = run(work, "kept", "captures=[{sites: [ln_final], positions: last}]")
    assert margins(kept) == pytest.approx(margins(together), abs=5e-5)
    capsys.readouterr()
    monkeypatch.setattr(TransformersEngine, "why_singly", lambda self, most, choices: "it may not")
    singly, record = run(work, "singly")
    assert record.outcome["read_singly"] == "it may not"
    assert "a text is read again for each of its candidates: it may not" in capsys.readouterr().err
    assert margins(singly) == pytest.approx(margins(together), abs=5e-5)
    alone = sum(json.loads(line).get("tokens", 0) for line in (singly / "journal.jsonl").open())
    assert read < 0.6 * alone


def test_types_that_do_not_fit_one_instruction_are_defined_in_several(work):
    whole, _ = run(work, "whole")
    several, _ = run(work, "several", "pii.prefix_tokens=300", "prompt_tokens=1300")
    assert len(margins(several)) == len(margins(whole))
    asked = Asking(wording_of(Section(), ""), 10**6, 300, lambda chat: len(str(chat)) // 4)
    found = asked.instructions([TYPES.find(name) for name in TYPES.names])
    assert set(found) == set(TYPES.names)
    for name, said in found.items():
        assert f"- {TYPES.find(name).label}: " in said
        assert said.count("\n- ") == 1 or len(said) // 4 <= 300


def test_the_bundled_model_is_asked_as_its_card_says(tmp_path):
    ullage.sample("verify", tmp_path / "v.jsonl", count=120)
    options = {"precision": "auto", "gpus": "cpu", "batch": 32, "prompt_tokens": 96, "new_tokens": 0}
    found = ullage.verify_pii("ullage:tiny", tmp_path / "v.jsonl", tmp_path / "o.jsonl", **options)
    assert found["all"]["f1"] > 0.95
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").open()]
    assert {row["prompt"] for row in rows} == {"tiny"}
    assert min(one["mass"] for row in rows for one in row["candidates"]) > 0.5


WORDS = st.text("ab []\n", min_size=1, max_size=60)


@settings(max_examples=200, deadline=None)
@given(WORDS, st.data())
def test_a_span_is_told_from_others_like_it_and_its_text_stands_first(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    shown = {}
    for around in AROUND:
        begin, stop = max(start - around, 0), min(end + around, len(text))
        once = sum(text.startswith(text[begin:stop], at) for at in range(len(text))) == 1
        shown.setdefault(mark(text[begin:start], text[start:end], text[end:stop]), once)
    assert excerpt(text, start, end) == next((said for said, once in shown.items() if once), [*shown][-1])
    record = READER.read(1, {"text": text, "candidates": [{"type": "phone", "start": start, "end": end}]})
    asking = Asking(wording_of(Section(), ""), 10**6, 10**6, lambda chat: 0)
    (candidate,) = record.candidates
    _, user = asking.prompt(record, candidate, asking.instructions([candidate.type])["phone"])
    asked = user["content"]
    assert asked.replace("\u2060", "").startswith(text + "\n\n")
    assert asked.count(OPEN) == asked.count(CLOSE) == 1
    assert asked.endswith(": phone number?")


def test_a_span_that_stands_twice_is_shown_with_what_is_around_it():
    text = "Order 555 is late, so call 555 today."
    assert excerpt(text, 0, 5) == "[[Order]]"
    assert excerpt(text, 6, 9) == "Order [[555]] is late"
    assert excerpt(text, 27, 30) == "so call [[555]] today."


def test_prompts_that_a_file_changes_have_versions_of_their_own():
    def version(model="m", **section):
        found = Section(**section)
        return prompt_version(wording_of(found, model), found, TYPES)

    assert (version(), version("ullage:tiny"), version(template="{text}")) == ("2", "tiny", "1")
    own = {
        version(verdicts=("ja", "nein")),
        version(system="{types} {verdicts}"),
        version(system="{type}"),
        version(template="{text} {span} {type}"),
        version(types="own.yaml"),
    }
    assert len(own) == 5
    assert all(one.startswith("own-") for one in own)
