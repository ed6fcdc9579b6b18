"""`ullage estimate` and sweeps: a model without a file, and many plans of one thing."""

import json
import re
from pathlib import Path

import pytest

import ullage
from ullage.api.one_model import bare_workload
from ullage.cli.main import main

MODEL = "Qwen/Qwen2.5-0.5B-Instruct"
EXAMPLE = Path(__file__).parents[2] / "examples/pii.yaml"


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments, code=0):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        output = capsys.readouterr()
        assert ended.value.code == code, output.err
        return output.err if code == 2 else output.out

    return call


def document(run, *arguments, **options):
    return json.loads(run("estimate", *arguments, "--json", "--no-advice", **options))


@pytest.mark.parametrize(
    ("model", "lengths"), [("gpt2", (896, 128)), (MODEL, (1024, 128)), ("ullage:tiny", (896, 128))]
)
def test_default_lengths_fit_the_models_window(run, model, lengths):
    settled = document(run, model)["settled"]
    assert (settled.get("prompt_tokens", 1024), settled.get("new_tokens", 128)) == lengths
    said = "{:,} tokens of prompt, {:,} new".format(*lengths)
    assert said in run("estimate", model, "--no-advice")


def test_a_window_that_is_stretched_is_that_of_the_estimate():
    assert bare_workload("gpt2", new_tokens=1000).prompt_tokens == 24
    assert bare_workload(MODEL, new_tokens=40_000, rope="yarn:4").prompt_tokens == 1024


def test_captures_of_an_estimate_are_those_of_a_file(run):
    sites = "blocks.*.hook_resid_post"
    bare, kept = (document(run, MODEL, *more) for more in ((), ("--captures", sites)))
    assert not any(item["component"] == "captures" for item in bare["items"])
    assert [each["sites"] for each in kept["settled"]["captures"]] == [[sites]]
    assert any(item["component"] == "captures" and item["device"] == "host" for item in kept["items"])
    assert document(run, MODEL, "--set", f"captures=[{{sites: ['{sites}']}}]")["items"] == kept["items"]


@pytest.mark.parametrize("gpus", ["1xL4", "2xL4"])
def test_every_site_can_be_captured_on_any_set(run, gpus):
    assert document(run, MODEL, "--captures", "*", "--gpus", gpus)["verdict"]


@pytest.mark.parametrize(
    ("setting", "option"),
    [
        ("precision=int8", ("--precision", "int8")),
        ("roles.model.precision=int8", ("--precision", "int8")),
        ("batch=4", ("--batch", "4")),
        ("roles.model.batch=4", ("--batch", "4")),
        ("prompt-tokens=64", ("--prompt-tokens", "64")),
        ("cache.kind=static", ("--cache", "static")),
        ("training={optimizer: adamw}", ("--train", "adamw")),
    ],
)
def test_a_setting_does_what_the_option_of_its_name_does(run, setting, option):
    set_, given = document(run, MODEL, "--set", setting), document(run, MODEL, *option)
    assert set_["items"] == given["items"]
    assert set_["times"] == given["times"]


def test_settings_reach_what_has_no_option(run):
    found = document(run, MODEL, "--set", "examples=10000", "--set", "budget.reserve=0%")
    assert found["settled"]["examples"] == 10_000
    (card,) = (device for device in found["devices"] if device["name"] == "gpu:0")
    assert card["budget"] == card["usable"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("speed=3", "--set speed=3: speed: unknown key"),
        ("batch=none", "batch"),
        ("roles.other.batch=2", "no role 'other'"),
        ("batch", "write path=value"),
    ],
)
def test_a_setting_that_is_none_is_one_line(run, setting, said):
    told = run("estimate", MODEL, "--set", setting, code=2)
    assert said in told
    assert told.count("\n") == 1


def test_the_reserve_is_a_plans_and_is_said(run, tmp_path):
    text = f"kind: pii\nroles: {{verifier: {{model: {MODEL}}}}}\nbudget: {{gpus: L4}}\n"
    (tmp_path / "w.yaml").write_text(text)
    plan = json.loads(run("plan", tmp_path / "w.yaml", "--json", "--no-advice"))
    found = document(run, MODEL, "--gpus", "L4")
    assert found["devices"][0]["budget"] == plan["devices"][0]["budget"] < found["devices"][0]["usable"]
    assert "5% reserve" in run("estimate", MODEL, "--no-advice")
    assert "5% (1.10 GiB on gpu:0) of each device is kept free as reserve" in " ".join(
        run("estimate", MODEL, "--gpus", "L4", "--no-advice", "--details").split()
    )


def test_the_advice_of_an_estimate_can_be_typed(run):
    asked = ("meta-llama/Llama-3.1-8B-Instruct", "--gpus", "RTX 3060 12GB")
    found = json.loads(run("estimate", *asked, "--json", code=3))
    entry = next(each for each in found["advice"] if each["changes"])
    sets = [word for each in entry["changes"] for word in ("--set", f"{each['path']}={each['value']}")]
    again = document(run, *asked, "--gpus", entry["gpus"], *sets)
    assert again["verdict"] == entry["verdict"] == "fits"


