"""Extractions with gradients: planned by their trace, run, taken up, verified."""

import json

import pytest
import small_models

import ullage
from ullage.errors import InputError, SpecError, UllageError, UnsupportedError

SITE = "blocks.1.hook_resid_post"
FILE = """
kind: extract
roles: {model: {model: MODEL}}
budget: {gpus: cpu}
batch: 4
prompt_tokens: 64
examples: 10
captures:
  - {sites: ["blocks.*.hook_resid_post"], positions: all, keep: disk}
  - {sites: ["blocks.0.attn.hook_q"], positions: [0, -1], keep: disk}
extract: {input: texts.jsonl, shard: 1MiB, backward: true}
"""
LENGTHS = [64, 64, 64, 64, 30, 5, 64, 11, 2, 47]


def prepared(folder, model):
    small_models.write_tokens(folder / "texts.jsonl", LENGTHS, 90)
    file = folder / "work.yaml"
    file.write_text(FILE.replace("MODEL", str(model)))
    return file


@pytest.fixture(scope="module")
def workload(tmp_path_factory, model_folder):
    return prepared(tmp_path_factory.mktemp("backward"), model_folder)


def run(file, name, *overrides, **options):
    folder = file.parent / name
    ullage.run(ullage.load(file, overrides), folder, base=file.parent, **options)
    return folder


def tokens_of(file):
    return [json.loads(line)["tokens"] for line in (file.parent / "texts.jsonl").read_text().splitlines()]


def kept(folder):
    return {path.name: path.read_bytes() for path in (folder / "states").iterdir()}


@pytest.fixture(scope="module")
def done(workload):
    return run(workload, "done")


def test_states_gradients_and_losses_are_those_from_python(workload, done, model_folder):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()
    extractor = ullage.Extractor(model, ["blocks.*.hook_resid_post"])
    store = ullage.open_states(done)
    assert len(store) == len(LENGTHS)
    for index in (0, 5, 8):
        (read,) = extractor.backward([tokens_of(workload)[index]])
        states = store[index]
        assert states["loss"].shape == (1,)
        for name, wanted in read.states.items():
            assert (states[name] - wanted).abs().max() <= 1e-5 * wanted.abs().max(), name
        assert states["blocks.0.attn.hook_q_grad"].shape == states["blocks.0.attn.hook_q"].shape
        assert states["blocks.0.attn.hook_q_grad"].shape[0] == 2
    assert store.matrix("loss").shape == (len(LENGTHS),)
    assert store.matrix(f"{SITE}_grad").shape == (sum(LENGTHS), 64)
    assert "loss" not in ullage.survey(done).sites


def test_what_was_measured_is_what_was_planned(done):
    live = {
        each.phase: each
        for each in ullage.verify(done).comparisons
        if each.what == "live" and each.device == "cpu"
    }["model extract"]
    assert live.verdict == "inside"
    assert abs(live.error) < 0.03


