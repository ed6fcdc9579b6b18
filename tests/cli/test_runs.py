"""Commands about runs, from the command line to their tables and documents."""

import builtins
import contextlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ullage
from ullage.cli.main import main
from ullage.records.seal import read_sealed, write_sealed

EXTRACTION = """kind: extract
roles: {model: {model: 'ullage:tiny'}}
captures: [{sites: [ln_final], positions: last}]
batch: 2
prompt_tokens: 16
budget: {gpus: cpu}
extract: {input: texts.txt}
"""
EVALUATION = """kind: evaluate
roles:
  generator: {model: 'ullage:tiny', new_tokens: 4}
  judge: {model: 'ullage:tiny'}
batch: 8
prompt_tokens: 160
new_tokens: 4
budget: {gpus: cpu}
evaluate: {input: questions.jsonl, metrics: [exact_match, f1]}
"""


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)

    def call(*arguments, code=0):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        output = capsys.readouterr()
        assert ended.value.code == code, output.err
        return output.out or output.err

    return call


@pytest.fixture
def extracted(run):
    """A finished extraction, and what was shown of it."""
    Path("texts.txt").write_text("The city has a river.\nA stone is in the garden.\nBread and a letter.\n")
    named = ("--model", "ullage:tiny", "--input", "texts.txt", "--gpus", "cpu", "--out", "states", "--quiet")
    sites = ("ln_final", "blocks.*.hook_mlp_out", "blocks.*.hook_resid_post")
    return run("extract", *named, *(word for site in sites for word in ("--sites", site)))


def test_a_run_shows_what_was_done_the_peaks_and_where_to_look_next(run, extracted):
    assert extracted.startswith("3 records, ")
    assert "measured peaks" in extracted
    assert "cpu" in extracted
    assert "ullage verify states shows predicted against measured" in extracted


def test_a_finished_run_is_verified_and_its_record_given_as_it_is(run, extracted):
    assert "every measured peak is within what was planned at most" in run("verify", "states")
    document = json.loads(run("verify", "states", "--json"))
    assert (document["document"], document["holds"]) == ("verification", True)
    record = json.loads(run("run", "--resume", "states", "--json"))
    assert (record["document"], record["folder"], record["examples"]) == ("record", "states", 3)
    assert run("run", "--resume", "states").startswith("3 records, ")


def test_more_than_was_planned_is_named_and_ends_with_three(run, extracted):
    file = Path("states/record.json")
    record = read_sealed(file)
    for one in record["measured"]:
        one["live"] = 2**50
    write_sealed(file, record)
    shown = run("verify", "states", code=3)
    assert shown.count("ABOVE") == len(record["measured"])
    assert f"{len(record['measured'])} measurements exceed what was planned at most" in shown


def test_states_are_surveyed(run, extracted):
    document = json.loads(run("analyse", "states", "--json"))
    assert document["document"] == "survey"
    dimensions = {site: each["effective_dimension"] for site, each in document["sites"].items()}
    assert len(document["compression"]) == len(dimensions) - 3
    for site, beta in document["compression"].items():
        _, layer, hook = site.split(".", 2)
        assert beta == dimensions[f"blocks.{int(layer) - 1}.{hook}"] / dimensions[site]
    shown = run("analyse", "states")
    assert all(site in shown for site in document["sites"])
    assert "D_eff: components for 90 % of the variance" in shown


@contextlib.contextmanager
def missing(package):
    """As where it is not installed."""
    imported = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return imported(name, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "__import__", without)
        yield


@pytest.mark.parametrize("package", ["numpy", "torch"])
def test_a_survey_without_its_extra_says_what_to_install(run, extracted, package):
    with missing(package):
        said = run("analyse", "states", code=2)
    assert said.endswith(f' needs {package}; install it with: pip install "ullage[run]"\n')
    assert said.count("\n") == 1


def test_a_plan_that_was_written_down_is_run_as_it_stands(run):
    Path("texts.txt").write_text("A stone is in the garden.\nBread and a letter.\n")
    Path("work.yaml").write_text(EXTRACTION)
    Path("plan.json").write_text(run("plan", "work.yaml", "--json"))
    Path("work.yaml").unlink()
    for change in (("--gpus", "cpu"), ("--set", "batch=1")):
        said = run("run", "plan.json", *change, code=2)
        assert said.endswith("plan.json: is a plan already; --gpus and --set change a workload file\n")
    assert run("run", "plan.json", "--out", "done", "--quiet").startswith("2 records, ")
    # What this process has held since other tests is in no plan that was written down elsewhere.
    own = [row for row in ullage.verify("done").comparisons if row.what not in ("process", "device")]
    assert own
    assert not [row for row in own if row.verdict == "above"]


