"""A run is taken up with what it was begun with, or names what is not the same."""

import json
import shutil
import sys

import pytest
import small_models

import ullage
from ullage.cli.main import main
from ullage.errors import InputError
from ullage.records.journal import Journal, write_journal

EVALUATION = """
kind: evaluate
schedule: sequential
roles:
  generator: {model: chat, batch: 2}
  judge: {model: judge, batch: 2}
budget: {gpus: cpu}
prompt_tokens: 96
new_tokens: 6
examples: 8
evaluate: {input: questions.jsonl, samples: 1}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run that was cut short after half of its journal, with its models and questions beside it."""
    folder = tmp_path_factory.mktemp("work")
    for name, seed in (("chat", 0), ("judge", 0), ("other", 1)):
        small_models.save(folder / name, "llama", hidden=64, layers=2, chat=True, seed=seed)
    rows = [{"id": f"q{n}", "question": f"Where does {n} live?", "references": ["Rask"]} for n in range(8)]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "work.yaml").write_text(EVALUATION)
    ullage.run(ullage.load(folder / "work.yaml"), folder / "whole", base=folder)
    shutil.copytree(folder / "whole", folder / "run")
    for name in ("record.json", "report.html", "scores.json", "results.parquet"):
        (folder / "run" / name).unlink()
    journal = Journal(folder / "run" / "journal.jsonl")
    journal.close()
    write_journal(journal.path, list(journal.entries)[: len(journal.entries) // 2])
    return folder


@pytest.fixture
def work(made, tmp_path):
    shutil.copytree(made, tmp_path / "work")
    return tmp_path / "work"


def change_json(path, **values):
    found = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**found, **values}))


def other_weights(work):
    shutil.copyfile(work / "other" / "model.safetensors", work / "judge" / "model.safetensors")


CHANGES = {
    "judge: model.safetensors": other_weights,
    "generator: tokenizer_config.json": lambda work: change_json(
        work / "chat" / "tokenizer_config.json", padding_side="left"
    ),
    "generator: generation_config.json": lambda work: change_json(
        work / "chat" / "generation_config.json", repetition_penalty=2.0
    ),
    "generator: chat_template.jinja": lambda work: (work / "chat" / "chat_template.jinja").write_text(
        "{{ 1 }}"
    ),
    "judge: adapter_config.json": lambda work: (work / "judge" / "adapter_config.json").write_text("{}"),
    "judge: tokenizer.json": lambda work: (work / "judge" / "tokenizer.json").write_text("{}"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_of_a_model_changed_is_named(work, what):
    CHANGES[what](work)
    kept = [path for path in (work / "run").glob("*.jsonl") if path.stem not in ("timeline", "log")]
    before = {path.name: path.read_bytes() for path in kept}
    with pytest.raises(InputError) as refused:
        ullage.resume(work / "run")
    assert f"roles.{what} was " in str(refused.value)
    assert "--anyway" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert {name: (work / "run" / name).read_bytes() for name in before} == before


def test_with_anyway_it_goes_on_and_the_record_says_with_what(work):
    other_weights(work)
    record = ullage.resume(work / "run", anyway=True)
    ((told,),) = record.outcome["resumed"]
    assert told["what"] == "roles.judge: model.safetensors"
    assert told["was"] != told["is_now"]
    assert "model.safetensors" in (work / "run" / "log.jsonl").read_text()
    assert ullage.check_run(work / "run").holds
    scores = json.loads((work / "run" / "scores.json").read_text())
    assert scores["questions"] == 8
    assert scores["failed"] == []


def test_other_lengths_of_the_texts_leave_no_question_out(work):
    """A chat template that adds words puts the questions into other batches."""
    template = work / "chat" / "chat_template.jinja"
    found = template.read_text()
    template.write_text("{% if '3' in messages[-1].content %}word word word word {% endif %}" + found)
    ullage.resume(work / "run", anyway=True)
    for stage in ("greedy", "samples"):
        rows = [json.loads(line) for line in (work / "run" / f"{stage}.jsonl").read_text().splitlines()]
        assert sorted(row["index"] for row in rows) == list(range(8))


def test_another_number_of_threads_is_named(work):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        with pytest.raises(InputError, match=f"threads was {before}, is {before + 1}"):
            ullage.resume(work / "run")
    finally:
        torch.set_num_threads(before)


def test_other_questions_are_refused_whatever_is_said(work):
    path = work / "questions.jsonl"
    path.write_text(path.read_text().replace("Rask", "Risk"))
    with pytest.raises(InputError, match=r"questions\.jsonl has changed since this run began"):
        ullage.resume(work / "run", anyway=True)


def test_what_was_not_changed_gives_the_bytes_of_one_run(work):
    (work / "chat" / "README.md").write_text("a word on this model")
    ullage.resume(work / "run")
    for name in (
        "greedy.jsonl",
        "samples.jsonl",
        "judge.jsonl",
        "journal.jsonl",
        "results.parquet",
        "scores.json",
    ):
        assert (work / "run" / name).read_bytes() == (work / "whole" / name).read_bytes()


def test_a_hub_model_is_compared_too(work, tmp_path, monkeypatch):
    from huggingface_hub import constants

    snapshot = tmp_path / "hub" / "models--some--chat" / "snapshots" / "0"
    shutil.copytree(work / "chat", snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    file = {
        "kind": "evaluate",
        "roles": {"generator": {"model": "some/chat"}},
        "budget": {"gpus": "cpu"},
        "prompt_tokens": 96,
        "new_tokens": 4,
        "evaluate": {"input": "questions.jsonl"},
    }
    ullage.run(ullage.load(file), work / "hub", base=work)
    (work / "hub" / "record.json").unlink()
    change_json(snapshot / "generation_config.json", repetition_penalty=2.0)
    with pytest.raises(InputError, match=r"roles\.generator: generation_config\.json was "):
        ullage.resume(work / "hub")


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--resume", "run", "--strict"], "--strict: is said when a run is begun"),
        (["work.yaml", "--base", "."], "--base: goes with --resume"),
    ],
)
def test_the_command_line_says_where_its_options_belong(work, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(work)
    with pytest.raises(SystemExit) as ended:
        main(["run", *arguments])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_command_line_goes_on_anyway(work, capsys):
    other_weights(work)
    for more, code in (((), 2), (("--anyway",), 0)):
        with pytest.raises(SystemExit) as ended:
            main(["run", "--resume", str(work / "run"), "--quiet", *more])
        assert ended.value.code in (code, None if code == 0 else code), sys.stderr
    assert "roles.judge: model.safetensors was sha256" in capsys.readouterr().err