def test_a_run_that_was_cut_short_goes_on_to_the_same_bytes(workload, monkeypatch):
    from ullage.capture.backward import BackwardReader

    read, passes = BackwardReader.read, []

    def cut(self, *given):
        passes.append(given)
        if len(passes) == 3:
            raise KeyboardInterrupt
        return read(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(BackwardReader, "read", cut)
        with pytest.raises(KeyboardInterrupt):
            run(workload, "cut", "extract.store=npy")
    ullage.resume(workload.parent / "cut")
    assert len(passes) == 3
    assert kept(workload.parent / "cut") == kept(run(workload, "whole", "extract.store=npy"))


@pytest.mark.parametrize("override", ["extract.store=npy", "extract.use_reentrant=false"])
def test_other_stores_and_the_newer_way_hold_the_same(workload, done, override):
    other = ullage.open_states(run(workload, override.replace("=", "-"), override))
    wanted = ullage.open_states(done)
    for name in (SITE, f"{SITE}_grad", "loss", "blocks.0.attn.hook_q_grad"):
        assert (other.matrix(name) - wanted.matrix(name)).abs().max() < 1e-6


def test_gradients_that_are_no_numbers_stop_the_run(tmp_path):
    import torch
    from transformers import AutoModelForCausalLM

    small_models.save(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    with torch.no_grad():
        model.lm_head.weight[5] = torch.nan
    model.save_pretrained(tmp_path / "model")
    file = prepared(tmp_path, tmp_path / "model")
    with pytest.raises(InputError, match=r"hook_q_grad \(layer 0\) holds .* values that are NaN"):
        run(file, "run")
    _, record = ullage.run(ullage.load(file), tmp_path / "kept", base=tmp_path, allow_nan=True)
    assert record.outcome["not_finite"]["sites"]["loss"] == len(LENGTHS)


def test_a_text_without_a_next_token_is_named(tmp_path, model_folder):
    file = prepared(tmp_path, model_folder)
    small_models.write_tokens(tmp_path / "texts.jsonl", [8, 1], 90)
    with pytest.raises(InputError, match=r"texts.jsonl:2: record '1' has one token, and so no next one"):
        run(file, "run")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "roles.model.precision=nf4",
            "a pass back through weights in nf4 is not traced; use precision: bf16",
        ),
        ("extract.logits=all", "no gradient flows through stored logits"),
        ("memory.streaming_chunk_size=16", "a backward pass reads its whole prompt at once"),
        ("captures=[{sites: [ln_final.hook_normalized]}]", "no gradient flows through it"),
        ("roles.model.rope=linear:2", "a model with a stretched rope is not traced"),
        ("roles.model.trust_remote_code=true", "with code of its repository's own is not traced"),
        ("roles.model.max_memory={0: 1GiB}", "is traced on one device; leave out max_memory"),
        ("roles.model.attention=flash", "attention: flash"),
        ("extract.backward=false; extract.use_reentrant=false", "has no effect without backward: true"),
    ],
)
def test_what_is_not_traced_is_refused_in_one_line(workload, override, said):
    with pytest.raises(UllageError, match=said) as raised:
        ullage.plan(ullage.load(workload, override.split("; ")), base=workload.parent, advice=False)
    assert isinstance(raised.value, UnsupportedError | SpecError)
    assert isinstance(raised.value, SpecError) or "\n" not in str(raised.value)


def test_a_trace_is_made_once_and_what_was_damaged_is_made_anew(workload, monkeypatch):
    from ullage.records.evidence_place import evidence_file
    from ullage.tracing import kept, passes

    made, trace = [], passes.trace_config

    def counted(config, asked):
        made.append(asked)
        return trace(config, asked)

    def peak(*overrides):
        kept.forget_traces()
        found = ullage.plan(ullage.load(workload, overrides), base=workload.parent, advice=False)
        return found.devices[0].peak.live

    monkeypatch.setattr(passes, "trace_config", counted)
    first = peak()
    assert peak() == first
    assert len(made) == 1
    assert peak("batch=8").high > 1.4 * first.high
    assert len(made) == 2
    for path in (evidence_file().parent / "traces").iterdir():
        path.write_text('{"live": "much"}')
    assert peak() == first
    assert len(made) == 3


def test_a_card_is_planned_by_the_same_trace(workload):
    plan = ullage.plan(ullage.load(workload), "1xA100-80GB", base=workload.parent, advice=False)
    items = [item for item in plan.bill.items if item.basis == "traced"]
    assert {item.component for item in items} == {"activations", "captures"}
    assert plan.verdict == "fits"


def test_the_command_stores_gradients_beside_states(tmp_path, model_folder, monkeypatch, capsys):
    from ullage.cli.main import main

    small_models.write_tokens(tmp_path / "texts.jsonl", [9, 5], 90)
    monkeypatch.chdir(tmp_path)
    words = ["extract", "--model", str(model_folder), "--input", "texts.jsonl", "--sites", SITE, "--backward"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--out", "run", "--quiet", "--json"])
    assert not ended.value.code, capsys.readouterr().err
    assert json.loads(capsys.readouterr().out)
    assert set(ullage.open_states("run").sites) == {SITE, f"{SITE}_grad", "loss"}
