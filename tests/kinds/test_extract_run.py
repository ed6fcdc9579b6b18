"""Extractions from a file to stored states: whole runs through the public functions and the command line."""

import json
import random
import signal
import time
from functools import partial

import pytest
import small_models
from forks import Done

import ullage
from ullage.cli.main import main
from ullage.errors import InputError, SpecError
from ullage.kinds.extract.short_form import short_form

SITE = "blocks.1.hook_resid_post"
ONE = {"positions": "all", "keep": "disk"}
FILE = """
kind: extract
roles: {model: {model: MODEL}}
budget: {gpus: cpu}
batch: 4
prompt_tokens: 256
new_tokens: 8
examples: 60
captures:
  - {sites: ["blocks.*.hook_resid_post"], positions: all, keep: disk}
  - {sites: ["ln_final"], positions: last, keep: disk}
extract: {input: texts.jsonl, shard: 1MiB}
"""


@pytest.fixture
def workload(tmp_path, model_folder):
    small_models.write_texts(tmp_path / "texts.jsonl", 60)
    file = tmp_path / "work.yaml"
    file.write_text(FILE.replace("MODEL", str(model_folder)))
    return file


def run(file, name, *overrides, **options):
    folder = file.parent / name
    ullage.run(ullage.load(file, overrides), folder, base=file.parent, **options)
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in (folder / "states").iterdir()} | {
        "journal": (folder / "journal.jsonl").read_bytes()
    }


def tensors_hold(folder):
    """Whether live and reserved stay below their high values; this process holds other things as well."""
    levels = [c for c in ullage.verify(folder).comparisons if c.what in ("live", "reserved")]
    assert levels
    return all(c.verdict != "above" for c in levels)


def transformers_states(model_folder, tokens):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    with torch.inference_mode():
        return model(torch.tensor([tokens]), output_hidden_states=True).hidden_states


def test_states_tokens_and_offsets_of_every_text(workload, model_folder):
    store = ullage.open_states(run(workload, "run"))
    texts = small_models.texts(60)
    assert len(store) == 60
    for index in (0, 17, 59):
        row = store.rows[index]
        assert (row["id"], row["text"]) == (f"text-{index}", texts[index])
        assert row["prompt_tokens"] == len(row["tokens"])
        pieces = zip(row["offset_begin"], row["offset_end"], strict=True)
        assert "".join(row["text"][begin:end] for begin, end in pieces) == texts[index]
        hidden = transformers_states(model_folder, row["tokens"])
        states = store[index]
        assert (states["blocks.1.hook_resid_post"] - hidden[2][0]).abs().max() < 1e-5
        assert (states["ln_final"] - hidden[4][0, -1:]).abs().max() < 1e-5
    assert store.matrix("ln_final").shape == (60, 64)


def test_the_record_lies_within_the_plan(workload):
    folder = run(workload, "run")
    verification = ullage.verify(folder)
    assert tensors_hold(folder)
    live = {c.phase: c for c in verification.comparisons if c.what == "live"}
    assert abs(live["model load"].error) < 0.01
    assert live["model extract"].verdict == "inside"
    weights = [c for c in verification.comparisons if c.what == "weights"]
    assert weights
    assert all(c.error == 0 for c in weights)


def test_others_can_read_the_index(workload):
    import pyarrow.parquet as pq

    folder = run(workload, "run") / "states"
    table = pq.read_table(folder / "examples.parquet")
    assert table.column("index").to_pylist() == list(range(60))
    index = json.loads((folder / "index.json").read_text())
    assert index["sites"]["blocks.0.hook_resid_post"] == {"dtype": "float32", "width": [64]}
    import hashlib

    for file in index["files"]:
        assert hashlib.sha256((folder / file["name"]).read_bytes()).hexdigest() == file["sha256"]
    assert len(index["files"]) > 1


def test_datasets_reads_the_metadata(workload):
    datasets = pytest.importorskip("datasets")
    folder = run(workload, "run") / "states"
    rows = datasets.Dataset.from_parquet(str(folder / "examples.parquet"), cache_dir=str(workload.parent))
    assert rows[3]["id"] == "text-3"
    assert rows[3]["states"][0]["site"].startswith("blocks.0") or rows[3]["states"][0]["site"]


