"""A small real model of every family that has a row, what a pass of it holds, and what the planner says.

Its config is transformers' default one with small sizes (`ullage.runtime.shrunk`).
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import every_family

from ullage.facts.architecture import Architecture, Attention, LatentAttention
from ullage.facts.config import read_config
from ullage.facts.families.rows import decoder_types, encoder_types
from ullage.memory.forward.activations import layer_peak
from ullage.memory.forward.attention import falls_back
from ullage.memory.forward.cache import CacheShape, layer_cache
from ullage.memory.forward.one_pass import Pass
from ullage.memory.forward.whole_model import model_bytes
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.runtime.shrunk import TOKENS, shrink
from ullage.spec.role import Cache

OWN_CODE = ("nemotron-nas",)
"""Families whose modeling file comes with the weights; held against published counts alone."""
FAMILIES = tuple(family for family in decoder_types() if family not in OWN_CODE)
ENCODERS = encoder_types()
SHORT: dict[str, dict[str, Any]] = {
    "deberta-v2": {
        "relative_attention": True,
        "position_buckets": 8,
        "norm_rel_ebd": "layer_norm",
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "position_biased_input": False,
    },
    "distilbert": {"dim": 64, "hidden_dim": 96},
    "bamba": {"num_hidden_layers": 4, "attn_layer_indices": [1, 3]},
    # Keys of the layer that recurs are not there yet at its peak: of so few layers one is much.
    "falcon_h1": {"num_key_value_heads": 1, "mamba_d_head": 16, "mamba_d_ssm": 128, "mamba_n_heads": 8},
    "lfm2": {"num_hidden_layers": 4, "layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"num_hidden_layers": 4, "layer_types": ["conv", "full_attention"] * 2},
    "nemotron_h": {"layers_block_type": ["mamba", "moe", "attention", "mlp", "mamba"]},
    "granitemoehybrid": {"num_hidden_layers": 4, "layer_types": ["mamba", "attention"] * 2},
    "glm4v_moe_text": {"rope_parameters": {"rope_type": "default", "mrope_section": [2, 2, 2]}},
    "qwen2_5_vl_text": {"rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]}},
}
"""What the defaults of a class leave out, or what does not fit small sizes."""
_SHARING = {"num_kv_shared_layers": 2, "layer_types": ["sliding_attention", "full_attention"] * 2}
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "falcon_h1": ({"mamba_rms_norm": True, "projectors_bias": True},),
    "gemma4_text": (_SHARING, {**_SHARING, "use_double_wide_mlp": True}),
    "nemotron_h": ({"moe_latent_size": 32, "layers_block_type": ["moe", "full_attention", "moe"]},),
}
"""Other structures that a family's configs ask for."""
BATCH = 16
"""So many rows that what a mask or a table of positions takes more or less is below 1 %."""
MARKS = 16
"""Elements of a tensor of a cache that is no state: whether it was initialised, and such."""
WIDTHS = {"fp32": 4, "bf16": 2}


class Small(NamedTuple):
    """A model, what was read of its config, and the attention kernel that runs."""

    model: Any
    architecture: Architecture
    kernel: str
    whole: bool


class _Named(NamedTuple):
    """A class as its config's `architectures` says."""

    kind: Any

    def from_config(self, config: Any) -> Any:
        return self.kind._from_config(config)


def config_of(family: str, **fields: Any) -> Any:
    """A small config of a family; `fields` before its defaults. An encoder's class is its base model's."""
    from transformers import AutoConfig

    open_fields = {} if family == "glm4v_moe" else every_family.OPEN.get(family, {})
    small = shrink(AutoConfig.for_model(family, **{**open_fields, **SHORT.get(family, {}), **fields}))
    rope = SHORT.get(family, {}).get("rope_parameters")
    if rope is not None:
        small.rope_parameters = {**small.rope_parameters, **rope}
    return small


def variants_of(family: str) -> Iterator[Any]:
    """Small configs of its other structures."""
    for fields in VARIANTS[family]:
        small = config_of(family)
        yield type(small).from_dict({**small.to_dict(), **fields})


def read(config: Any) -> Architecture:
    """The architecture of a config as its JSON says it."""
    return read_config(json.loads(json.dumps(config.to_dict(), default=str)), "small", "test")


def build(config: Any, dtype: str = "fp32", kernel: str = "sdpa", device: str = "cpu") -> Small:
    """The model of a config; eager where the family has no other attention. On `meta` without its weights."""
    import torch
    import transformers
    from transformers import AutoModel, AutoModelForCausalLM

    encodes = config.model_type in ENCODERS
    whole = not encodes and type(config) in AutoModelForCausalLM._model_mapping
    make: Any = AutoModelForCausalLM if whole else AutoModel
    if encodes and config.architectures:
        make = _Named(getattr(transformers, config.architectures[0]))
    torch.manual_seed(0)
    config._attn_implementation = kernel
    with torch.device(device):
        try:
            model = make.from_config(config)
        except ValueError as error:
            if "scaled_dot_product" not in str(error):
                raise
            config._attn_implementation = kernel = "eager"
            model = make.from_config(config)
    if device != "meta":
        model = model.to(getattr(torch, {"fp32": "float32", "bf16": "bfloat16"}[dtype])).eval()
    return Small(model, read(config), kernel, whole)


