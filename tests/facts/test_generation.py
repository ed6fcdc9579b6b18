"""What a generation config asks for is named, and no kind of workload does it."""

import json
import shutil

import pytest

import ullage
from ullage.errors import FormatError
from ullage.facts.bundled import tiny_path
from ullage.facts.generation import asked_for


@pytest.fixture
def model(tmp_path):
    def make(asked):
        shutil.copytree(tiny_path(), tmp_path / "model", dirs_exist_ok=True)
        text = asked if isinstance(asked, str) else json.dumps(asked)
        (tmp_path / "model" / "generation_config.json").write_text(text)
        return tmp_path / "model"

    return make


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({}, ()),
        ({"eos_token_id": 2, "max_new_tokens": 9, "temperature": 1.0, "top_k": 50, "num_beams": 1}, ()),
        ({"top_k": 0, "suppress_tokens": [], "min_length": None}, ()),
        ({"repetition_penalty": 1.05}, ("repetition_penalty: 1.05",)),
        ({"do_sample": True, "temperature": 0.6}, ("do_sample: true", "temperature: 0.6")),
        ({"num_beams": 4, "num_return_sequences": 2}, ("num_beams: 4", "num_return_sequences: 2")),
    ],
)
def test_what_it_asks_for_is_named(model, asked, named):
    assert asked_for(model(asked)) == named


@pytest.mark.parametrize("text", ["{", "[1]", '"a"', "\x00", "[" * 100_000])
def test_what_is_none_is_told(model, text):
    with pytest.raises(FormatError, match="generation_config"):
        asked_for(model(text))


def test_a_folder_without_one_asks_for_nothing(tmp_path):
    assert asked_for(tmp_path) == ()


def test_the_plan_says_what_is_not_done(model, tmp_path):
    model({"suppress_tokens": list(range(100))})
    body = {
        "kind": "extract",
        "roles": {"model": {"model": "./model"}},
        "budget": {"gpus": "cpu"},
        "captures": [{"sites": ["ln_final"]}],
        "extract": {"generate": True},
        "prompt_tokens": 64,
        "new_tokens": 4,
    }
    (warning,) = ullage.plan(body, base=tmp_path).warnings
    assert "suppress_tokens" in warning
    assert "not done" in warning
    assert len(warning) < 300