def test_a_plan_and_a_workload_come_through_a_pipe(run):
    Path("texts.txt").write_text("A stone is in the garden.\n")
    Path("work.yaml").write_text(EXTRACTION)
    for text in (EXTRACTION, run("plan", "work.yaml", "--json")):
        end, start = os.pipe()
        with ThreadPoolExecutor() as writer, os.fdopen(start, "w") as pipe:
            writer.submit(lambda text=text, pipe=pipe: (pipe.write(text), pipe.close()))
            run("run", f"/dev/fd/{end}", "--out", f"done-{len(text)}", "--quiet", "--anyway")
        os.close(end)
    assert len(list(Path().glob("done-*/record.json"))) == 2


def test_batches_that_were_split_are_told(run, extracted):
    assert "memory ran out" not in extracted
    file = Path("states/record.json")
    write_sealed(file, read_sealed(file) | {"splits": 3})
    shown = run("run", "--resume", "states")
    assert "memory ran out 3 times; those batches were split and nothing is lost" in shown


def test_answers_are_judged_again_and_reported_anew(run):
    run("sample", "answer", "--count", 12, "--out", "answers.jsonl")
    rows = [json.loads(line) for line in Path("answers.jsonl").read_text().splitlines()]
    questions = [
        {"id": str(n), "question": row["messages"][-1]["content"], "references": row["answers"]}
        for n, row in enumerate(rows)
    ]
    Path("questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
    Path("work.yaml").write_text(EVALUATION)
    checked = run("check", "work.yaml")
    assert "judge score" in checked
    maps = json.loads(run("check", "work.yaml", "--json"))["device_maps"]
    assert set(maps) <= {"generator", "judge"}
    run("run", "work.yaml", "--out", "first", "--quiet")
    shown = run("judge", "first", "--out", "again", "--role", "judge.batch=4", "--quiet")
    assert shown.startswith("12 records, ")
    assert Path("again/greedy.jsonl").read_bytes() == Path("first/greedy.jsonl").read_bytes()
    refused = run("judge", "first", "--out", "other", "--role", "generator.batch=4", code=2)
    assert "generator is no judge" in refused
    assert not Path("other").exists()
    written = run("report", "again").split()
    assert written
    assert all(Path(path).exists() for path in written)
    with missing("pyarrow"):
        said = run("report", "again", code=2)
    assert said == 'ullage: error: the report needs pyarrow; install it with: pip install "ullage[run]"\n'


def test_only_evaluations_are_judged_and_only_runs_are_anything(run, extracted):
    assert "only evaluations are judged" in run("judge", "states", code=2)
    assert "kind extract has no report" in run("report", "states", code=2)
    for verb in ("verify", "report", "judge", "analyse"):
        assert run(verb, "nowhere", code=2).count("\n") == 1
    assert "give a workload FILE to run, or --resume RUN" in run("run", code=2)


def test_a_sweep_is_a_table_with_a_row_for_each_value(run):
    shown = run("estimate", "gpt2", "--sweep", "batch=1,2", "--prompt-tokens", 64, "--gpus", "T4")
    assert [line.split()[0] for line in shown.splitlines()[-3:]] == ["1", "2", "*"]
    run("estimate", "Qwen/Qwen2.5-7B-Instruct", "--sweep", "precision=fp32", "--gpus", "T4", code=3)


def test_models_cards_and_sets_are_tables(run):
    assert "124,439,808" in run("models", "gpt2")
    assert "deepseek-ai/DeepSeek-V3" in run("models")
    assert "GB/s" in run("gpus")
    Path("work.yaml").write_text("kind: pii\nroles: {verifier: {model: gpt2}}\nprompt_tokens: 64\n")
    assert run("gpus", "work.yaml").startswith("rent 1x ")
    none = run("gpus", "work.yaml", "--set", "batch=1000000", code=3)
    assert "no set of cards with an on-demand price holds this workload" in none
    refused = run("gpus", "work.yaml", "--set", "prompt_tokens=100000", code=2)
    assert "has a window of 1024" in refused
    assert refused.count("\n") == 1


def test_a_workload_that_holds_nothing_here_is_advised_nothing(run):
    role = "{model: m, engine: openai, openai: {base_url: 'http://127.0.0.1:9/v1'}}"
    Path("work.yaml").write_text(f"kind: evaluate\nroles: {{generator: {role}}}\nbudget: {{gpus: L4}}\n")
    found = json.loads(run("plan", "work.yaml", "--json"))
    assert (found["verdict"], found["advice"]) == ("fits", [])
