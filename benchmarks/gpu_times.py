"""More sections of gpu.py: what reading and writing take beside their planned times, in transformers alone.

A plain greedy loop over a model of random weights, without Ullage's runs, so that what is held is the plan's
arithmetic: sizes of batches, bits, kinds of caches, experts, and layers that torch scans. Models have the
width of real ones and few layers.
"""

from __future__ import annotations

import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Todo = Iterator[tuple[str, Callable[[], Row]]]

DEVICE = "cuda"
GPUS = "local"
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 131_072}
LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_hidden_layers": 8,
    "vocab_size": 128_256,
}
SHAPES: dict[str, dict[str, Any]] = {
    "Llama-3.1-8B": LLAMA,
    "Qwen2.5-0.5B": {
        "model_type": "qwen2",
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "num_hidden_layers": 24,
        "vocab_size": 151_936,
    },
    "Mixtral-8x7B": LLAMA
    | {
        "model_type": "mixtral",
        "num_hidden_layers": 4,
        "vocab_size": 32_000,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
    },
    "Qwen3-30B-A3B": {
        "model_type": "qwen3_moe",
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "moe_intermediate_size": 768,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "head_dim": 128,
        "num_hidden_layers": 8,
        "vocab_size": 151_936,
    },
    "gpt-oss-20b": {
        "model_type": "gpt_oss",
        "hidden_size": 2880,
        "intermediate_size": 2880,
        "num_local_experts": 32,
        "num_experts_per_tok": 4,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "num_hidden_layers": 4,
        "vocab_size": 201_088,
    },
    "gemma-2-9b": {
        "model_type": "gemma2",
        "hidden_size": 3584,
        "intermediate_size": 14336,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 256,
        "num_hidden_layers": 8,
        "vocab_size": 256_000,
    },
    "DeepSeek-V2-Lite": {
        "model_type": "deepseek_v2",
        "hidden_size": 2048,
        "intermediate_size": 10944,
        "moe_intermediate_size": 1408,
        "n_routed_experts": 64,
        "n_shared_experts": 2,
        "num_experts_per_tok": 6,
        "first_k_dense_replace": 1,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "kv_lora_rank": 512,
        "q_lora_rank": None,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "num_hidden_layers": 6,
        "vocab_size": 102_400,
    },
    "Mamba-2.8B": {
        "model_type": "mamba",
        "hidden_size": 2560,
        "num_hidden_layers": 8,
        "vocab_size": 50_280,
    },
    "Mamba2-2.7B": {
        "model_type": "mamba2",
        "hidden_size": 2560,
        "num_heads": 80,
        "head_dim": 64,
        "state_size": 128,
        "n_groups": 1,
        "expand": 2,
        "num_hidden_layers": 8,
        "vocab_size": 50_288,
    },
    "Qwen3-Next": {
        "model_type": "qwen3_next",
        "hidden_size": 2048,
        "intermediate_size": 5120,
        "num_hidden_layers": 4,
        "num_experts": 64,
        "num_experts_per_tok": 10,
        "vocab_size": 151_936,
    },
}
ALWAYS = {"use_cache": True, "logits_to_keep": 1}
LOADS: dict[str, Row] = {
    "int8": {"load_in_8bit": True},
    "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
}


@dataclass(frozen=True)
class Case:
    """A batch of equal prompts, read and written after."""

    shape: str
    batch: int = 1
    prompt: int = 512
    new: int = 32
    precision: str = "bf16"
    attention: str = "auto"
    cache: str = "dynamic"
    padded: bool = False

    def __str__(self) -> str:
        words = [f"{self.shape} {self.precision}", f"{self.batch} x {self.prompt} + {self.new}"]
        words += [self.attention] if self.attention != "auto" else []
        words += [f"{self.cache} cache"] if self.cache != "dynamic" else []
        words += ["padded"] if self.padded else []
        return ", ".join(words)


