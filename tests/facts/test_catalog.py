"""The catalog: every row has a source, every published total is accounted for to the last element."""

import json
from collections.abc import Callable
from importlib.resources import files
from math import ceil, prod

import pytest

from ullage.errors import UnknownNameError
from ullage.facts.architecture import Architecture, Attention, Weight
from ullage.facts.catalog import FILES, find_model, model_names
from ullage.facts.model import open_model

ROWS, OURS = (json.loads((files("ullage.facts") / "data" / name).read_text())["models"] for name in FILES)
FP8_BLOCK = 128
"""Rows and columns that share a scale (DeepSeek-V3 report, arXiv 2412.19437, section 3.3)."""
MXFP4_BLOCK = 32
"""Elements that share a scale (OCP Microscaling formats 1.0)."""
UNQUANTIZED = "indexer.weights_proj"
"""What DeepSeek-V3.2 stores in 16 bits beside FP8 matrices."""


def routed(model: Architecture) -> list[tuple[Weight, ...]]:
    """The weights of each layer that has routed experts."""
    return [layer.weights for layer in model.layers if any(w.role == "experts" for w in layer.weights)]


def experts(model: Architecture) -> int:
    return next(w.shape[0] for w in routed(model)[-1] if w.role == "experts")


def scales(weights: tuple[Weight, ...]) -> int:
    """One for each started block of a matrix, for each expert."""
    return sum(
        prod(w.shape[:-2]) * ceil(w.shape[-2] / FP8_BLOCK) * ceil(w.shape[-1] / FP8_BLOCK)
        for w in weights
        if w.role in ("linear", "experts") and UNQUANTIZED not in w.name
    )


def mxfp4_scales(model: Architecture) -> int:
    return sum(w.elements for weights in routed(model) for w in weights if w.role == "experts") // MXFP4_BLOCK


def rotary(model: Architecture, fraction: float) -> int:
    """In every layer a frequency for each pair of the rotated part of a head; of a latent model the code
    that wrote the files took hidden size / heads for the width of a head."""
    mixer = model.layers[0].mixer
    width = mixer.head_dim if isinstance(mixer, Attention) else model.hidden_size // mixer.heads
    return len(model.layers) * int(width * fraction) // 2


def further_layer(model: Architecture) -> int:
    """A layer that predicts a further token: one like the last, the projection of two states to one, and
    three norms (DeepSeek-V3 report, section 2.2)."""
    wide = model.hidden_size
    return sum(w.elements for w in model.layers[-1].weights) + 2 * wide * wide + 3 * wide


BEYOND: dict[str, Callable[[Architecture], int]] = {
    "rotary frequencies": lambda model: rotary(model, 1),
    "rotary frequencies of a quarter": lambda model: rotary(model, 0.25),
    "causal masks": lambda model: len(model.layers) * model.max_positions**2,
    "the embedding again": lambda model: model.vocab_size * model.hidden_size,
    "router biases": lambda model: len(routed(model)) * experts(model),
    "scales of FP8 blocks": lambda model: sum(scales(layer.weights) for layer in model.layers),
    "scales of MXFP4 blocks": mxfp4_scales,
    "a further layer": further_layer,
    "its router biases": experts,
    "its scales": lambda model: scales(model.layers[-1].weights),
    "its embedding and head": lambda model: 2 * model.vocab_size * model.hidden_size,
}
"""What files hold beyond parameters, by what a row calls it in `published_also_holds`."""
QUARTER = ["rotary frequencies of a quarter", "causal masks"]
PREDICTS = ["router biases", "a further layer", "its router biases", "its embedding and head"]
FP8 = [*PREDICTS, "scales of FP8 blocks", "its scales"]
ELSEWHERE = {
    "EleutherAI/pythia-410m": QUARTER,
    "EleutherAI/pythia-1b": QUARTER,
    "EleutherAI/pythia-6.9b": QUARTER,
    "EleutherAI/pythia-12b": QUARTER,
    "Qwen/Qwen3-Next-80B-A3B-Instruct": ["a further layer"],
    "Qwen/Qwen3.5-27B": ["a further layer"],
    "Qwen/Qwen3.5-122B-A10B": ["a further layer"],
    "Qwen/Qwen3.5-397B-A17B": ["a further layer"],
    "google/gemma-4-26B-A4B": ["the embedding again"],
    "Qwen/Qwen3-0.6B": ["the embedding again"],
    "Qwen/Qwen3-1.7B": ["the embedding again"],
    "deepseek-ai/DeepSeek-R1": FP8,
    "deepseek-ai/DeepSeek-V3": FP8,
    "deepseek-ai/DeepSeek-V3.2": FP8,
    "openai/gpt-oss-20b": ["scales of MXFP4 blocks"],
    "tiiuae/falcon-7b": ["the embedding again"],
    "tiiuae/falcon-40b": ["the embedding again"],
    "zai-org/GLM-4.5-Air": PREDICTS,
}
"""The same of rows in the first file, which says it in prose."""
PUBLISHED = [
    *(row for row in ROWS if row["id"] in ELSEWHERE),
    *(row for row in OURS if "published_parameters" in row),
]


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row["id"])
def test_a_published_total_is_the_parameters_and_what_else_is_named(row):
    model = find_model(row["id"])
    named = row.get("published_also_holds") or ELSEWHERE.get(row["id"], [])
    beyond = sum(BEYOND[what](model) for what in named)
    assert model.parameters + beyond == row["published_parameters"] == model.published_parameters


