"""How a plan knows what passes take: by formulas, by traces, or by formulas where those are proven."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM

import ullage
from ullage.api import bare_workload
from ullage.cli.main import main as program
from ullage.errors import MissingExtraError, SpecError, UnsupportedError
from ullage.facts.catalog import config_of, model_names
from ullage.facts.families.rows import known_types
from ullage.facts.gpu_set import parse_gpu_set
from ullage.facts.proof import Proof
from ullage.memory import fidelity
from ullage.memory.traced import Asked, Tracing
from ullage.phases.phase import Work
from ullage.records.evidence_place import evidence_file
from ullage.runtime.shrunk import draw_weights, shrink
from ullage.tracing import patience
from ullage.tracing.built import config_from
from ullage.tracing.kept import forget_traces
from ullage.workloads.outcomes import estimate
from ullage.workloads.planned import models_of
from ullage.workloads.traced import trace_model

UNKNOWN = "doge"
WRITES = "axk2"
"""Types that no row describes; of the second states hold while it writes."""
TRIED = "meta-llama/Llama-3.2-1B-Instruct"
CARD = "1xH100"
WITHOUT_TORCH = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""


def made(folder, family):
    """`folder` with a small random model of a type without a row, and texts for it."""
    assert family not in known_types()
    tiny = ullage.tiny_path()
    config = shrink(AutoConfig.for_model(family))
    config.vocab_size = json.loads((tiny / "config.json").read_text())["vocab_size"]
    config.max_position_embeddings = 512
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).float().eval()
    draw_weights(model)
    model.save_pretrained(folder / "model")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(tiny / name, folder / "model")
    lines = [json.dumps({"id": n, "text": "The red fox sits by the river. " * (n % 4 + 1)}) for n in range(6)]
    (folder / "texts.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def unknown(tmp_path_factory):
    return made(tmp_path_factory.mktemp("unknown"), UNKNOWN)


def extraction(folder, **more):
    """Six texts in batches of two, whose residual stream is kept."""
    return {
        "kind": "extract",
        "roles": {"model": {"model": str(folder / "model"), "precision": "fp32"}},
        "batch": 2,
        "prompt_tokens": 48,
        "new_tokens": 0,
        "examples": 6,
        "captures": [{"sites": ["blocks.*.hook_resid_post"], "keep": "disk"}],
        "extract": {"input": "texts.jsonl"},
        **more,
    }


def main(words):
    """A command's exit code."""
    with pytest.raises(SystemExit) as ended:
        program(words)
    return ended.value.code


def live(plan, phase):
    (found,) = [
        totals for each in plan.bill.totals.values() for name, totals in each.items() if name == phase
    ]
    return found.live


def runs_within(folder, body, capsys):
    """Runs a workload by the command and compares: every pass is inside what its trace planned at most."""
    path = folder / "work.json"
    path.write_text(json.dumps(body))
    out = folder / "run"
    shutil.rmtree(out, ignore_errors=True)
    assert main(["run", str(path), "--gpus", "cpu", "--out", str(out), "--quiet"]) == 0
    passes = [
        each for each in ullage.verify(out).comparisons if each.what == "live" and "load" not in each.phase
    ]
    assert passes
    assert all(each.measured <= each.predicted.high for each in passes)
    assert main(["verify", str(out)]) == 0
    assert "within what was planned" in capsys.readouterr().out


def test_a_family_without_a_row_runs_within_the_plan_that_its_trace_makes(unknown, capsys):
    runs_within(unknown, extraction(unknown), capsys)


def test_one_that_writes_while_its_states_are_kept_does_too(tmp_path, capsys):
    folder = made(tmp_path, WRITES)
    body = extraction(folder, new_tokens=8)
    body["extract"]["generate"] = True
    runs_within(folder, body, capsys)


def test_its_answers_are_evaluated_within_the_plan(unknown, capsys):
    lines = [json.dumps({"id": n, "question": f"Is {n} even?", "truth": "yes"}) for n in range(4)]
    (unknown / "questions.jsonl").write_text("\n".join(lines) + "\n")
    role = {"model": str(unknown / "model"), "precision": "fp32"}
    body = {
        "kind": "evaluate",
        "roles": {"generator": role, "judge": role},
        "batch": 2,
        "prompt_tokens": 120,
        "new_tokens": 4,
        "examples": 4,
        "evaluate": {
            "input": "questions.jsonl",
            "fields": {"references": "truth"},
            "template": "{question}",
            "judge_system": "Judge whether the answer is correct. Reply {verdicts}.",
        },
    }
    runs_within(unknown, body, capsys)