def batches(_folder: Path) -> Todo:
    """Sizes of batches in every precision, long caches, kernels."""
    found = [Case("Llama-3.1-8B", batch) for batch in (1, 8, 32, 128)]
    found += [Case("Llama-3.1-8B", batch, 8192) for batch in (1, 8, 32)]
    found += [Case("Qwen2.5-0.5B", batch) for batch in (1, 32, 128)]
    found += [Case("Llama-3.1-8B", batch, 4096, cache="static") for batch in (1, 32)]
    found += [Case("Llama-3.1-8B", 8, 2048, attention="eager"), Case("gemma-2-9b", 8, 2048)]
    for precision in LOADS:
        found += [Case("Llama-3.1-8B", batch, precision=precision) for batch in (1, 8, 32, 128)]
    return cases(found)


def experts(_folder: Path) -> Todo:
    """Models with experts."""
    names = ("Qwen3-30B-A3B", "Mixtral-8x7B", "gpt-oss-20b", "DeepSeek-V2-Lite")
    return cases([Case(name, batch) for name in names for batch in (1, 16, 64)])


def caches(_folder: Path) -> Todo:
    """Caches of padded batches, which have masks, and of fixed length."""
    sizes = ((8, 2048), (32, 512), (32, 4096), (8, 16_384))
    found = [Case("Llama-3.1-8B", *size, padded=True) for size in sizes]
    found += [Case("Llama-3.1-8B", 8, 2048, cache="static"), Case("Llama-3.1-8B", 8, 16_384, cache="static")]
    found += [Case("Llama-3.1-8B", 8, 16_384), Case("Llama-3.1-8B", 1, 65_536, 16)]
    found += [Case("Qwen2.5-0.5B", 32, 2048, padded=True), Case("DeepSeek-V2-Lite", 16, 4096, padded=True)]
    return cases(found)


def scanned(_folder: Path) -> Todo:
    """Layers whose states torch goes through position by position, or in chunks."""
    sizes = ((1, 512), (1, 2048), (8, 512))
    names = ("Mamba-2.8B", "Mamba2-2.7B", "Qwen3-Next")
    return cases([Case(name, *size, new=8) for name in names for size in sizes])


def cases(found: list[Case]) -> Todo:
    for case in found:
        yield str(case), partial(measure, case)


def measure(case: Case) -> Row:
    """Seconds of reading and of writing, each beside what is planned of it, and what is alive."""
    import torch

    config = config_of(case.shape)
    planned = plan_of(case, config)
    model = made(case, config)
    with torch.inference_mode():
        read = torch.randint(3, 400, (case.batch, case.prompt), device=DEVICE)
        reading, writing = [], []
        peak = 0
        for turn in range(3):
            cache = cache_of(case, model)
            _wait()
            begun = time.perf_counter()
            out = model(input_ids=read, past_key_values=cache, **ALWAYS, **masked(case, 0))
            _wait()
            reading.append(time.perf_counter() - begun)
            kept = out.past_key_values if hasattr(out, "past_key_values") else out.cache_params
            begun = time.perf_counter()
            writing = written(case, model, out.logits, kept) if turn == 2 else writing
            peak = torch.cuda.max_memory_allocated() if DEVICE == "cuda" else 0
            del out, kept, cache
    return {
        "timed": [
            {"what": "reading", "measured": statistics.median(reading[1:]), **planned.get("prefill", {})},
            {"what": "writing", "measured": sum(writing), **planned.get("decode", {})},
        ],
        "figures": {
            "ms a token": round(1000 * statistics.median(writing), 2),
            "first reading, s": round(reading[0], 3),
            "live, MiB": round(peak / 2**20, 1),
            "kernels": dict(implementations(model.config)),
        },
    }


def written(case: Case, model: Any, logits: Any, cache: Any) -> list[float]:
    """Seconds of each new token after two that warm up."""
    found = []
    name = "past_key_values" if hasattr(model.config, "num_attention_heads") else "cache_params"
    for step in range(case.new + 2):
        begun = time.perf_counter()
        token = logits[:, -1:].argmax(-1)
        out = model(input_ids=token, **{name: cache}, **ALWAYS, **masked(case, step + 1))
        logits = out.logits
        token.cpu()
        _wait()
        found.append(time.perf_counter() - begun)
    return found[2:]


