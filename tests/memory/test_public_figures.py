"""Figures that others have published of a model's memory, each with where it stands and what it counts."""

from dataclasses import replace

import pytest

import ullage
from ullage.facts.architecture import Attention, Layer
from ullage.facts.catalog import find_model
from ullage.memory.forward.cache import CacheShape, layer_cache
from ullage.memory.vllm.layers import token_bytes
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.spec.role import Cache
from ullage.units import GIB, MIB

BF16 = ResolvedPrecision("bf16", "bf16", "")
VLLM_BLOCK = 16
"""Tokens of a block of vLLM's cache on a card; its attention on a processor takes 128."""


def a_token(model: str) -> int:
    return token_bytes(find_model(model), 1, Cache(), BF16)


@pytest.mark.parametrize(
    ("model", "tokens", "gib"),
    [
        # vLLM's start-up lines "Available KV cache memory" and "GPU KV cache size": every layer counts in
        # full, windows or not. github.com/alvarobartt/hf-mem/issues/60
        ("openai/gpt-oss-120b", 78_384, 5.38),
        # vLLM 0.11.2, the same lines: blog.huikang.dev/2025/12/28/vllm-logs.html
        ("openai/gpt-oss-120b", 130_960, 8.99),
    ],
)
def test_the_tokens_that_vllm_logs_take_the_memory_that_it_logs(model, tokens, gib):
    assert tokens % VLLM_BLOCK == 0
    assert round(tokens * a_token(model) / GIB, 2) == gib


def test_what_vllm_says_a_whole_context_needs_and_what_would_fit():
    """vLLM's refusal as several logs quote it: "To serve at least one request with the models's max seq len
    (40960), (4.38 GiB KV cache is needed, which is larger than the available KV cache memory (4.00 GiB).
    Based on the available memory, the estimated maximum model length is 37440"; on a processor 37376."""
    of_one = a_token("Qwen/Qwen3-0.6B")
    assert find_model("Qwen/Qwen3-0.6B").max_positions == 40_960
    assert round(40_960 * of_one / GIB, 2) == 4.38
    assert 4 * GIB // of_one // VLLM_BLOCK * VLLM_BLOCK == 37_440
    assert 4 * GIB // of_one // 128 * 128 == 37_376


def widened(layer: Layer) -> Layer:
    assert isinstance(layer.mixer, Attention)
    return replace(layer, mixer=layer.mixer._replace(window=None))


@pytest.mark.parametrize(
    ("window", "mib"),
    [
        pytest.param(False, 832, id="every layer full"),
        pytest.param(True, 139, id="a window of 512 in 22 of 26 layers"),
    ],
)
def test_a_static_cache_of_gemma_3_1b_for_32768_tokens(window, mib):
    """26 layers, one key-value head of 256 in bf16, every sixth layer full (arXiv 2503.19786, and its
    config.json): 1 KiB a layer and token; full is what an engine keeps that knows no windows."""
    model, shape = find_model("google/gemma-3-1b-it"), CacheShape(1, 32_768, 1, 32_768)
    layers = model.layers if window else [widened(layer) for layer in model.layers]
    assert sum(layer_cache(layer, shape, Cache(kind="static"), 2).total for layer in layers) == mib * MIB


def test_deepseek_v3_takes_84_gb_of_each_of_8_cards():
    """Weights in decimal gigabytes, "~671GB ... ~ 83-84 * 8": github.com/InternLM/lmdeploy/issues/2960."""
    plan = ullage.estimate_model("deepseek-ai/DeepSeek-V3", "8xH200", engine="vllm", tensor_parallel=8)
    weights = {item.device: item.bytes.expected for item in plan.bill.items if item.component == "weights"}
    assert [round(size / 1e9) for size in weights.values()] == [84] * 8
