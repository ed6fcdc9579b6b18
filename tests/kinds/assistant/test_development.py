"""An assistant under `development_mode`: the whole flow, no model, and every answer says so."""

import io
import json
import os
import sys
from pathlib import Path

import pytest
import yaml

import ullage
from ullage.cli.main import main

MARK = "(development, no model) "
SAID = "development_mode: no model was loaded"
FILE = {
    "kind": "assistant",
    "roles": {
        "router": {"model": "ullage:tiny"},
        "voice": {"model": "ullage:tiny"},
        "near": {"model": "ullage:tiny"},
        "far": {"model": "Qwen/Qwen2.5-7B-Instruct", "engine": "vllm", "residency": "persistent"},
        "seeing": {"model": "google/gemma-3-4b-it", "images": 1},
    },
    "budget": {"gpus": "4xH100-SXM5-80GB"},
    "prompt_tokens": 64,
    "new_tokens": 8,
    "batch": 2,
    "assistant": {"input": "requests.jsonl", "development_mode": True, "tools": ["calculator"]},
}
CALL = '<tool_call>{"name": "calculator", "arguments": {"expression": "6 * 7"}}</tool_call>'
REQUESTS = [
    {"id": "plain", "user": "ada", "text": "Where is the harbour?"},
    {"id": "sum", "user": "ben", "text": f"What is that? {CALL}"},
    {"id": "later", "user": "ada", "text": "And when does the harbour open?"},
    {"id": "seen", "user": "cleo", "text": "What is in it?", "image": "picture.png"},
    {"id": "none", "user": "dora", "text": "And in this?", "image": "broken.png"},
]