def masked(case: Case, more: int) -> Row:
    """Of several sequences a run has a mask, padded or not."""
    import torch

    if case.batch == 1:
        return {}
    mask = torch.ones(case.batch, case.prompt + more, dtype=torch.long, device=DEVICE)
    if case.padded:  # on the left: every sequence is one token shorter than the one before
        for index in range(case.batch):
            mask[index, : min(index, case.prompt // 2)] = 0
    return {"attention_mask": mask}


def cache_of(case: Case, model: Any) -> Any:
    from transformers import StaticCache

    if case.cache == "static":
        return StaticCache(model.config, max_cache_len=case.prompt + case.new + 2)
    return None


def config_of(shape: str) -> Any:
    from transformers import AutoConfig

    body = TOKENS | SHAPES[shape]
    return AutoConfig.for_model(**body)


def implementations(config: Any) -> Iterator[tuple[str, str]]:
    """What transformers chose for attention and experts."""
    for name in ("_attn_implementation", "_experts_implementation"):
        if value := getattr(config, name, None):
            yield name.strip("_"), str(value)


_HELD: dict[tuple[str, str, str], Any] = {}


def made(case: Case, config: Any) -> Any:
    """The model on the card, kept for the next case if that takes the same."""
    import torch

    key = case.shape, case.precision, case.attention
    if key not in _HELD:
        _HELD.clear()
        gc.collect()
        if DEVICE == "cuda":
            torch.cuda.empty_cache()
        _HELD[key] = build(case, config)
    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
    return _HELD[key]


def build(case: Case, config: Any) -> Any:
    """One of random weights, quantized as it is loaded where it is."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    how: dict[str, Any] = {"attn_implementation": "eager"} if case.attention == "eager" else {}
    torch.backends.cuda.enable_cudnn_sdp(False)
    with torch.device(DEVICE):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, **how)
    if case.precision != "bf16":
        settings = LOADS[case.precision]
        if case.precision == "nf4":
            settings = settings | {"bnb_4bit_compute_dtype": torch.bfloat16}
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            del model
            gc.collect()
            model = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.bfloat16,
                device_map={"": 0},
                quantization_config=BitsAndBytesConfig(**settings),
                **how,
            )
    return model.eval()


def plan_of(case: Case, config: Any, gpus: str | None = None) -> dict[str, Row]:
    """Low, expected and high seconds of every phase of the case's plan, by activity."""
    import ullage

    role: Row = {"precision": case.precision, "attention": case.attention, "cache": {"kind": case.cache}}
    with tempfile.TemporaryDirectory() as folder:
        save_config(config, folder)
        plan = ullage.plan(
            {
                "kind": "extract",
                "roles": {"model": role | {"model": folder}},
                "batch": case.batch,
                "prompt_tokens": case.prompt,
                "new_tokens": case.new,
                "examples": case.batch,
                "extract": {"input": "texts.jsonl", "generate": True},
            },
            gpus or GPUS,
        )
    found = {}
    for each in plan.times:
        if (time_of := each.seconds) is not None:
            known = {"low": time_of.low, "expected": time_of.expected, "high": time_of.high}
            found[each.phase.split()[-1]] = known | {"bound": each.bound}
    return found


def save_config(config: Any, folder: str) -> None:
    """As a checkpoint would have it."""
    from transformers import AutoModelForCausalLM

    body = config.to_dict() | {"dtype": "bfloat16"}
    body["architectures"] = [AutoModelForCausalLM._model_mapping[type(config)].__name__]
    (Path(folder) / "config.json").write_text(json.dumps(body, default=str))


def _wait() -> None:
    import torch

    if DEVICE == "cuda":
        torch.cuda.synchronize()
