"""Requests answered by an assistant: whole runs through the public functions."""

import io
import json

import pytest
from scripted_assistant import answers, scripted, write_lines

import ullage
from ullage.cli.main import main
from ullage.errors import InputError, SpecError
from ullage.kinds.assistant.requests import Request, in_rounds
from ullage.records.journal import Journal

SECTION = "{input: requests.jsonl}"
STAR = {"near": -5.0, "far": -0.1}
SCRIPTS = {
    "router": [{"contains": "star", "scores": STAR}, {"scores": {"near": -0.1, "far": -4.0}}],
    "voice": [{"contains": "far one", "text": "I, far, answer."}, {"text": "I, near, answer."}],
    "near": [{"text": "The near one answers."}],
    "far": [{"text": "The far one answers."}],
}


@pytest.fixture
def folder(tmp_path):
    """Three users; whatever names a star is for `far`."""
    requests = [
        {"id": "a1", "conversation": "a", "user": "ada", "text": "What is near?"},
        {"id": "b1", "conversation": "b", "user": "ben", "text": "How far is a star?"},
        {"id": "a2", "conversation": "a", "user": "ada", "text": "And another star?"},
        {"id": "c1", "text": "Alone"},
    ]
    write_lines(tmp_path / "requests.jsonl", requests)
    return scripted(tmp_path, SCRIPTS, SECTION, batch=2)


def run(folder, name="run", *overrides, **named):
    out = folder / name
    _, record = ullage.run(ullage.load(folder / "work.yaml", overrides), out, base=folder, **named)
    return out, record


def test_each_request_is_routed_answered_and_said(folder):
    out, record = run(folder)
    rows = answers(out)
    assert {name: row["specialist"] for name, row in rows.items()} == {
        "a1": "near", "b1": "far", "a2": "far", "c1": "near",
    }  # fmt: skip
    assert rows["b1"]["voice"] == "I, far, answer."
    assert rows["b1"]["answer"] == "The far one answers."
    assert rows["b1"]["route"]["confidence"] == pytest.approx(0.99261, abs=1e-4)
    assert rows["c1"]["conversation"] == "line 4"
    assert all(row["failed"] is None and row["problems"] == [] for row in rows.values())
    assert record.outcome["specialists"] == {"near": 2, "far": 2}


def test_a_run_cut_short_is_taken_up_to_the_same_bytes(folder):
    whole, _ = run(folder, "whole")
    for units in (0, 1, 2):
        cut = folder / f"cut{units}"
        run(folder, cut.name)
        (cut / "record.json").unlink()
        journal = (cut / "journal.jsonl").read_bytes().splitlines(keepends=True)
        (cut / "journal.jsonl").write_bytes(b"".join(journal[:units]))
        ullage.resume(cut, base=folder)
        for name in ("answers.jsonl", "pictures.jsonl"):
            assert (cut / name).read_bytes() == (whole / name).read_bytes(), (units, name)
        assert [entry["unit"] for entry in Journal(cut / "journal.jsonl").entries if "unit" in entry] == [
            0, 1, "end",
        ]  # fmt: skip


def test_users_are_answered_in_order_and_side_by_side():
    asked = [("ada", "1"), ("ada", "2"), ("", "x"), ("ben", "3"), ("", "x"), ("ada", "4"), ("", "y")]
    requests = [Request(line, str(line), talk, user, "?") for line, (user, talk) in enumerate(asked)]
    rounds = in_rounds(requests, 3)
    assert sorted(one.line for some in rounds for one in some) == list(range(len(asked)))
    for some in rounds:
        assert len(some) <= 3
        who = [one.user or one.conversation for one in some]
        assert len(set(who)) == len(who)
    for key in {(one.user, one.user or one.conversation) for one in requests}:
        lines = [
            one.line for some in rounds for one in some if (one.user, one.user or one.conversation) == key
        ]
        assert lines == sorted(lines)