def test_a_plan_says_that_it_is_traced_and_why(unknown, capsys):
    path = unknown / "said.json"
    path.write_text(json.dumps(extraction(unknown)))
    assert main(["plan", str(path), "--gpus", CARD, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    (said,) = [each for each in plan["decisions"] if each["subject"] == "model fidelity (prefill)"]
    assert said["choice"] == "traced"
    assert UNKNOWN in said["reason"]
    assert {each["basis"] for each in plan["items"] if each["component"] == "activations"} == {"traced"}
    assert any("no advice was searched" in note for note in plan["notes"])


def test_its_parameters_are_counted_by_its_code(unknown, capsys):
    built = AutoModelForCausalLM.from_pretrained(unknown / "model")
    found = ullage.model(str(unknown / "model"))
    assert found.parameters == sum(each.numel() for each in built.parameters())
    assert found.counted.startswith("transformers ")
    assert main(["models", str(unknown / "model")]) == 0
    assert f"{found.parameters:,}" in capsys.readouterr().out.replace("\n", " ")


def test_formulas_alone_refuse_what_no_row_describes(unknown):
    with pytest.raises(
        UnsupportedError, match=rf"no formula describes model_type '{UNKNOWN}'.*auto or traced"
    ):
        ullage.plan(extraction(unknown), CARD, base=unknown, fidelity="formula")
    vllm = {"roles": {"model": {"model": str(unknown / "model"), "engine": "vllm"}}, "captures": []}
    with pytest.raises(ullage.UllageError):
        ullage.plan(extraction(unknown, **vllm), CARD, base=unknown)


def test_a_type_that_transformers_cannot_build_is_refused_in_its_words(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "made-up", "hidden_size": 8}))
    with pytest.raises(
        UnsupportedError, match=r"no reader for model_type 'made-up'.*transformers reads no such"
    ):
        ullage.model(str(tmp_path))


@pytest.mark.parametrize("gpus", [CARD, "2xA100-80GB", "cpu"])
def test_a_trace_and_a_proven_formula_agree(gpus):
    work = {"batch": 2, "prompt_tokens": 200, "new_tokens": 6}
    formula, traced = (
        ullage.estimate_model("ullage:tiny", gpus, fidelity=each, **work) for each in ("formula", "traced")
    )
    for device, phases in formula.bill.totals.items():
        for phase, totals in phases.items():
            other = traced.bill.totals[device][phase].live
            assert other.expected == pytest.approx(totals.live.expected, rel=0.03), (device, phase)
    bases = {each.component: each.basis for each in traced.bill.items}
    assert (bases["kv_cache"], bases["activations"], bases["weights"]) == ("traced", "traced", "exact")


@pytest.mark.long
@pytest.mark.parametrize(
    "fits", [{"train": "adamw"}, {"train": "adamw-torch"}, {"train": "sgd", "gradient_checkpointing": True}]
)
def test_both_spans_of_a_training_step_are_traced_and_lie_within_their_formulas(fits):
    work = {"batch": 4, "prompt_tokens": 128, "precision": "fp32", **fits}
    formula, traced = (
        ullage.estimate_model("ullage:tiny", CARD, fidelity=each, **work) for each in ("formula", "traced")
    )
    assert {(each.activity, each.by) for each in traced.roles["model"].known} == {
        ("train", "trace"),
        ("update", "trace"),
    }
    for phase in formula.phases:
        assert 0 < live(traced, phase.name).expected <= live(formula, phase.name).high, phase.name


def test_what_is_not_traced_says_so_by_name():
    asked = {"prompt_tokens": 64, "new_tokens": 4, "cache": {"kind": "static"}}
    with pytest.raises(
        UnsupportedError, match=r"prefill is not traced with a static cache.*--fidelity formula"
    ):
        ullage.estimate_model("ullage:tiny", CARD, fidelity="traced", **asked)
    said = [each.reason for each in ullage.estimate_model("ullage:tiny", CARD, **asked).decisions]
    assert any("not tried with a static cache" in each for each in said)