def test_memory_maps_hold_the_same_states_in_input_order(workload):
    import numpy as np

    shards = ullage.open_states(run(workload, "shards"))
    maps = ullage.open_states(run(workload, "maps", "extract.store=npy"))
    for index in (0, 30, 59):
        for site, states in shards[index].items():
            assert (states - maps[index][site]).abs().max() == 0
    last = np.load(workload.parent / "maps" / "states" / "ln_final.npy", mmap_mode="r")
    assert last.shape == (60, 64)
    assert np.array_equal(last, maps.matrix("ln_final").numpy())


def test_streaming_and_batch_size_change_nothing_but_rounding(workload):
    plain = ullage.open_states(run(workload, "plain"))
    other = ullage.open_states(run(workload, "other", "memory.streaming_chunk_size=16", "batch=2"))
    for index in range(0, 60, 7):
        for site, states in plain[index].items():
            assert (states - other[index][site]).abs().max() < 2e-5


@pytest.mark.parametrize("generate", ["false", "true"])
def test_logits_are_stored_where_asked(workload, model_folder, generate):
    import torch
    from transformers import AutoModelForCausalLM

    folder = run(workload, "run", "extract.logits=last", f"extract.generate={generate}")
    store = ullage.open_states(folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    row = store.rows[3]
    read = row["tokens"] if generate == "false" else row["tokens"][:-1]
    with torch.inference_mode():
        own = model(torch.tensor([read])).logits[0, -1:]
    assert (store[3]["logits"] - own).abs().max() < 2e-5
    assert tensors_hold(folder)


def test_layers_that_wait_on_disk_give_the_same_states(workload, command):
    folder = run(workload, "disk", "roles.model.max_memory={cpu: 1MiB, disk: 1GiB}")
    plan = json.loads((folder / "manifest.json").read_text())["plan"]
    assert set(plan["placement"]["model"].values()) == {"cpu", "disk"}
    assert any(item["device"] == "disk" and item["component"] == "weights" for item in plan["items"])
    offloaded, plain = ullage.open_states(folder), ullage.open_states(run(workload, "plain"))
    for index in range(0, 60, 9):
        for site, states in plain[index].items():
            assert (states - offloaded[index][site]).abs().max() < 2e-5
    checked = command("check", workload, "--set", "roles.model.max_memory={cpu: 1MiB, disk: 1GiB}")
    assert "model on disk" in checked.stdout


def test_a_snapshot_needs_a_gpu(workload, command):
    done = command("run", workload, "--out", workload.parent / "r", "--snapshot")
    assert (done.returncode, "only GPUs" in done.stderr) == (2, True)


def test_an_interrupted_run_says_how_to_go_on(workload, forks):
    code = "import ullage.capture.reader as r\nread = r.Reader.read\nleft = [4]\n"
    code += (
        "def late(*a):\n    left[0] -= a[0].layout.rows > 97\n"  # the proof reads a small model
        "    if not left[0]: raise KeyboardInterrupt\n    return read(*a)\n"
    )
    code += "r.Reader.read = late\n"
    folder = workload.parent / "run"
    done = forks.run("run", workload, "--out", folder, first=code)
    assert done.returncode == 130
    assert f"--resume {folder}" in done.stderr
    assert forks.run("run", "--resume", folder).returncode == 0
    assert contents(folder) == contents(run(workload, "whole"))


def test_generated_tokens_are_told_from_the_prompt(workload):
    store = ullage.open_states(run(workload, "run", "extract.generate=true", "captures.1.positions=all"))
    row = store.rows[5]
    prompt = small_models.texts(60)[5]
    assert row["text"].startswith(prompt)
    assert row["prompt_tokens"] < len(row["tokens"]) <= row["prompt_tokens"] + 8
    assert row["offset_begin"][row["prompt_tokens"]] == len(prompt)
    assert len(store[5]["ln_final"]) == len(row["tokens"]) - 1
    again = run(workload, "again", "extract.generate=true", "captures.1.positions=all")
    assert contents(again) == contents(workload.parent / "run")
    assert tensors_hold(again)


def test_generation_stays_within_its_plan_when_prompts_are_as_long_as_planned(workload):
    lines = [json.dumps({"tokens": [(7 * n + k) % 90 + 3 for k in range(256)]}) for n in range(8)]
    (workload.parent / "texts.jsonl").write_text("\n".join(lines))
    peaks = []
    for name, chunk in (("whole", "256"), ("chunked", "64")):
        folder = run(workload, name, "extract.generate=true", f"memory.streaming_chunk_size={chunk}")
        assert tensors_hold(folder)
        levels = ullage.verify(folder).comparisons
        peaks.append(next(c.measured for c in levels if (c.phase, c.what) == ("model prefill", "live")))
    assert peaks[1] < peaks[0]
    whole, chunked = (ullage.open_states(workload.parent / name) for name in ("whole", "chunked"))
    for index in range(8):
        assert whole.rows[index]["tokens"] == chunked.rows[index]["tokens"]
        for site, states in whole[index].items():
            assert (states - chunked[index][site]).abs().max() < 2e-5


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_running_out_of_memory_at_random_batches_changes_nothing(workload, monkeypatch, seed):
    import torch

    from ullage.capture.reader import Reader

    clean = ullage.open_states(run(workload, "clean"))
    chance, read = random.Random(seed), Reader.read
    failures = []

    def failing(self, sequences, spans=()):
        if len(sequences) > 1 and chance.random() < 0.5:
            failures.append(len(sequences))
            raise torch.OutOfMemoryError("CUDA out of memory. Injected")
        return read(self, sequences, spans)

    monkeypatch.setattr(Reader, "read", failing)
    folder = run(workload, "failing")
    assert failures
    store = ullage.open_states(folder)
    assert [row["id"] for row in store.rows] == [row["id"] for row in clean.rows]
    for index in range(60):
        for site, states in clean[index].items():
            assert (states - store[index][site]).abs().max() < 2e-5
    assert json.loads((folder / "record.json").read_text())["splits"] == len(failures)


@pytest.fixture
def command(capsys):
    """The command line, in this process."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        return Done(ended.value.code, *capsys.readouterr())

    return call


@pytest.mark.parametrize("store", ["safetensors", "npy"])
@pytest.mark.long
def test_a_run_killed_again_and_again_ends_byte_for_byte_the_same(workload, store, forks):
    whole = run(workload, "whole", f"extract.store={store}")
    chance = random.Random(store)
    killed = workload.parent / "killed"
    arguments = ["run", workload, "--out", killed, "--quiet", "--set", f"extract.store={store}"]
    slow = "import time; from ullage.capture import reader; read = reader.Reader.read\n"
    slow += "def late(self, *a): time.sleep(0.05); return read(self, *a)\n"
    slow += "reader.Reader.read = late\n"
    journal = killed / "journal.jsonl"

    def lines():
        return journal.read_bytes().count(b"\n") if journal.exists() else 0

    def one_more(_, before):
        if lines() <= before:
            return False
        time.sleep(chance.uniform(0.0, 0.1))
        return True

    for _ in range(2):
        done = forks.run(*arguments, first=slow, when=partial(one_more, before=lines()))
        assert done.returncode == -signal.SIGKILL
        arguments = ["run", "--resume", killed, "--quiet"]
    assert forks.run(*arguments).returncode == 0
    assert contents(killed) == contents(whole)


def test_a_finished_run_is_left_as_it_is(workload):
    folder = run(workload, "run")
    before = contents(folder)
    assert ullage.resume(folder).examples == 60
    assert contents(folder) == before


def unfinished(workload):
    folder = run(workload, "run")
    (folder / "record.json").unlink()
    return folder


def test_a_run_whose_input_has_changed_is_not_resumed(workload):
    folder = unfinished(workload)
    small_models.write_texts(workload.parent / "texts.jsonl", 61)
    with pytest.raises(InputError, match="has changed"):
        ullage.resume(folder)


def test_a_changed_shard_is_noticed(workload):
    folder = unfinished(workload)
    shard = folder / "states" / "00001.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    with pytest.raises(InputError, match="was changed"):
        ullage.resume(folder)


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ("", "holds no records"),
        ('{"text": 3}', ":1: no text under 'text'"),
        ('{"text": "a"}\n{"body": "b"}', ":2: no text under 'text' .it has: body"),
        ("[1]", ":1: not a JSON object"),
        ('{"text": "a"}\n{"text": ', ":2: not JSON"),
        ('{"tokens": [1, 999999]}', "999999 is not in the vocabulary"),
        ('{"tokens": []}', "has no tokens"),
        ('{"tokens": [1, 2.5]}', "not a list of whole numbers"),
        ('{"text": "' + "cat " * 400 + '"}', "set extract.too_long: truncate"),
    ],
)
def test_records_that_cannot_be_read_are_named_before_anything_runs(workload, lines, wrong):
    (workload.parent / "texts.jsonl").write_text(lines)
    with pytest.raises(InputError, match=wrong):
        run(workload, "run")
    # Nothing is left behind, so the same command works once the input is mended.
    assert not (workload.parent / "run").exists()
    small_models.write_texts(workload.parent / "texts.jsonl", 5)
    assert len(ullage.open_states(run(workload, "run"))) == 5


def test_long_texts_are_cut_where_asked(workload):
    (workload.parent / "texts.jsonl").write_text(json.dumps({"text": "cat " * 400}) + "\n")
    store = ullage.open_states(run(workload, "run", "extract.too_long=truncate"))
    assert len(store.rows[0]["tokens"]) == 256


def test_spans_of_characters(workload):
    text = "the cat sings over the red house"
    begin = text.index("red")
    records = [{"text": text, "span": [begin, begin + 3]}, {"text": text, "span": [0, 7]}]
    (workload.parent / "texts.jsonl").write_text("\n".join(map(json.dumps, records)))
    span = ["captures.0.positions=span", "captures.0.span_tokens=6"]
    store = ullage.open_states(run(workload, "run", *span))
    everything = ullage.open_states(run(workload, "all"))
    row = everything.rows[0]
    inside = [
        k
        for k, (a, b) in enumerate(zip(row["offset_begin"], row["offset_end"], strict=True))
        if a < begin + 3 and b > begin
    ]
    site = "blocks.2.hook_resid_post"
    assert (store[0][site] - everything[0][site][inside]).abs().max() == 0
    del records[1]["span"]
    (workload.parent / "texts.jsonl").write_text("\n".join(map(json.dumps, records)))
    with pytest.raises(InputError, match="has no span"):
        run(workload, "none", *span)


def test_a_plan_that_does_not_fit_is_not_run(workload, command):
    done = command("run", workload, "--out", workload.parent / "r", "--set", "budget.host_memory=64MiB")
    assert done.returncode == 3
    assert "does not fit" in done.stderr
    assert not (workload.parent / "r").exists()


def test_a_plan_for_gpus_this_machine_lacks_says_so(workload, command):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = command("run", workload, "--gpus", "2xA100-80GB", "--out", workload.parent / "r")
    assert done.returncode == 2
    assert "no CUDA GPU" in done.stderr
    assert "--gpus cpu" in done.stderr
    assert not (workload.parent / "r").exists()


def test_the_command_line_from_run_to_verify(workload, command):
    folder = workload.parent / "run"
    done = command("run", workload, "--out", folder, "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["examples"] == 60
    assert {each["phase"] for each in record["measured"]} == {"model load", "model extract"}
    checked = command("verify", folder)
    assert checked.returncode == 0
    assert "every measured peak is within" in checked.stdout
    document = json.loads(command("verify", folder, "--json").stdout)
    assert document["holds"] is True
    assert command("run", workload, "--out", folder).returncode == 2
    assert command("verify", workload.parent).returncode == 2
    maps = json.loads(command("check", workload, "--json").stdout)["device_maps"]
    assert maps == {"model": {"(whole model)": "cpu"}}


def test_the_short_form(workload, model_folder, command):
    out = workload.parent / "short"
    done = command(
        *("extract", "--model", model_folder, "--input", workload.parent / "texts.jsonl", "--out", out),
        *("--sites", "blocks.*.hook_resid_post", "--sites", "ln_final", "--positions", "mean"),
        *("--gpus", "cpu", "--batch", "3"),
    )
    assert done.returncode == 0, done.stderr
    store = ullage.open_states(out)
    whole = ullage.open_states(run(workload, "run"))
    assert store.matrix("ln_final").shape == (60, 64)
    site = "blocks.3.hook_resid_post"
    assert (store[7][site] - whole[7][site].mean(0, keepdim=True)).abs().max() < 1e-5
    wrong = command("extract", "--model", model_folder, "--input", "nowhere.jsonl", "--sites", "x")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)


def test_the_short_form_takes_as_many_texts_as_fill_a_pass(tmp_path, model_folder):
    def batch(lengths, **settings):
        file = small_models.write_tokens(tmp_path / "tokens.jsonl", lengths, 90)
        chosen = {"gpus": "cpu", **settings}
        return short_form(str(model_folder), str(file), [SITE], chosen, download=False).batch

    assert batch([20] * 300) == 64
    assert batch([20] * 5) == 8
    assert batch([1000] * 30) == 8
    assert batch([20] * 300, gpus="L4") == 512
    assert batch([20] * 300, batch=3) == 3


def test_short_texts_share_a_pass_as_far_as_its_tokens_go(workload, monkeypatch):
    from ullage.capture.reader import Reader

    read, passes = Reader.read, []

    def counted(self, sequences, *rest):
        passes.append([len(each) for each in sequences])
        return read(self, sequences, *rest)

    monkeypatch.setattr(Reader, "read", counted)
    small_models.write_tokens(workload.parent / "texts.jsonl", [4] * 500, 90)
    alone = {**ONE, "sites": [SITE]}
    out = run(workload, "many", f"captures={json.dumps([alone])}")
    assert [len(each) for each in passes[-2:]] == [256, 244]  # after those of the proof
    assert tensors_hold(out)


@pytest.mark.parametrize(
    ("overrides", "wrong"),
    [
        (["extract.store=npy", "extract.generate=true"], "lengths known in advance"),
        (["extract.shard=1KiB"], "between 1MiB"),
        (["extract.temperature=0.5"], "no effect"),
        (["captures.0.sites=['*']", "extract.store=npy"], "cannot hold"),
    ],
)
def test_settings_that_contradict_are_told_with_their_place(workload, overrides, wrong):
    with pytest.raises(SpecError, match=wrong):
        ullage.load(workload, overrides)


def test_analyses_of_a_finished_run(workload, command):
    pytest.importorskip("matplotlib")
    folder = run(workload, "run", "captures.1.positions=all")
    pictures = workload.parent / "pictures"
    done = command("analyse", folder, "--out", pictures, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert next(iter(found["sites"])) == "blocks.0.hook_resid_post"
    assert 1 <= found["sites"]["ln_final"]["effective_dimension"] <= 64
    assert list(found["compression"]) == [f"blocks.{layer}.hook_resid_post" for layer in (1, 2, 3)]
    assert len(found["cosines"]) == 5
    assert {path.name for path in pictures.iterdir()} >= {"dimensions.png", "cosine.png", "neighbours.png"}
    assert "D_eff" in command("analyse", folder).stdout
    assert command("analyse", workload.parent).returncode == 2


def test_evidence_of_a_run_is_kept_with_what_it_was_taken_from(workload, monkeypatch, tmp_path):
    import torch

    monkeypatch.setenv("ULLAGE_HOME", str(tmp_path / "own"))
    run(workload, "run")
    found = ullage.evidence().observations[0]
    assert (found.key.gpu, found.key.threads) == ("CPU", torch.get_num_threads())
    assert found.workload.startswith("extract; model: ")
    assert str(tmp_path) not in (tmp_path / "own" / "evidence.jsonl").read_text()
    assert (found.phase, found.run) == ("model extract", "run")
    assert 0 < found.held <= found.overhead


def test_a_run_is_planned_with_what_its_process_holds(workload):
    from ullage.runtime.reading import resident_bytes

    folder = run(workload, "run")
    manifest = json.loads((folder / "manifest.json").read_text())
    context = next(item for item in manifest["plan"]["items"] if item["component"] == "context")
    assert "MiB held before any model" in context["note"]
    assert 0.5 * resident_bytes() < context["bytes"]["low"] < 2 * resident_bytes()
    assert ullage.verify(folder).holds


def test_whatever_lies_where_evidence_is_kept_a_run_has_its_record(workload, monkeypatch, tmp_path):
    home = tmp_path / "own"
    (home / "evidence.jsonl").mkdir(parents=True)
    monkeypatch.setenv("ULLAGE_HOME", str(home))
    folder = run(workload, "run")
    assert json.loads((folder / "record.json").read_text())["examples"] > 0
    said = (folder / "log.jsonl").read_text()
    assert "is a folder, not a file; no evidence of past runs is used" in said
    assert "renamed to evidence.jsonl.aside-1" in said
    assert len(ullage.evidence().observations) == 1


def test_a_plan_for_far_longer_texts_than_there_are_is_said(workload, capsys):
    ullage.run(
        ullage.load(workload, ("prompt_tokens=512",)),
        workload.parent / "a",
        base=workload.parent,
        quiet=False,
    )
    assert "the plan is for prompt_tokens: 512; fewer need less memory" in capsys.readouterr().err