def test_every_line_that_is_no_request_is_told_before_anything_is_done(folder):
    rows = [
        '{"text": ""}',
        "[1]",
        '{"txet": "a"}',
        '{"text": "a", "id": "x"}',
        '{"text": "b", "id": "x"}',
        "{",
    ]
    (folder / "requests.jsonl").write_text("\n".join(rows))
    with pytest.raises(InputError) as told:
        run(folder)
    lines = str(told.value).splitlines()
    for number, what in (
        (1, "empty"),
        (2, "object"),
        (3, "nearest: text"),
        (3, "missing"),
        (5, "line 4"),
        (6, "JSON"),
    ):
        assert any(f"requests.jsonl:{number}:" in line and what in line for line in lines), (number, what)
    assert not (folder / "run").exists()


def test_requests_that_come_to_nothing_are_counted_and_the_others_answered(folder, capsys):
    text = (folder / "work.yaml").read_text()
    local = "far: {model: 'ullage:tiny', prompt_tokens: 24, new_tokens: 2}"
    (folder / "work.yaml").write_text(text.replace("far: {model: far.jsonl, engine: scripted}", local))
    rows = [
        {"id": "long", "text": "A star? " * 40},
        {"id": "short", "text": "A star?"},
        {"id": "c", "text": "?"},
    ]
    write_lines(folder / "requests.jsonl", rows)
    with pytest.raises(SystemExit) as ended:
        main(["run", str(folder / "work.yaml"), "--out", str(folder / "told"), "--quiet"])
    assert ended.value.code == 0
    found = answers(folder / "told")
    assert "and the plan has room for 24" in found["long"]["failed"]
    assert found["short"]["answer"]
    assert found["c"]["voice"] == "I, near, answer."
    assert "1 of 3 requests failed: far: its prompt takes" in " ".join(capsys.readouterr().out.split())


def test_a_file_without_requests_is_for_talks(folder):
    with pytest.raises(InputError, match="ullage chat"):
        run(folder, "run", "assistant.input=null")


def test_instructions_are_given_to_roles_that_are_there(folder):
    with pytest.raises(SpecError, match="nearest: near"):
        ullage.load(folder / "work.yaml", ["assistant.instructions={naer: a}"])
    with pytest.raises(SpecError, match=r"routing\.instructions"):
        ullage.load(folder / "work.yaml", ["assistant.instructions={router: a}"])


def test_a_specialist_that_cannot_be_asked_is_replaced_by_the_fallback_which_is_said(folder):
    (folder / "far.jsonl").write_text("no script")
    out, _ = run(folder, "two")
    row = answers(out)["b1"]
    assert row["specialist"] == "near"
    assert row["route"]["to"] == "far"
    assert "far cannot be asked, so near is" in row["problems"][0]
    assert row["voice"] == "I, near, answer."
    (folder / "near.jsonl").write_text("no script")
    with pytest.raises(InputError, match=r"near\.jsonl"):
        run(folder, "three")


def test_a_talk_shows_the_route_the_switch_and_what_is_taken(folder, monkeypatch, capsys):
    with ullage.talk(folder / "work.yaml") as talk:
        first, second = talk.say("What is near?"), talk.say("How far is a star?")
        talk.reset()
    assert first.lines[0].startswith("-> near (labels, 0.98")
    assert first.lines[1] == "I, near, answer."
    assert second.row["voice"] == "I, far, answer."
    assert second.row["route"]["to"] == "far"
    monkeypatch.setattr("sys.stdin", io.StringIO("A star?\n/forget\n/exit\nnever\n"))
    with pytest.raises(SystemExit) as ended:
        main(["chat", str(folder / "work.yaml"), "--json", "--quiet"])
    assert ended.value.code == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row.get("voice") for row in rows] == ["I, far, answer.", None]
    assert rows[1]["forgotten"] == 0
    with pytest.raises(SystemExit) as ended:
        main(["chat", str(folder / "work.yaml"), "--system", "Be brief."])
    assert ended.value.code == 2
    assert "--system" in capsys.readouterr().err
    with ullage.talk("ullage:tiny") as other:
        assert other is None


