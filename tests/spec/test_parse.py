"""Every mistake in a workload file, with its place and what to do."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage import api
from ullage.errors import InputError, SpecError
from ullage.spec.parse import parse_workload

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
GOOD = """\
kind: pii
roles:
  verifier:
    model: Qwen/Qwen2.5-3B-Instruct
    precision: nf4
"""


def parse(text, *overrides):
    return parse_workload(text, "w.yaml", api.sections(), overrides)


def mistakes(text, *overrides):
    with pytest.raises(SpecError) as wrong:
        parse(text, *overrides)
    return str(wrong.value)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_parses_and_lays_out_phases(path):
    assert api.phases(api.load(path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "w.yaml:1:1: the file is empty"),
        ("- a\n- b\n", "w.yaml:1:1: the file must be a mapping"),
        ("kind: [\n", "w.yaml:2:1: broken YAML"),
        ("kind: pii\n\troles: 1\n", "broken YAML"),
        ("kind: pii\nkind: pii\n", "w.yaml:2:1: key 'kind' stands twice"),
        (GOOD.replace("kind: pii", "kind: pie"), "w.yaml:1:1: kind: 'pie' is not a kind"),
        (GOOD.replace("roles", "rolls"), "w.yaml:2:1: rolls: unknown key; nearest: roles"),
        (GOOD.replace("precision", "precison"), "w.yaml:5:5: roles.verifier.precison: unknown key; nearest"),
        (
            GOOD.replace("nf4", "nf5"),
            "w.yaml:5:5: roles.verifier.precision: 'nf5' is not valid; nearest: nf4",
        ),
        (GOOD + "batch: -1\n", "w.yaml:6:1: batch: -1"),
        (GOOD + "batch: 0\n", "w.yaml:6:1: batch: 0"),
        (GOOD + "batch: many\n", "w.yaml:6:1: batch: 'many'"),
        (GOOD + "batch: .nan\n", "w.yaml:6:8: a number must be finite"),
        (GOOD + "batch: 99999999999999999999999\n", "the number is too large"),
        (GOOD + "budget: {reserve: lots}\n", "budget.reserve"),
        (
            GOOD + "captures: [{sites: [a], role: verifyer}]\n",
            "no role is called 'verifyer'; nearest: verifier",
        ),
        (GOOD + "captures: [{sites: [a], positions: span}]\n", "span_tokens"),
        (GOOD + "evaluate: {samples: 3}\n", "w.yaml:6:1: evaluate: belongs to kind evaluate"),
        (GOOD + "pii: {candidates: 3}\n", "pii.candidates: unknown key; nearest: candidates_per_record"),
        (GOOD + "    placement: gpu0\n", "'gpu0' is no placement"),
        (GOOD + "    max_memory: {0: much}\n", "'much' is not a size"),
        (GOOD + "    quantization_bits: 5\n", "must be 4 or 8"),
        (GOOD + "    quantization: 8bit\n", "contradicts"),
        ("? [a]\n: 1\n", "a key must be a word"),
    ],
)
def test_a_mistake_has_its_place_and_says_what_to_do(text, said):
    assert said in mistakes(text)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file():
    text = GOOD.replace("nf4", "nf5") + "batch: -1\nprompt_tokens: -2\n"
    lines = mistakes(text).splitlines()
    assert [line.split(":")[1] for line in lines] == ["5", "6", "7"]


def test_an_alias_bomb_does_not_go_off():
    levels = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    levels += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert "aliases" in mistakes("\n".join(levels))


def test_deep_nesting_is_refused():
    assert "nested deeper" in mistakes("a: " + "[" * 200 + "]" * 200)
    assert "nested deeper" in mistakes("a: " + "[" * 100_000)
    assert "nested deeper" in mistakes("\n".join(" " * i + "a:" for i in range(500)))
    assert "YAML value" in mistakes(GOOD, "batch=" + "[" * 100_000)


def test_an_anchor_that_contains_itself_is_refused():
    assert mistakes("kind: pii\nroles: &r {a: *r}\n")


@pytest.mark.parametrize(
    ("keys", "precision"),
    [
        ("use_quantized: true", "int8"),
        ("use_quantized: false", "auto"),
        ("use_quantized: true\n    quantization_bits: 4", "nf4"),
        ("quantization: 4bit", "nf4"),
    ],
)
def test_the_guides_quantization_switches_are_understood(keys, precision):
    text = GOOD.replace("precision: nf4", keys)
    assert parse(text).roles["verifier"].precision == precision


def test_precision_mode_and_cache_filter_are_understood():
    text = "kind: extract\nroles: {m: x}\nmemory:\n  precision_mode: fp16\n"
    text += "  activation_cache_filter: [blocks.0.hook_resid_post]\n"
    workload = parse(text)
    assert workload.roles["m"].precision == "fp16"
    assert workload.captures[0].sites == ("blocks.0.hook_resid_post",)


def test_overrides_change_what_the_file_says():
    workload = parse(GOOD, "roles.verifier.precision=int8", "batch=7", "budget.gpus=2xT4")
    assert workload.roles["verifier"].precision == "int8"
    assert (workload.batch, workload.budget.gpus) == (7, "2xT4")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("batch", "path=value"),
        ("=3", "path=value"),
        ("roles.verifyer.batch=3", "no role 'verifyer'"),
        ("batch=[", "not a YAML value"),
        ("batch=.inf", "not finite"),
        ("batch=-3", "batch: -3"),
        ("bach=3", "nearest: batch"),
        ("batch.x=3", "batch"),
    ],
)
def test_an_override_that_makes_no_sense_is_one_clear_error(override, said):
    assert said in mistakes(GOOD, override)


TEXTS = [path.read_text() for path in EXAMPLES]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_change_of_a_file_gives_a_workload_or_clear_errors(data):
    text = list(data.draw(st.sampled_from(TEXTS)))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at] = data.draw(st.sampled_from(list(" \n:-[]{}&*!|>'\"%@`#,?0a.\t\x00é")))
    try:
        api.phases(parse("".join(text)))
    except InputError as error:
        assert str(error)
