"""The command line as a user meets it."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import ullage
from ullage import document_schema
from ullage.cli.main import main

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        output = capsys.readouterr()
        return ended.value.code, output.out, output.err

    return call


@pytest.mark.parametrize(
    ("name", "code"), [("werewolf", 0), ("evaluate", 0), ("extract", 0), ("assistant", 3), ("pii", 0)]
)
def test_every_example_is_planned(run, name, code):
    ended, out, err = run("plan", EXAMPLES / f"{name}.yaml")
    assert (ended, err) == (code, "")
    assert "verdict:" in out
    assert "ullage" in out or "too much" in out


def documents():
    yield "plan", ("plan", EXAMPLES / "werewolf.yaml", "--json")
    yield "plan", ("plan", EXAMPLES / "assistant.yaml", "--json")
    yield "estimate", ("estimate", "Qwen/Qwen2.5-7B-Instruct", "--json")
    yield "model", ("models", "deepseek-ai/DeepSeek-V3", "--json")
    yield "model", ("models", "black-forest-labs/FLUX.1-schnell", "--json")
    yield "models", ("models", "--json")
    yield "gpus", ("gpus", "--json")
    yield "gpu-sets", ("gpus", EXAMPLES / "pii.yaml", "--json")
    yield "evidence", ("evidence", "--json")
    yield "sweep", ("plan", EXAMPLES / "pii.yaml", "--sweep", "batch=1..64", "--json")


@pytest.mark.parametrize(("kind", "arguments"), documents(), ids=lambda value: str(value)[:60])
def test_every_document_follows_its_schema(run, kind, arguments):
    _, out, _ = run(*arguments)
    document = json.loads(out)
    assert (document["document"], document["version"]) == (kind, 1)
    jsonschema.validate(document, document_schema(kind))


def test_the_total_is_the_sum_of_the_devices_own_peaks(run):
    _, out, _ = run("plan", EXAMPLES / "werewolf.yaml", "--json")
    document = json.loads(out)
    for level in ("live", "reserved", "process", "device"):
        for end in ("low", "expected", "high"):
            parts = [d[level][end] for d in document["devices"] if d["name"].startswith("gpu:")]
            assert document["total"][level][end] == sum(parts)


def test_a_sweep_doubles_steps_and_lists(run):
    sweeps = ["batch=1..64", "batch=0..10:5", "precision=bf16,nf4"]
    values = []
    for sweep in sweeps:
        _, out, _ = run(
            "estimate", "Qwen/Qwen2.5-0.5B-Instruct", "--sweep", sweep.replace("=0", "=5"), "--json"
        )
        values.append([next(iter(row["settings"].values())) for row in json.loads(out)["rows"]])
    assert values == [["1", "2", "4", "8", "16", "32", "64"], ["5", "10"], ["bf16", "nf4"]]


def write(tmp_path, text, name="w.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return path


BAD = {
    "a missing file": (("plan", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
    "a folder": (("plan", EXAMPLES), "cannot be read"),
    "an unknown model": (("estimate", "Qwen/Qwen2.5-7B-Instrukt"), "nearest: Qwen/Qwen2.5-7B-Instruct"),
    "an unknown GPU": (("estimate", "gpt2", "--gpus", "A100-90GB"), "unknown GPU 'A100-90GB'; nearest"),
    "no GPUs": (("estimate", "gpt2", "--gpus", "0xA100"), "1 to 1024"),
    "a negative batch": (("estimate", "gpt2", "--batch", "-1"), "batch: -1 must be at least 1"),
    "a word for a number": (("estimate", "gpt2", "--batch", "many"), "--batch"),
    "an unknown precision": (
        ("estimate", "gpt2", "--precision", "bf17"),
        "precision: 'bf17' is not valid",
    ),
    "a window too long": (("estimate", "gpt2", "--prompt-tokens", "2000"), "window of 1024"),
    "an unknown verb": (("plam", "x"), "No such command"),
    "an unknown option": (("plan", "x", "--gpu", "A100"), "--gpu"),
    "no argument": (("plan",), "FILE"),
    "an empty sweep": (("estimate", "gpt2", "--sweep", "batch=9..3"), "range is empty"),
    "a huge sweep": (("estimate", "gpt2", "--sweep", "batch=1..999999999:1"), "at most 10000"),
    "a sweep without values": (("estimate", "gpt2", "--sweep", "batch"), "write path=1..64, path=0..10:2 or"),
    "a sweep of nothing": (("estimate", "gpt2", "--sweep", "speed=1..3"), "speed: unknown key"),
    "an optimizer nobody knows": (
        ("estimate", "gpt2", "--train", "magic"),
        "optimizer: 'magic' is",
    ),
    "images for a text model": (("estimate", "gpt2", "--images", "2"), "takes no images"),
    "an image of no size": (
        ("estimate", "Qwen2.5-VL-7B-Instruct", "--images", "1", "--image-size", "large"),
        "image_size: 'large' is not a list: width, height in pixels: 1000x2530",
    ),
    "an image that its processor refuses": (
        ("estimate", "Qwen2.5-VL-7B-Instruct", "--images", "1", "--image-size", "10x9000"),
        "takes no image of 10x9000: it is more than 200 times longer than short",
    ),
    "a model file that is none": (("models", EXAMPLES / "pii.yaml"), "neither a config.json"),
}


def test_an_estimate_follows_the_size_of_images(run):
    def cache(*arguments):
        code, out, err = run("estimate", "Qwen2.5-VL-7B-Instruct", "--json", "--no-advice", *arguments)
        assert (code, err) == (0, "")
        items = json.loads(out)["items"]
        return sum(item["bytes"]["expected"] for item in items if item["component"] == "kv_cache"), items

    (bare, _), (small, _), (large, items) = (
        cache(),
        cache("--images", "2", "--image-size", "224x224"),
        cache("--images", "2", "--image-size", "1000x2530"),
    )
    assert (large - bare) * 64 == (small - bare) * 3240
    assert any(
        "2 images of 12,960 patches" in item["note"] for item in items if item["component"] == "vision"
    )


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_line_and_exit_code_two(run, name):
    arguments, said = BAD[name]
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"kind: [", "broken YAML"),
        (b"\xff\xfe\x00binary", "not UTF-8"),
        (
            b"kind: pii\nroles: {verifier: {model: gpt2}}\nbach: 3\n",
            "w.yaml:3:1: bach: unknown key; nearest: batch",
        ),
        (b"kind: pii\nroles: {verifier: {model: gpt3}}\nbudget: {gpus: T4}\n", "unknown model 'gpt3'"),
        (b"kind: pii\nroles: {verifier: {model: gpt2}}\n", "no GPUs"),
        (b"kind: pii\nroles: {verifier: {model: ./gone}}\nbudget: {gpus: T4}\n", "no such file"),
    ],
)
def test_a_bad_file_is_one_clear_line(run, tmp_path, content, said):
    path = tmp_path / "w.yaml"
    path.write_bytes(content)
    code, out, err = run("plan", path)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_local_model_is_found_beside_the_workload_file(run, tmp_path):
    config = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/config.json").write_text(json.dumps(config))
    path = write(tmp_path, "kind: pii\nroles: {verifier: {model: ./mine}}\nbudget: {gpus: T4}\n")
    assert run("plan", path)[0] == 0


def test_a_truncated_weight_file_is_named(run, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 20)
    code, _, err = run("models", tmp_path)
    assert code == 2
    assert "model.safetensors: header claims" in err


@pytest.mark.long
@pytest.mark.parametrize("columns", ["60", "80", "120", "200"])
def test_tables_never_exceed_the_terminal(run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    _, out, _ = run("plan", EXAMPLES / "werewolf.yaml", "--details")
    body = out.split("Memory by device and phase")[1]
    assert max(len(line.rstrip()) for line in body.splitlines()) <= int(columns)


def test_there_are_no_colours_without_a_terminal(run):
    _, out, _ = run("plan", EXAMPLES / "assistant.yaml")
    assert "\x1b" not in out


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m ullage models --json | head -c 100"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=ROOT
    )
    assert "Traceback" not in result.stderr
    assert "internal error" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["plan", "examples/werewolf.yaml"], 0),
        (["plan", "examples/assistant.yaml", "--json"], 3),
        (["plan"], 2),
    ],
)
def test_the_process_says_everything_before_it_leaves(arguments, code):
    command = [sys.executable, "-m", "ullage", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == code
    if "--json" in arguments:
        assert json.loads(done.stdout)["verdict"] == "does not fit"
    elif code == 0:
        assert done.stdout.splitlines()[-1].startswith("--details phases, items, decisions, 2 notes")
    else:
        assert done.stderr.startswith("ullage: error:")


def test_the_public_functions_do_what_the_command_line_does():
    found = ullage.plan(ullage.load(EXAMPLES / "werewolf.yaml"))
    assert found.verdict == "fits"
    assert ullage.model("gpt2").parameters == 124_439_808
    assert "properties" in ullage.schema()


def test_a_model_of_experts_is_shown_with_what_a_token_uses(run):
    code, out, _ = run("models", "mistralai/Mixtral-8x7B-Instruct-v0.1")
    assert code == 0
    counts = dict(line.rsplit(maxsplit=1) for line in out.splitlines() if line[-1:].isdigit())
    assert counts["active per token"] == "12,879,925,248"
    assert counts["all"] == "46,702,792,704"
    assert "layers: 32x full attention + experts" in out
    assert "active per token" not in run("models", "gpt2")[1]


@pytest.mark.parametrize("columns", ["80", "100", "40"])
def test_no_terminal_cuts_the_name_of_a_model(run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    code, out, _ = run("models")
    lines = out.splitlines()
    assert code == 0
    assert "…" not in out
    names = [model.name for model in ullage.models()]
    assert all(len(line) <= int(columns) or line in names for line in lines), "a name is not torn"
    assert [line.split()[0] for line in lines if "/" in line] == [name for name in names if "/" in name]
    assert {"name", "parameters", "type", "dtype"} <= set(out.partition(names[0])[0].split())


def test_a_pipeline_is_shown_by_its_models(run):
    _, out, _ = run("models", "black-forest-labs/FLUX.1-schnell")
    rows = [line.split() for line in out.splitlines()]
    assert [row[0] for row in rows if row[1:] and row[1][:1].isdigit()] == [
        "transformer",
        "text_encoder",
        "text_encoder_2",
        "vae",
        "all",
    ]
    assert "layers:" not in out


def test_a_folder_is_shown_with_the_bytes_that_are_stored(run, model_folder):
    code, out, _ = run("models", model_folder)
    stored = sum(file.stat().st_size for file in model_folder.glob("*.safetensors"))
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("stored: "))
    said = int(line.removeprefix("stored: ").removesuffix(" bytes").replace(",", ""))
    assert 0 < said <= stored
    assert json.loads(run("models", model_folder, "--json")[1])["stored_bytes"] == said


def test_what_a_server_elsewhere_does_takes_nothing_here(run, tmp_path):
    path = write(
        tmp_path, "kind: werewolf\nroles: {player: {model: some/model, engine: openai}}\nbudget: {gpus: T4}\n"
    )
    code, out, err = run("plan", path, "--no-advice")
    assert (code, err) == (0, "")
    assert "T4 (gpu:0), nothing is held there" in out
    assert "0.00 of 14.56 GiB" in out
    out = run("plan", path, "--no-advice", "--details")[1]
    titles = ("phase", "role", "Decisions", "Time", "cost")
    assert not [line for line in out.splitlines() if line.startswith(titles)]


def test_a_sweep_reads_a_pipe_once():
    command = [sys.executable, "-m", "ullage", "plan", "/dev/stdin", "--sweep", "batch=1,2,4", "--json"]
    text = (EXAMPLES / "pii.yaml").read_text()
    done = subprocess.run(command, capture_output=True, text=True, input=text, check=False)
    assert len(json.loads(done.stdout)["rows"]) == 3, done.stderr


def test_no_card_is_advised_where_every_role_runs_elsewhere(run, tmp_path):
    text = "kind: werewolf\nroles: {player: {model: some/model, engine: openai}}\nbudget: {gpus: T4}\n"
    path = write(tmp_path, text)
    assert json.loads(run("plan", path, "--json")[1])["advice"] == []
    assert run("gpus", path) == (0, "no card is needed: every role of this workload runs elsewhere\n", "")
    assert json.loads(run("gpus", path, "--json")[1])["sets"] == []


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ("prompt_tokens: 99000000", 2, "has a window of 131072"),
        ("attention: flash, precision: fp32", 2, "attention: flash needs 16-bit arithmetic"),
        ("placement: 'gpu:99'", 2, "placement gpu:99"),
    ],
)
def test_what_no_card_can_do_is_told_and_not_called_too_large(run, tmp_path, fields, code, said):
    role = f"{{model: meta-llama/Llama-3.1-8B-Instruct, {fields}}}"
    found, out, errors = run("gpus", write(tmp_path, f"kind: werewolf\nroles: {{player: {role}}}\n"))
    assert (found, out) == (code, "")
    assert said in errors
    assert errors.count("\n") == 1


def test_what_no_set_holds_is_told(run, tmp_path):
    large = "{model: deepseek-ai/DeepSeek-V3, precision: bf16, placement: 'gpu:0'}"
    code, out, _ = run("gpus", write(tmp_path, f"kind: werewolf\nroles: {{player: {large}}}\n"))
    assert code == 3
    assert out.startswith("no set of cards with an on-demand price holds this workload\n")
    assert "left out: " in out


def test_what_no_source_states_of_a_card_is_said_and_not_filled_in(run):
    code, out, _ = run("estimate", "gpt2", "--prompt-tokens", "64", "--gpus", "1xDGX Spark GB10", "--details")
    assert code == 0
    decode = [line for line in out.splitlines() if line.startswith("model decode ")][-1]
    assert decode.split()[2:] == ["unknown"] * 4
    assert "cost     no price is known for these cards" in out
    assert "no source states how many operations per second DGX Spark GB10 does" in " ".join(out.split())
    card = next(line for line in run("gpus")[1].splitlines() if line.startswith("DGX Spark"))
    assert "unknown" in card


def test_sample_writes_labelled_examples(run, tmp_path):
    file = tmp_path / "deep" / "route.jsonl"
    code, out, err = run("sample", "route", "--count", "7", "--out", file)
    assert (code, err) == (0, "")
    assert "7 examples of route" in out
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(records) == 7
    assert all(record["answer"] in record["answers"] for record in records)


def test_sample_makes_a_model_that_can_be_planned(run, tmp_path):
    folder = tmp_path / "perception"
    code, out, err = run("sample", "perception", "--out", folder)
    assert (code, err) == (0, "")
    assert out == f"a small model for the role perception, its weights of chance, in {folder}\n"
    assert run("estimate", folder, "--images", "1", "--gpus", "cpu")[0] == 0
    code, _, err = run("sample", "perception", "--out", folder)
    assert code == 2
    assert "is there already; name a folder that is new or empty" in err


def test_sample_says_where_nothing_can_be_written(run, tmp_path):
    (tmp_path / "file").write_text("mine")
    file = tmp_path / "file" / "route.jsonl"
    assert run("sample", "route", "--out", file) == (
        2,
        "",
        f"ullage: error: {file}: cannot be written: File exists\n",
    )
    assert (tmp_path / "file").read_text() == "mine"


def test_sample_says_what_there_is_and_leaves_nothing(run, tmp_path):
    code, _, err = run("sample", "juggle", "--out", tmp_path / "x.jsonl")
    assert code == 2
    assert "there are: answer, lie, judge" in err
    assert not list(tmp_path.iterdir())
