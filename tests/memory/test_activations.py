"""Temporaries of a forward pass, held against the allocations of a real one on a CPU."""

import profiled
import pytest

from ullage.facts.config import read_config
from ullage.memory.forward.activations import layer_peak
from ullage.memory.forward.cache import CacheShape, layer_cache
from ullage.memory.forward.one_pass import Pass
from ullage.memory.forward.whole_model import model_bytes
from ullage.memory.training.needs import Step, code_of
from ullage.memory.training.recipe import Recipe
from ullage.memory.training.step import layer_moments
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.spec.role import Cache
from ullage.spec.training import Training

BF16 = ResolvedPrecision("bf16", "bf16", "")


def measured_peak(model, tokens):
    """Bytes allocated at the peak of one forward pass beyond what was there before."""
    import torch

    ids = torch.randint(0, model.config.vocab_size, (1, tokens))
    with torch.inference_mode():
        return profiled.peak(lambda: model(ids, use_cache=True, logits_to_keep=1))


def predicted_peak(architecture, tokens, kernel):
    one_pass = Pass(1, tokens, 0, kernel, False)
    hidden = architecture.hidden_size
    cache = sum(
        layer_cache(layer, CacheShape(1, tokens, tokens, tokens), Cache(), 2).total
        for layer in architecture.layers
    )
    peak = max(layer_peak(layer, hidden, one_pass, BF16).bytes for layer in architecture.layers)
    return cache + peak + sum(model_bytes(architecture, one_pass, 2))


DENSE = {
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 256,
}
EXPERTS = DENSE | {
    "hidden_size": 256,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_local_experts": 16,
    "num_experts_per_tok": 4,
}


@pytest.mark.parametrize(
    ("model_type", "fields", "kernel", "tolerance"),
    [
        ("llama", DENSE, "sdpa", 0.005),
        ("llama", DENSE | {"intermediate_size": 256}, "sdpa", 0.03),
        ("llama", DENSE, "eager", 0.04),
        ("qwen2", DENSE, "sdpa", 0.02),
        ("qwen3", DENSE | {"head_dim": 64}, "sdpa", 0.05),
        ("mistral", DENSE | {"sliding_window": None}, "sdpa", 0.02),
        ("mixtral", EXPERTS, "sdpa", 0.05),
    ],
)
@pytest.mark.long
def test_a_prefill_peaks_where_the_formula_says(model_type, fields, kernel, tolerance):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokens = 1024
    config = AutoConfig.for_model(model_type, **fields)
    config._attn_implementation = kernel
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    architecture = read_config(config.to_dict(), model_type, "test")
    predicted = predicted_peak(architecture, tokens, kernel)
    assert predicted == pytest.approx(measured_peak(model, tokens), rel=tolerance)


def autograd_keeps(config, tokens):
    """Bytes that a forward pass keeps for the pass back, in bf16."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).train()
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.base_model(torch.randint(0, config.vocab_size, (1, tokens)), use_cache=False)
    return sum(size for size, _ in kept.values())


LINEAR = {"num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 64}
RECURRENT = {
    "mamba": {"state_size": 16, "time_step_rank": 8},
    "mamba2": {"state_size": 32, "num_heads": 8, "head_dim": 16, "n_groups": 2, "chunk_size": 16},
    "qwen3_5_text": LINEAR
    | {"linear_num_key_heads": 2, "linear_num_value_heads": 4}
    | {"linear_key_head_dim": 16, "linear_value_head_dim": 16},
    "kimi_linear": LINEAR
    | {"linear_num_heads": 2, "linear_head_dim": 16, "first_k_dense_replace": 9, "pad_token_id": 0},
    "minimax": LINEAR | {"head_dim": 16, "num_local_experts": 2, "num_experts_per_tok": 1},
    "lfm2": LINEAR | {"block_auto_adjust_ff_dim": False},
    "recurrent_gemma": LINEAR | {"lru_width": 64, "block_types": ["recurrent"], "intermediate_size": 128},
}


@pytest.mark.parametrize("family", RECURRENT)
def test_autograd_keeps_of_a_recurrence_what_its_interval_says(family):
    from transformers import AutoConfig

    kind = "conv" if family == "lfm2" else "linear_attention"

    def saved(layers):
        sizes = {"hidden_size": 64, "vocab_size": 16, "num_hidden_layers": layers} | RECURRENT[family]
        if LINEAR.items() & sizes.items() and family != "recurrent_gemma":
            sizes["layer_types"] = [kind] * layers
        config = AutoConfig.for_model(family, **sizes)
        return autograd_keeps(config, 256), config

    one, _ = saved(1)
    two, config = saved(2)
    recipe = Recipe(Training(master_weights=False), BF16)
    architecture = read_config(config.to_dict(), family, "test")
    step = Step(architecture, recipe, Pass(1, 256, 0, "sdpa", False, processor=True), False)
    predicted = layer_moments(code_of(step, architecture.layers[0]), step.manner, True).kept
    assert 0.9 <= predicted / (two - one) <= 1.25
