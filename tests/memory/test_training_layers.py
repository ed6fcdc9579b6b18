"""A layer's statements on symbols, held against the layer itself: what it keeps, and both fullest moments."""

import pytest
import small_models

from ullage.facts.config import read_config
from ullage.memory.forward.one_pass import Pass
from ullage.memory.training.needs import Step, code_of
from ullage.memory.training.parts import proof_of
from ullage.memory.training.recipe import Recipe
from ullage.memory.training.step import layer_moments
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.spec.training import Lora, Training

HIDDEN, TOKENS = 256, 192
LATENT = ("deepseek_v3", "glm4_moe_lite", "youtu")
"""Their values are narrower than their keys, which no kernel of a processor takes."""


def measured(config, way, mixed, dtype="bfloat16"):
    """Bytes that the last layer keeps, and takes beside its input at its fullest, forth and back."""
    import torch
    from transformers import AutoModelForCausalLM

    from ullage.runtime.live import LiveTensors

    dtype = getattr(torch, dtype)

    class Ones(torch.autograd.Function):
        """Whose gradient is made on the way back, and held by nobody else."""

        @staticmethod
        def forward(ctx, x):
            ctx.shape = x.shape
            return x.new_zeros(1)

        @staticmethod
        def backward(ctx, _):
            return torch.ones(ctx.shape, dtype=dtype)

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype).train()
    for parameter in model.parameters():
        parameter.requires_grad = way == "full"
    states, positions = torch.randn(1, TOKENS, HIDDEN, dtype=dtype), torch.arange(TOKENS)[None]
    angles = model.model.rotary_emb(states, positions)
    with LiveTensors() as live:
        live.track_model(model)
        live.track([states, *angles])
        states = states.requires_grad_()
        base = live.bytes
        live.reset_peak()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed == "bf16"):
            out = model.model.layers[-1](states, attention_mask=None, position_embeddings=angles)
        forth, kept = live.peak - base, live.bytes - base - out.nbytes
        end = Ones.apply(out)
        del out
        live.reset_peak()
        end.backward()
        return kept, forth, live.peak - base


@pytest.mark.parametrize("mixed", ["bf16", "no"])
@pytest.mark.parametrize("way", ["full", "frozen"])
@pytest.mark.parametrize(
    "family", ["llama", "mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "glm4_moe", *LATENT]
)
@pytest.mark.long
def test_a_layer_takes_what_its_statements_say(family, way, mixed):
    config = small_models.config_of(family, 2, HIDDEN, 8, 2, 128, 2048, 2048)
    training = {"full": {}, "frozen": {"lora": Lora(target_modules=("none",))}}[way]
    recipe = Recipe(
        Training(master_weights=False, mixed_precision=mixed, **training),
        ResolvedPrecision("bf16", "bf16", ""),
    )
    architecture = read_config(config.to_dict(), family, "test")
    kernel = "sdpa-math" if family in LATENT else "sdpa"
    step = Step(architecture, recipe, Pass(1, TOKENS, 0, kernel, False, False, True), False)
    layer = architecture.layers[-1]
    assert proof_of(layer, architecture, recipe) == "steps"
    found = layer_moments(code_of(step, layer), step.manner, True)
    kept, forth, back = measured(config, way, mixed)
    stream = TOKENS * HIDDEN * 2
    assert found.kept == pytest.approx(kept, rel=0.01)
    assert found.kept + found.forward - stream == pytest.approx(forth, rel=0.01)
    assert found.kept + found.back == pytest.approx(back, rel=0.01)


@pytest.mark.parametrize("way", ["full", "frozen"])
@pytest.mark.long
def test_grouped_heads_in_fp32_keep_scores_where_no_kernel_takes_them(way):
    """torch's plain implementation, which a card takes then, and a processor when it is told to."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    config = small_models.config_of("llama", 2, HIDDEN, 8, 2, 128, 2048, 2048)
    training = {"full": {}, "frozen": {"lora": Lora(target_modules=("none",))}}[way]
    precision = ResolvedPrecision("fp32", "fp32", "")
    recipe = Recipe(Training(master_weights=False, mixed_precision="no", **training), precision)
    architecture = read_config(config.to_dict(), "llama", "test")
    step = Step(architecture, recipe, Pass(1, TOKENS, 0, "sdpa-math", False, False, True), False)
    found = layer_moments(code_of(step, architecture.layers[-1]), step.manner, True)
    with sdpa_kernel(SDPBackend.MATH):
        kept, forth, back = measured(config, way, "no", "float32")
    stream = TOKENS * HIDDEN * 4  # in fp32 the first norm keeps the layer's input itself
    assert found.kept == pytest.approx(kept + stream, rel=0.01)
    assert found.kept + found.forward - stream == pytest.approx(forth, rel=0.01)
    assert found.kept + found.back == pytest.approx(back + stream, rel=0.01)