LOCAL = """
kind: assistant
roles:
  voice: {model: "ullage:tiny", precision: fp32}
  teller: {model: teller.jsonl, engine: scripted}
  other: {model: "ullage:tiny", precision: fp32}
budget: {gpus: "1x(cpu, 64MiB)"}
batch: 20
prompt_tokens: 64
new_tokens: 32
examples: 40
assistant:
  input: requests.jsonl
  routing: {by: rules, rules: [{to: teller, words: [tell]}], fallback: other}
"""


def test_the_voice_keeps_the_facts_of_the_specialists_answer(tmp_path):
    ullage.sample("retell", tmp_path / "sample.jsonl", count=40)
    sample = [json.loads(line) for line in (tmp_path / "sample.jsonl").read_text().splitlines()]
    write_lines(
        tmp_path / "teller.jsonl",
        [
            {"contains": f"number {at:03}.", "text": one["answer_of_specialist"]}
            for at, one in enumerate(sample)
        ],
    )
    write_lines(
        tmp_path / "requests.jsonl", [{"text": f"tell me of number {at:03}."} for at in range(len(sample))]
    )
    (tmp_path / "work.yaml").write_text(LOCAL)
    out, _ = run(tmp_path)
    rows = [*answers(out).values()]
    kept = [row["voice"] in one["answers"] for row, one in zip(rows, sample, strict=True)]
    assert sum(kept) >= 0.95 * len(kept)
    levels = [each for each in ullage.verify(out).comparisons if each.kind == "level"]
    assert levels
    assert all(each.verdict != "above" for each in levels)
    assert {role.name: role.loads for role in ullage.read_pool(out).seen.roles} == {"voice": 1, "other": 0}


REMEMBERING = """
kind: assistant
roles:
  voice: {model: "ullage:tiny", precision: fp32, residency: persistent}
  teller: {model: teller.jsonl, engine: scripted}
  other: {model: "ullage:tiny", precision: fp32}
budget: {gpus: cpu}
prompt_tokens: 600
new_tokens: 4
assistant:
  input: requests.jsonl
  routing: {by: rules, rules: [{to: teller, words: [pet, garden]}], fallback: other}
  memory: {chroma_dir: notes, embedder: EMBEDDER, found: 2}
"""


@pytest.mark.parametrize("embedder", ["words", "voice"])
def test_what_a_user_said_is_remembered_in_another_talk_and_never_by_another_user(tmp_path, embedder):
    pytest.importorskip("chromadb")
    fact = "The pet of Lotte is a camel."
    rows = [
        {"id": "1", "conversation": "monday", "user": "lotte", "text": fact},
        {"id": "2", "conversation": "monday", "user": "emil", "text": "My garden is green."},
        {"id": "3", "conversation": "friday", "user": "lotte", "text": "What is my pet, the pet of Lotte?"},
        {"id": "4", "conversation": "friday", "user": "emil", "text": "What is the pet of Lotte?"},
    ]
    write_lines(tmp_path / "requests.jsonl", rows)
    write_lines(tmp_path / "teller.jsonl", [{"contains": fact, "text": "camel"}, {"text": "who knows"}])
    (tmp_path / "work.yaml").write_text(REMEMBERING.replace("EMBEDDER", embedder))
    out, _ = run(tmp_path)
    found = answers(out)
    assert found["3"]["answer"] == "camel"
    assert len(found["3"]["notes"]) == 1
    assert found["4"]["answer"] == "who knows"
    assert all(row["problems"] == [] for row in found.values())
    again = tmp_path / "again"
    run(tmp_path, again.name)
    (again / "record.json").unlink()
    journal = (again / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (again / "journal.jsonl").write_bytes(b"".join(journal[:1]))
    before = (again / "answers.jsonl").read_bytes()
    ullage.resume(again, base=tmp_path)
    assert (again / "answers.jsonl").read_bytes() == before