def test_another_fidelity_is_a_mistake_of_the_file(tmp_path, capsys):
    with pytest.raises(SpecError, match="fidelity"):
        ullage.plan(extraction(tmp_path), CARD, fidelity="exact")
    path = tmp_path / "work.json"
    path.write_text(json.dumps(extraction(tmp_path)))
    assert main(["plan", str(path), "--fidelity", "exact"]) == 2
    assert "fidelity" in capsys.readouterr().err


def test_auto_traces_few_passes_and_says_how_many_there_are(monkeypatch):
    """A formula that is not proven stands where more would be traced than anybody waits for."""
    workload = bare_workload("openai-community/gpt2", prompt_tokens=32, new_tokens=4)
    gpus = parse_gpu_set(CARD)
    made = []
    proofs = [Proof("not proven", 1, 0.5)]
    monkeypatch.setattr(fidelity, "proof_of_pass", lambda *_: proofs[-1])

    def known_under(most):
        monkeypatch.setattr(fidelity, "MOST_TRACED", most)
        monkeypatch.setattr("ullage.workloads.outcomes.tracing_by", lambda *_: Tracing(trace, "auto", "0.0"))
        return estimate(workload, models_of(workload), gpus).known["model"]

    def trace(asked):
        made.append(asked)
        raise UnsupportedError("no trace")

    assert all("2 passes would be traced" in each.reason for each in known_under(1))
    assert not made
    assert all(each.reason.endswith("no trace") and not each.proven for each in known_under(2))
    assert len(made) == 2
    proofs.append(Proof("untried", missing="gpt2 on a card"))
    assert all(each.reason.endswith("--fidelity traced traces it") for each in known_under(2))
    assert len(made) == 2


def test_a_damaged_trace_is_made_anew(unknown):
    forget_traces()
    first = ullage.plan(extraction(unknown), CARD, base=unknown)
    kept = sorted((evidence_file().parent / "traces").iterdir())
    assert [path.name.split("-")[1] for path in kept] == ["count", "trace"]
    for path in kept:
        held = json.loads(path.read_text())
        for damage in ("{", json.dumps({**held, "sha256": "0"}), json.dumps({**held, "found": []}), "[]"):
            path.write_text(damage)
            forget_traces()
            assert ullage.plan(extraction(unknown), CARD, base=unknown) == first
            assert json.loads(path.read_text()) == held


def test_what_takes_long_to_trace_says_so_once(unknown, own_home, caplog, monkeypatch):
    monkeypatch.setattr(patience, "PATIENCE", 0.0)
    forget_traces()
    ullage.plan(extraction(unknown), CARD, base=unknown)
    told = [record.getMessage() for record in caplog.records if record.name == patience.__name__]
    assert ["counting its weights" in told[0], "tracing prefill of 2 x 48 tokens" in told[1]] == [True, True]
    caplog.clear()
    forget_traces()
    ullage.plan(extraction(unknown), CARD, base=unknown)
    assert not [record for record in caplog.records if record.name == patience.__name__]


def run_in(home, body):
    """What a program that plans prints, with an own home and none of this process's modules."""
    code = f"{body}\nimport sys\nprint('torch' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=home, check=False
    )
    return found.stdout.split("\n"), found.stderr


@pytest.fixture
def home(own_home):
    return {**os.environ}


def test_what_was_traced_is_planned_again_without_torch(unknown, home):
    path = unknown / "again.json"
    path.write_text(json.dumps(extraction(unknown)))
    forget_traces()
    ullage.plan(str(path), CARD)
    body = f"import ullage; print(ullage.plan({str(path)!r}, {CARD!r}).roles['model'].known[0].by)"
    out, err = run_in(home, body)
    assert out[:2] == ["trace", "False"], err


def test_without_torch_formulas_plan_and_what_has_none_names_the_extra(unknown, home):
    config = unknown / "model" / "config.json"
    body = WITHOUT_TORCH + (
        "import ullage\n"
        f"plan = ullage.estimate_model({TRIED!r}, prompt_tokens=64, new_tokens=4)\n"
        "print({(each.by, each.proven) for each in plan.roles['model'].known})\n"
        f"try: ullage.model({str(config)!r})\n"
        "except ullage.UllageError as error: print(str(error).splitlines()[0][-90:])\n"
        "try: ullage.estimate_model('ullage:tiny', fidelity='traced')\n"
        "except ullage.UllageError as error: print(error)\n"
    )
    out, err = run_in(home, body)
    assert out[0] == "{('formula', True)}", err
    assert 'pip install "ullage[run]"' in out[1]
    assert 'pip install "ullage[run]"' in out[2]
    assert out[3] == "False"