def test_every_row_has_a_source_and_is_read():
    names = model_names()
    assert len(names) == len({name.casefold() for name in names}) == len(ROWS) + len(OURS)
    for row in (*ROWS, *OURS):
        assert row["source"], row["id"]
        assert "published_parameters" not in row or row["published_source"], row["id"]
        assert find_model(row["id"]).parameters > 0


def test_a_row_without_a_shape_of_its_own_has_its_twins():
    for row in OURS:
        if "same_shape_as" not in row:
            continue
        model, twin = find_model(row["id"]), find_model(row["same_shape_as"])
        assert f"the shape of {twin.name}" in model.source
        if "vocab_size" not in row:
            assert model.parameters == twin.parameters
        if "quantization" not in row:
            assert model.quantization == twin.quantization


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("TheBloke/Llama-2-13B-chat-GPTQ", "precision: gptq-int4"),
        ("mine/Qwen3-8B-GPTQ-Int8", "precision: gptq-int8"),
        ("mine/Meta-Llama-3.1-8B-Instruct-AWQ-INT4", "precision: awq"),
        ("unsloth/Llama-3.1-8B-Instruct-bnb-4bit", "precision: nf4"),
        ("mine/Qwen3-8B-FP8-dynamic", "precision: fp8"),
        ("mine/Qwen3-8B-quantized.w4a16", "its precision"),
    ],
)
def test_the_words_of_a_name_say_which_precision_to_plan_with(name, precision):
    with pytest.raises(UnknownNameError, match=f"plan with that, in {precision}"):
        open_model(name)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("unsloth/Llama-3.1-8B-Instruct-bnb-4bit", "meta-llama/Llama-3.1-8B-Instruct"),
        ("unsloth/Llama-3.1-8B", "meta-llama/Llama-3.1-8B"),
        ("TheBloke/Llama-2-13B-chat-GPTQ", "meta-llama/Llama-2-13b-chat-hf"),
        ("mine/Qwen3-8B-quantized.w4a16", "Qwen/Qwen3-8B"),
        ("mine/Qwen3-9B", None),
        ("mine/Llama-3.1-8B-longer", None),
    ],
)
def test_an_unknown_name_is_told_which_known_one_has_its_shape(name, shape):
    with pytest.raises(UnknownNameError) as unknown:
        open_model(name)
    said = f"By its name it has the shape of {shape}: plan with that"
    assert (said in str(unknown.value)) if shape else ("By its name" not in str(unknown.value))


def test_names_are_listed_by_letters_and_numbers():
    names = [name for name in model_names() if name.startswith("meta-llama/Llama-2-")]
    assert [name.split("-")[3] for name in names] == ["7b", "7b", "13b", "13b", "70b", "70b"]