def shapes(small: Small) -> tuple[Counter[tuple[int, ...]], Counter[tuple[int, ...]]]:
    """(shapes that the planner counts, shapes of the model's parameters)."""
    architecture = small.architecture
    outside = architecture.embeddings + architecture.final + (architecture.head if small.whole else ())
    found = Counter(weight.shape for layer in architecture.layers for weight in layer.weights)
    found.update(weight.shape for weight in outside)
    return found, Counter(tuple(each.shape) for each in small.model.parameters())


def run(small: Small, batch: int, padded: bool = False) -> tuple[int, int]:
    """(bytes that a pass holds at its peak, bytes that its cache keeps); `padded`: with a mask."""
    import torch
    from torch.profiler import ProfilerActivity, profile
    from transformers import DynamicCache

    ids = torch.randint(3, 90, (batch, TOKENS))
    options: dict[str, Any] = {"use_cache": True, **({"logits_to_keep": 1} if small.whole else {})}
    if small.architecture.encodes:
        options = {"attention_mask": padding(ids)} if padded else {}
    with torch.inference_mode(), quiet(), _without_packing():
        shown = small.model(ids, **options)
        if not small.architecture.encodes and not {"past_key_values", "cache_params"} & {*shown}:
            # A model that fills a cache and does not return it.
            options["past_key_values"] = DynamicCache(config=small.model.config)
            small.model(ids, **options)
            options["past_key_values"] = DynamicCache(config=small.model.config)
        del shown
        # What passes leave in cycles is not given back while this one is counted: when would be chance.
        gc.collect()
        gc.disable()
        try:
            with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
                kept = small.model(ids, **options)
        finally:
            gc.enable()
    live = peak = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    if small.architecture.encodes:
        return peak, 0
    cache = getattr(kept, "past_key_values", None) or getattr(kept, "cache_params", None)
    cache = options["past_key_values"] if cache is None else cache
    kept_there = [*_storages(cache.layers), *_storages([cache]), *_own(small.model)]
    return peak, sum({each.data_ptr(): each.nbytes() for each in kept_there}.values())


def _own(model: Any) -> Any:
    """What modules keep that is neither weight nor buffer."""
    for module in model.modules():
        for each in vars(module).values():
            if hasattr(each, "untyped_storage") and each.numel() > MARKS:
                yield each.untyped_storage()


def padding(ids: Any) -> Any:
    """A mask of texts of which all but the first are shorter."""
    mask = ids.new_ones(ids.shape)
    mask[1:, TOKENS // 2 :] = 0
    return mask


def _storages(layers: Any) -> Any:
    for layer in layers:
        for value in vars(layer).values():
            held = list(value.values()) if isinstance(value, dict) else value
            for each in held if isinstance(held, list | tuple) else [held]:
                if hasattr(each, "untyped_storage") and each.numel() > MARKS:
                    yield each.untyped_storage()


@contextlib.contextmanager
def _without_packing() -> Iterator[None]:
    """Without oneDNN, whose matrix products pack weights in bf16, which of few rows is much."""
    import torch

    told = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = told


@contextlib.contextmanager
def quiet() -> Any:
    """Without the profiler's own lines on standard error."""
    held, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(held, 2)
        os.close(held)
        os.close(sink)


def planned(small: Small, dtype: str, batch: int, padded: bool = False) -> tuple[int, int]:
    """(peak, cache) of the same pass as the planner's formulas have them, layer after layer."""
    architecture, width = small.architecture, WIDTHS[dtype]
    mixers = [(layer.mixer, layer.flow) for layer in architecture.layers]
    kernel = small.kernel
    if kernel == "sdpa" and any(
        isinstance(mixer, Attention | LatentAttention) and falls_back(mixer, flow, True)
        for mixer, flow in mixers
    ):
        kernel = "sdpa-math"
    one_pass = Pass(batch, TOKENS, 0, kernel, padded, processor=True)
    precision = ResolvedPrecision(dtype, dtype, "")
    cache = peak = 0
    for layer in architecture.layers:
        cache += layer_cache(layer, CacheShape(batch, TOKENS, TOKENS, TOKENS), Cache(), width).total
        peak = max(peak, cache + layer_peak(layer, architecture.hidden_size, one_pass, precision).bytes)
    ids = batch * TOKENS * 8
    return peak + sum(model_bytes(architecture, one_pass, width)) - ids, cache