def without_torch(monkeypatch, proof):
    """A plan of a machine without torch, where the table says that of its every pass."""

    def trace(asked):
        raise MissingExtraError("torch", "run", f"tracing {asked.work.activity}")

    monkeypatch.setattr(fidelity, "proof_of_pass", lambda *_: proof)
    monkeypatch.setattr("ullage.workloads.outcomes.tracing_by", lambda said, _: Tracing(trace, said))

    def planned(said):
        workload = bare_workload(TRIED, prompt_tokens=32, new_tokens=4, fidelity=said)
        return estimate(workload, models_of(workload), parse_gpu_set(CARD)).known["model"]

    return planned


def test_without_torch_a_formula_that_was_found_to_be_off_is_refused_with_both_ways_on(monkeypatch):
    planned = without_torch(monkeypatch, Proof("not proven", 1, 0.2, "transformers 5.19.0"))
    with pytest.raises(UnsupportedError, match=r'off by 20.0%.*"ullage\[run\]".*--fidelity formula'):
        planned("auto")
    assert {(each.by, each.proven) for each in planned("formula")} == {("formula", False)}


def test_without_torch_a_formula_that_is_a_little_off_is_planned_by_and_names_the_extra(monkeypatch):
    known = without_torch(monkeypatch, Proof("not proven", 1, 0.031, "transformers 5.19.0"))("auto")
    assert {(each.by, each.proven) for each in known} == {("formula", False)}
    assert all("off by 3.1%" in each.reason for each in known)
    assert all('pip install "ullage[run]"' in each.reason for each in known)


def test_what_was_not_tried_is_planned_and_says_what_would_make_it_known(monkeypatch):
    known = without_torch(monkeypatch, Proof("untried", missing="a pass"))("auto")
    assert {(each.by, each.proven) for each in known} == {("formula", False)}
    assert all(each.reason.startswith("untried: a pass") for each in known)
    assert all(each.reason.endswith("--fidelity traced traces it") for each in known)


def test_what_was_found_to_be_off_is_traced_over_several_cards(monkeypatch):
    monkeypatch.setattr(
        fidelity, "proof_of_pass", lambda *_: Proof("not proven", 1, 0.2, "transformers 5.19.0")
    )
    asked = {"batch": 2, "prompt_tokens": 200, "new_tokens": 6}
    plan = ullage.estimate_model("ullage:tiny", "2xA100-80GB", **asked)
    assert {each.by for each in plan.roles["model"].known} == {"trace"}


def test_transformers_reads_every_config_of_the_catalog_whose_code_it_has():
    configs = {values["model_type"]: values for values in map(config_of, model_names())}
    for family, values in configs.items():
        if family in CONFIG_MAPPING:
            assert config_from(family, values).model_type == family
    assert {"falcon", "jamba", "mamba"} <= configs.keys()


def test_that_there_is_no_trace_is_found_out_once(monkeypatch):
    model = "nvidia/Llama-3_3-Nemotron-Super-49B-v1"  # its code comes with its weights
    asked = Asked(model, "bf16", "sdpa", Work("prefill", 1, 16, 1), False)
    with pytest.raises(UnsupportedError) as first:
        trace_model(asked)
    forget_traces()
    monkeypatch.setattr("ullage.tracing.built.config_from", None)
    with pytest.raises(UnsupportedError) as second:
        trace_model(asked)
    assert str(second.value) == str(first.value)


def test_but_what_another_day_may_trace_is_tried_again(monkeypatch):
    asked = Asked("ullage:tiny", "bf16", "sdpa", Work("prefill", 1, 24, 1), False)
    forget_traces()
    with monkeypatch.context() as today:
        today.setattr("ullage.tracing.passes.find_layout", _without_accelerate)
        with pytest.raises(UnsupportedError, match="No module named 'accelerate'"):
            trace_model(asked)
    forget_traces()
    assert trace_model(asked).live


def _without_accelerate(model):
    raise ModuleNotFoundError("No module named 'accelerate'", name="accelerate")


def test_a_config_that_its_own_code_does_not_take_is_refused_in_its_words(tmp_path):
    endless = {"model_type": "xlnet", "max_position_embeddings": 512, "n_layer": 2}
    (tmp_path / "config.json").write_text(json.dumps(endless))
    with pytest.raises(UnsupportedError, match="no sequence length limit"):
        ullage.model(str(tmp_path))