@pytest.fixture
def folder(tmp_path):
    from PIL import Image

    Image.new("RGB", (8, 6), (200, 30, 30)).save(tmp_path / "picture.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "requests.jsonl").write_text("".join(json.dumps(row) + "\n" for row in REQUESTS))
    return tmp_path


def write(folder, **section):
    path = folder / "work.yaml"
    path.write_text(yaml.safe_dump(FILE | {"assistant": FILE["assistant"] | section}))
    return path


def command(capsys, *arguments, code=0):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    found = capsys.readouterr()
    assert ended.value.code == code, found.err
    return found.out, found.err


def rows_of(out):
    return {row["id"]: row for row in map(json.loads, (out / "answers.jsonl").read_text().splitlines())}


def test_a_run_answers_all_requests_without_a_model_and_each_answer_says_so(folder, capsys):
    """Four cards of 80 GB, a 7B on vLLM and a model of pictures: none of it is here, and none is needed."""
    file, out = write(folder), folder / "run"
    shown, told = command(capsys, "run", file, "--out", out)
    assert SAID in " ".join(shown.split())
    assert SAID in " ".join(told.split())
    rows = rows_of(out)
    assert set(rows) == {each["id"] for each in REQUESTS}
    answered = {name: row for name, row in rows.items() if name != "none"}
    for row in answered.values():
        assert row["development"] is True
        assert row["answer"].startswith(MARK)
        assert row["voice"].startswith(f"{MARK}voice was given: {MARK}{row['specialist']}")
        assert row["route"]["confidence"] is None
        assert row["failed"] is None
    assert rows["plain"]["answer"] == f"{MARK}{rows['plain']['specialist']} was given: Where is the harbour?"
    assert {name: row["route"]["how"] for name, row in answered.items()} == {
        "plain": "development", "sum": "development", "later": "development", "seen": "picture",
    }  # fmt: skip
    assert rows["seen"]["specialist"] == "seeing"
    assert (out / "pictures.jsonl").read_text() == ""
    assert SAID in (out / "report.html").read_text()
    assert json.loads((out / "record.json").read_text())["outcome"]["remarks"][0].startswith(SAID)


def test_a_picture_that_is_none_fails_alone_as_it_would_with_a_model(folder):
    _, record = ullage.run(ullage.load(write(folder)), folder / "run", base=folder)
    assert "is no picture" in rows_of(folder / "run")["none"]["failed"]
    assert record.outcome["requests"] == 5


def test_tools_are_called_where_a_request_says_so(folder):
    ullage.run(ullage.load(write(folder)), folder / "run", base=folder)
    row = rows_of(folder / "run")["sum"]
    assert [(call["name"], call["text"], call["failed"]) for call in row["tools"]] == [
        ("calculator", "42", False)
    ]
    assert "42" in row["answer"]
    assert row["answer"].startswith(MARK)


def test_the_same_requests_are_routed_alike_another_seed_routes_otherwise_and_rules_stay(folder):
    many = [{"text": f"Question {at}?"} for at in range(40)]
    (folder / "requests.jsonl").write_text("".join(json.dumps(row) + "\n" for row in many))

    def to(name, **section):
        ullage.run(ullage.load(write(folder, **section)), folder / name, base=folder)
        return [row["specialist"] for row in rows_of(folder / name).values()]

    first = to("a")
    assert first == to("b")
    assert first != to("c", seed=1)
    assert set(first) == {"near", "far"}
    rules = {"by": "rules", "rules": [{"to": "far", "words": ["question"]}]}
    without_router = {name: role for name, role in FILE["roles"].items() if name != "router"}
    workload = ullage.load(
        FILE | {"roles": without_router, "assistant": FILE["assistant"] | {"routing": rules}}
    )
    ullage.run(workload, folder / "rules", base=folder)
    routes = [row["route"] for row in rows_of(folder / "rules").values()]
    assert {(route["to"], route["how"]) for route in routes} == {("far", "rules")}


def test_notes_are_kept_in_a_folder_of_their_own_and_found_again(folder):
    pytest.importorskip("chromadb")
    file = write(folder, memory={"chroma_dir": "notes", "embedder": "near"})
    ullage.run(ullage.load(file), folder / "run", base=folder)
    rows = rows_of(folder / "run")
    assert rows["plain"]["notes"] == []
    assert len(rows["later"]["notes"]) == 1
    assert not (folder / "notes").exists()
    memory = json.loads((folder / "notes-development" / "memory.json").read_text())
    assert memory["embedder"].startswith("words")


def test_the_plan_of_the_file_is_that_of_its_models_and_says_what_a_run_does(folder, capsys):
    file = write(folder)
    planned = ullage.plan(file)
    assert planned.roles["far"].share is not None
    assert planned.bill.items
    assert any("a run of it loads none of them" in note for note in planned.notes)
    shown, _ = command(capsys, "plan", file, "--details")
    assert "this is the plan of the file's models" in " ".join(shown.split())
    off = ullage.plan(ullage.load(file, ["assistant.development_mode=false"]))
    assert off.to_json()["items"] == planned.to_json()["items"]
    assert not any("development" in note for note in off.notes)


def test_a_plan_that_was_written_down_is_carried_out_without_a_model_too(folder, capsys):
    (folder / "plan.json").write_text(json.dumps(ullage.plan(write(folder)).to_json()))
    command(capsys, "run", folder / "plan.json", "--out", folder / "run", "--quiet")
    assert all(row["development"] for row in rows_of(folder / "run").values())


def test_verify_says_that_nothing_was_compared_and_the_run_leaves_no_evidence(folder, capsys):
    ullage.run(ullage.load(write(folder)), folder / "run", base=folder)
    found = ullage.verify(folder / "run")
    assert found.comparisons == ()
    assert "nothing" in repr(found)
    shown, _ = command(capsys, "verify", folder / "run")
    assert "nothing is compared" in shown
    assert SAID in " ".join(shown.split())
    document = json.loads(command(capsys, "verify", folder / "run", "--json")[0])
    assert document["remarks"][0].startswith(SAID)
    assert not (Path(os.environ["ULLAGE_HOME"]) / "evidence.jsonl").exists()


def test_a_talk_goes_the_whole_way_and_every_turn_says_that_no_model_is_there(folder, monkeypatch, capsys):
    file = write(folder)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"Where is the harbour?\n{CALL}\n"))
    shown, told = command(capsys, "chat", file)
    lines = shown.splitlines()
    assert SAID in " ".join(told.split())
    routes = [line for line in lines if line.startswith("-> ")]
    assert len(routes) == 2
    assert all(line.endswith("(development), no model is loaded") for line in routes)
    assert sum(line.startswith(f"{MARK}voice was given: {MARK}") for line in lines) == 2
    assert "   calculator: 42" in lines
    monkeypatch.setattr(sys, "stdin", io.StringIO("Where is the harbour?\n"))
    (row,) = map(json.loads, command(capsys, "chat", file, "--json", "--quiet")[0].splitlines())
    assert row["development"] is True


def test_an_assistant_with_models_is_not_marked(tmp_path):
    (tmp_path / "requests.jsonl").write_text('{"text": "Where is the cat?"}\n')
    roles = {name: {"model": "ullage:tiny"} for name in ("router", "voice", "near", "other")}
    section = FILE["assistant"] | {"development_mode": False, "tools": []}
    workload = ullage.load(FILE | {"roles": roles, "budget": {"gpus": "cpu"}, "assistant": section})
    _, record = ullage.run(workload, tmp_path / "run", base=tmp_path)
    (row,) = rows_of(tmp_path / "run").values()
    assert row["development"] is False
    assert MARK not in (row["voice"] or "") + (row["answer"] or "")
    assert not any("development" in line for line in record.outcome["remarks"])
    assert "development" not in (tmp_path / "run" / "report.html").read_text()


def test_a_run_cut_short_is_taken_up_without_a_model(folder):
    pytest.importorskip("chromadb")
    file = write(folder, memory={"chroma_dir": "notes"})
    ullage.run(ullage.load(file), folder / "run", base=folder)
    whole = (folder / "run" / "answers.jsonl").read_bytes()
    (folder / "run" / "record.json").unlink()
    journal = (folder / "run" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "run" / "journal.jsonl").write_bytes(journal[0])
    record = ullage.resume(folder / "run", base=folder)
    assert (folder / "run" / "answers.jsonl").read_bytes() == whole
    assert record.outcome["remarks"][0].startswith(SAID)