SWEEP = ("estimate", "gpt2", "--gpus", "T4", "--sweep", "batch=1,2", "--sweep", "prompt-tokens=64,2000")


def test_a_sweep_goes_on_past_a_point_that_is_refused(run):
    rows = json.loads(run(*SWEEP, "--json"))["rows"]
    assert [row["verdict"] for row in rows] == ["fits", "refused", "fits", "refused"]
    for row in rows:
        refused = row["verdict"] == "refused"
        assert ("has a window of 1024" in row["refused"]) == refused
        assert (row["total"] is None, row["devices"] == []) == (refused, refused)
    shown = run(*SWEEP)
    assert shown.count("[1]") == 3  # of two points, and below them the reason
    assert "has a window of 1024" in " ".join(shown.split())


def test_a_sweeps_document_has_what_its_table_shows(run):
    found = json.loads(run("plan", EXAMPLE, "--sweep", "batch=1,8", "--json", code=0))["rows"]
    shown = run("plan", EXAMPLE, "--sweep", "batch=1,8", code=0)
    for row in found:
        (device,) = row["devices"]
        assert device["gpu"] == "GeForce RTX 4060"
        for end in ("low", "expected", "high"):
            assert f"{device['peak'][end] / 2**30:.2f}" in shown
        assert row["settings"]["batch"] in shown
        assert row["verdict"] in shown
        assert f"{row['seconds']['expected'] / 3600:.1f} h" in shown.replace("\n", " ")


def test_a_wide_sweep_tears_nothing_in_eighty_columns(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    asked = (
        "plan",
        EXAMPLE,
        "--sweep",
        "roles.verifier.batch=1,2",
        "--sweep",
        "roles.verifier.precision=bf16,nf4",
    )
    shown, rows = run(*asked, code=0).splitlines(), json.loads(run(*asked, "--json", code=0))["rows"]
    assert max(map(len, shown)) <= 80
    assert shown[0].endswith("at roles.verifier.batch, roles.verifier.precision")
    whole = " ".join(" ".join(shown).split())
    for row in rows:
        settings = " ".join(map(str, row["settings"].values()))
        peak = row["devices"][0]["peak"]
        low, expected, high = (f"{peak[end] / 2**30:.2f}" for end in ("low", "expected", "high"))
        figures = rf"{settings} {expected} \({low}-{high}\) {row['verdict']} [^(]*\d [^(]*\("
        assert re.search(figures, whole)


def test_a_sweep_shows_the_line_items_of_every_point(run):
    shown = run(*SWEEP, "--items")
    assert shown.count(" (peak) ") == 2
    rows = json.loads(run(*SWEEP, "--items", "--json"))["rows"]
    assert [bool(row["items"]) for row in rows] == [True, False, True, False]
    ullage.document_schema("sweep")


def test_a_sweep_over_cards_has_a_column_for_each(run):
    shown = run("plan", EXAMPLE, "--sweep", "budget.gpus=L4,2xT4", code=0)
    assert {"L4", "2x", "T4"} <= set(shown.partition("verdict")[0].split())


def test_cards_of_an_estimate_may_be_a_setting_and_are_named_once(run):
    """Cards that a setting named were passed over for the usual one, without a word."""
    assert "on 1x T4" in run("estimate", MODEL, "--set", "budget.gpus=T4", "--no-advice")
    assert "on 1x A100-SXM4-80GB" in run("estimate", MODEL, "--no-advice")
    shown = run("estimate", MODEL, "--sweep", "budget.gpus=T4,2xL4", "--no-advice")
    assert {"T4", "2x", "L4"} <= set(shown.partition("verdict")[0].split())
    assert "A100" not in shown
    assert "on 1x A100-SXM4-80GB" in run("estimate", MODEL, "--set", "budget={reserve: 1GiB}", "--no-advice")
    for command in (("estimate", MODEL), ("plan", EXAMPLE)):
        said = run(*command, "--gpus", "L4", "--sweep", "budget.gpus=T4,A10", code=2)
        assert "--gpus and --sweep budget.gpus: both name the cards" in said
        said = run(*command, "--sweep", "batch=1,2", "--sweep", "batch=4", code=2)
        assert "batch: given twice; name all its values in one" in said
    said = run("estimate", MODEL, "--sweep", "batch=1,2", "--sweep", "roles.model.batch=4", code=2)
    assert "batch: given twice" in said


def test_an_engines_settings_may_be_named_without_the_role():
    short, whole = (
        bare_workload(MODEL, engine="vllm", set_=[f"{prefix}vllm.block_size=32"])
        for prefix in ("", "roles.model.")
    )
    assert short == whole
    assert short.roles["model"].settings.block_size == 32


def test_a_training_step_writes_no_tokens_and_checkpointing_is_of_one(run):
    assert "1,024 tokens of prompt, 0 new" in run("estimate", MODEL, "--train", "adamw", "--no-advice")
    said = run("estimate", MODEL, "--gradient-checkpointing", code=2)
    assert "saves nothing without a backward pass; give train as well" in said
