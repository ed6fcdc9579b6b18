"""Vision towers with their projectors, by the `model_type` of the vision config."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ullage.facts.architecture import Weight
from ullage.facts.families import picture_rules as rules
from ullage.facts.families.fields import Fields
from ullage.facts.families.parts import Weights, gated_weights, linear, norm, single
from ullage.facts.pictures import PictureRule
from ullage.facts.vision import TowerFlow, Vision

LLAVA: Final = TowerFlow("layer", keeps_states=True, opening="joined tiles", ending="packed")
"""LLaVA-NeXT: all states are asked for, and features of tiles laid out as one picture."""
QWEN: Final = TowerFlow("rms", fused_qkv=True, rotary="full", calls="each", opening="patches")
"""Qwen2.5-VL: rotary angles in fp32, attention picture by picture, patches merged by four."""


def read_vision(fields: Fields, tower: Fields, text_hidden: int, outer: str) -> Vision:
    """The tower described by `tower`; `outer` is the whole model's type, `fields` its config."""
    kind = str(tower.raw("model_type") or outer)
    for prefix, read in _TOWERS.items():
        if kind.startswith(prefix):
            return read(fields, tower, text_hidden)
    raise tower.wrong("vision_config.model_type", kind, f"one of {', '.join(_TOWERS)}")


def _repeat(count: int, weights: Weights) -> Weights:
    return tuple(
        Weight(f"vision_tower.layers.{index}.{weight.name}", weight.shape, weight.role)
        for index in range(count)
        for weight in weights
    )


def _vision(
    tower: Fields,
    weights: Weights,
    rule: PictureRule,
    flow: TowerFlow,
    out: int,
    width: int | None = None,
) -> Vision:
    """`out` is the width of what the language model is given, `width` the feed-forward part's where it is
    not intermediate_size."""
    hidden = tower.size("hidden_size")
    heads = tower.size("num_attention_heads", "num_heads")
    return Vision(
        hidden,
        width or tower.size("intermediate_size"),
        heads,
        max(hidden // heads, 1),
        tower.size("num_hidden_layers", "depth"),
        out,
        rule,
        flow,
        weights,
    )


def _clip_layer(hidden: int, width: int, bias: bool = True) -> Weights:
    weights: Weights = ()
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        weights += linear(f"self_attn.{name}", hidden, hidden, bias)
    weights += norm("layer_norm1", hidden, True) + norm("layer_norm2", hidden, True)
    return weights + linear("mlp.fc1", width, hidden, True) + linear("mlp.fc2", hidden, width, True)


def _clip(fields: Fields, tower: Fields, text: int) -> Vision:
    """CLIP in LLaVA-NeXT: one base image and its tiles, each seen alone."""
    hidden, width = tower.size("hidden_size"), tower.size("intermediate_size")
    patch, side = tower.size("patch_size"), tower.size("image_size")
    positions = (side // patch) ** 2 + 1
    weights = single("class_embedding", (hidden,))
    weights += single("patch_embedding.weight", (hidden, 3, patch, patch), "conv")
    weights += single("position_embedding.weight", (positions, hidden), "embedding")
    weights += norm("pre_layrnorm", hidden, True) + norm("post_layernorm", hidden, True)
    weights += _repeat(tower.size("num_hidden_layers"), _clip_layer(hidden, width))
    weights += _two_linears(text, hidden) + single("image_newline", (text,))
    flow = TowerFlow(
        "layer", activation="sigmoid", keeps_states=True, opening="joined tiles", ending="packed"
    )
    return _vision(tower, weights, rules.tiles(fields, tower, 1), flow, text)


def _two_linears(text: int, hidden: int) -> Weights:
    where = "multi_modal_projector"
    return linear(f"{where}.linear_1", text, hidden, True) + linear(f"{where}.linear_2", text, text, True)


def _siglip(fields: Fields, tower: Fields, text: int) -> Vision:
    """SigLIP: in Gemma 3 pooled to `mm_tokens_per_image`, in LLaVA-NeXT tiled."""
    hidden, width = tower.size("hidden_size"), tower.size("intermediate_size")
    patch, side = tower.size("patch_size"), tower.size("image_size")
    positions = (side // patch) ** 2
    weights = single("patch_embedding.weight", (hidden, 3, patch, patch), "conv")
    weights += single("patch_embedding.bias", (hidden,), "bias")
    weights += single("position_embedding.weight", (positions, hidden), "embedding")
    weights += norm("post_layernorm", hidden, True)
    weights += _repeat(tower.size("num_hidden_layers"), _clip_layer(hidden, width))
    if tower.raw("vision_use_head") is not False:
        weights += single("head.probe", (1, 1, hidden))
        weights += single("head.attention.in_proj_weight", (3 * hidden, hidden))
        weights += single("head.attention.in_proj_bias", (3 * hidden,), "bias")
        weights += linear("head.attention.out_proj", hidden, hidden, True)
        weights += norm("head.layernorm", hidden, True)
        weights += linear("head.mlp.fc1", width, hidden, True)
        weights += linear("head.mlp.fc2", hidden, width, True)
    if str(fields.raw("model_type")).startswith("llava"):
        layers = fields.raw("vision_feature_layer")
        weights += _two_linears(text, hidden * (len(layers) if isinstance(layers, list) else 1))
        weights += single("image_newline", (text,))
        return _vision(tower, weights, rules.tiles(fields, tower, 0), LLAVA, text)
    weights += single("mm_input_projection_weight", (hidden, text))
    weights += norm("mm_soft_emb_norm", hidden)
    flow = TowerFlow("layer", keeps_input=True, ending="pooled", sees_ahead=True)
    return _vision(tower, weights, rules.fixed(fields, tower), flow, text)


def _pixtral(fields: Fields, tower: Fields, text: int) -> Vision:
    """Pixtral in Mistral 3: no biases, gated MLP, patches merged before projection."""
    hidden, width = tower.size("hidden_size"), tower.size("intermediate_size")
    patch = tower.size("patch_size")
    merge = fields.optional("spatial_merge_size") or tower.optional("spatial_merge_size") or 1
    layer: Weights = norm("attention_norm", hidden) + norm("ffn_norm", hidden)
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        layer += linear(f"attention.{name}", hidden, hidden)
    layer += gated_weights(hidden, width, "feed_forward")
    weights = single("patch_conv.weight", (hidden, 3, patch, patch), "conv") + norm("ln_pre", hidden)
    weights += _repeat(tower.size("num_hidden_layers"), layer)
    where = "multi_modal_projector"
    bias = fields.flag("multimodal_projector_bias")
    weights += norm(f"{where}.norm", hidden)
    weights += linear(f"{where}.patch_merger.merging_layer", hidden, hidden * merge**2)
    weights += linear(f"{where}.linear_1", text, hidden, bias)
    weights += linear(f"{where}.linear_2", text, text, bias)
    flow = TowerFlow("rms", rotary="plain", calls="joint", gated=True, keeps_states=True, ending="unfolded")
    return _vision(tower, weights, rules.longest_edge(fields, tower, merge), flow, text)


def _qwen25(fields: Fields, tower: Fields, text: int) -> Vision:
    hidden, width = tower.size("hidden_size"), tower.size("intermediate_size")
    patch, merge = tower.size("patch_size"), tower.size("spatial_merge_size")
    frames, out = tower.size("temporal_patch_size"), tower.size("out_hidden_size")
    layer = norm("norm1", hidden) + norm("norm2", hidden)
    layer += linear("attn.qkv", 3 * hidden, hidden, True) + linear("attn.proj", hidden, hidden, True)
    layer += gated_weights(hidden, width, bias=True)
    weights = single("patch_embed.proj.weight", (hidden, 3, frames, patch, patch), "conv")
    weights += _repeat(tower.size("depth"), layer)
    merged = hidden * merge**2
    weights += norm("merger.ln_q", hidden)
    weights += linear("merger.mlp.0", merged, merged, True) + linear("merger.mlp.2", out, merged, True)
    rule = rules.smart_resize(fields, tower, *rules.QWEN2_PIXELS)
    return _vision(tower, weights, rule, QWEN._replace(gated=True), out)


def _qwen3(fields: Fields, tower: Fields, text: int) -> Vision:
    """Qwen3-VL and Qwen3.5: learned positions; Qwen3-VL feeds three inner layers on (deepstack)."""
    hidden, width = tower.size("hidden_size"), tower.size("intermediate_size")
    patch, merge = tower.size("patch_size"), tower.size("spatial_merge_size")
    frames, out = tower.size("temporal_patch_size"), tower.size("out_hidden_size")
    layer = norm("norm1", hidden, True) + norm("norm2", hidden, True)
    layer += linear("attn.qkv", 3 * hidden, hidden, True) + linear("attn.proj", hidden, hidden, True)
    layer += linear("mlp.linear_fc1", width, hidden, True)
    layer += linear("mlp.linear_fc2", hidden, width, True)
    weights = single("patch_embed.proj.weight", (hidden, 3, frames, patch, patch), "conv")
    weights += single("patch_embed.proj.bias", (hidden,), "bias")
    positions = tower.optional("num_position_embeddings") or 2304
    weights += single("pos_embed.weight", (positions, hidden), "embedding")
    weights += _repeat(tower.size("depth"), layer)
    merged = hidden * merge**2

    def merger(name: str, normed: int) -> Weights:
        first = linear(f"{name}.linear_fc1", merged, merged, True)
        return norm(f"{name}.norm", normed, True) + first + linear(f"{name}.linear_fc2", out, merged, True)

    weights += merger("merger", hidden)
    deep = len(tower.numbers("deepstack_visual_indexes") or ())
    for number in range(deep):
        weights += merger(f"deepstack_merger_list.{number}", merged)
    rule = rules.smart_resize(fields, tower, *rules.QWEN3_PIXELS)
    flow = QWEN._replace(norm="layer", opening="interpolated", deep_features=deep)
    return _vision(tower, weights, rule, flow, out)


def _glm(fields: Fields, tower: Fields, text: int) -> Vision:
    hidden = tower.size("hidden_size")
    patch, merge = tower.size("patch_size"), tower.size("spatial_merge_size")
    frames, out = tower.size("temporal_patch_size"), tower.size("out_hidden_size")
    side, bias = tower.size("image_size"), tower.flag("attention_bias")
    layer = norm("norm1", hidden) + norm("norm2", hidden)
    layer += linear("attn.qkv", 3 * hidden, hidden, bias) + linear("attn.proj", hidden, hidden, bias)
    layer += gated_weights(hidden, out)
    weights = single("position_embedding.weight", ((side // patch) ** 2, hidden), "embedding")
    weights += single("patch_embed.proj.weight", (hidden, 3, frames, patch, patch), "conv")
    weights += single("patch_embed.proj.bias", (hidden,), "bias")
    weights += _repeat(tower.size("depth"), layer)
    weights += linear("merger.proj", out, out) + norm("merger.post_projection_norm", out, True)
    weights += gated_weights(out, tower.size("intermediate_size"), "merger")
    weights += norm("post_conv_layernorm", hidden) + norm("post_layernorm", hidden)
    weights += single("downsample.weight", (out, hidden, merge, merge), "conv")
    weights += single("downsample.bias", (out,), "bias")
    rule = rules.smart_resize(fields, tower, *rules.GLM_PIXELS, frames_count=True)
    flow = QWEN._replace(gated=True, ending="convolved")
    return _vision(tower, weights, rule, flow, out, width=out)


def _gemma4(fields: Fields, tower: Fields, text: int) -> Vision:
    hidden, width = tower.size("hidden_size"), tower.size("intermediate_size")
    patch, pool = tower.size("patch_size"), tower.optional("pooling_kernel_size") or 3
    heads = tower.size("num_attention_heads")
    head_dim = tower.optional("head_dim") or hidden // heads
    kv = tower.kv_heads() or heads
    layer: Weights = ()
    for name, outputs in (("q_proj", heads), ("k_proj", kv), ("v_proj", kv)):
        layer += linear(f"self_attn.{name}.linear", outputs * head_dim, hidden)
    layer += linear("self_attn.o_proj.linear", hidden, heads * head_dim)
    layer += norm("self_attn.q_norm", head_dim) + norm("self_attn.k_norm", head_dim)
    for name in ("gate_proj", "up_proj"):
        layer += linear(f"mlp.{name}.linear", width, hidden)
    layer += linear("mlp.down_proj.linear", hidden, width)
    for name in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
        layer += norm(f"{name}_layernorm", hidden)
    positions = tower.optional("position_embedding_size") or 10240
    weights = single("position_embedding_table", (2, positions, hidden), "embedding")
    weights += linear("patch_embedder.input_proj", hidden, 3 * patch * patch)
    weights += _repeat(tower.size("num_hidden_layers"), layer)
    if tower.flag("standardize"):
        weights += single("std_bias", (hidden,)) + single("std_scale", (hidden,))
    weights += linear("embed_vision.embedding_projection", text, hidden)
    nested = fields.raw("text_config")
    text_fields = Fields(nested, {}, fields.model) if isinstance(nested, dict) else fields
    ahead = text_fields.raw("use_bidirectional_attention") == "vision"
    flow = TowerFlow("rms-fp32", 4, False, "each-axis", "padded", gated=True, keeps_input=True)
    flow = flow._replace(ending="stripped", sees_ahead=ahead)
    return _vision(tower, weights, rules.token_budget(fields, tower, patch, pool), flow, text)


def _llama4(fields: Fields, tower: Fields, text: int) -> Vision:
    """Llama 4: tiles of `image_size`, pixel shuffle, an MLP adapter and a projector."""
    hidden, width = tower.size("hidden_size"), tower.size("intermediate_size")
    patch, side = tower.size("patch_size"), tower.size("image_size")
    positions = (side // patch) ** 2 + 1
    shuffle = _shuffle(tower)
    inside = tower.optional("projector_input_dim") or 4096
    out = tower.optional("projector_output_dim") or 4096
    layer: Weights = ()
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        layer += linear(f"self_attn.{name}", hidden, hidden, True)
    layer += linear("mlp.fc1", width, hidden, True) + linear("mlp.fc2", hidden, width, True)
    layer += norm("input_layernorm", hidden, True) + norm("post_attention_layernorm", hidden, True)
    weights = single("class_embedding", (hidden,))
    weights += single("positional_embedding_vlm", (positions, hidden), "embedding")
    weights += linear("patch_embedding.linear", hidden, 3 * patch * patch)
    weights += norm("layernorm_pre", hidden, True) + norm("layernorm_post", hidden, True)
    weights += _repeat(tower.size("num_hidden_layers"), layer)
    weights += linear("vision_adapter.mlp.fc1", inside, width)
    weights += linear("vision_adapter.mlp.fc2", out, out)
    given = tower.optional("vision_output_dim") or out
    weights += linear("multi_modal_projector.linear_1", text, given)
    flow = TowerFlow("layer", rotary="complex", keeps_input=True, plain_softmax=True, full_pixels=False)
    flow = flow._replace(ending="convolved")
    return _vision(tower, weights, rules.canvas(fields, tower, shuffle), flow, text)


def _shuffle(tower: Fields) -> int:
    """Patches along a side that become one token."""
    ratio = tower.raw("pixel_shuffle_ratio")
    if ratio is None:
        return 2
    if isinstance(ratio, float) and 0 < ratio <= 1 and (1 / ratio).is_integer():
        return int(1 / ratio)
    raise tower.wrong("pixel_shuffle_ratio", ratio, "one divided by a whole number")


_TOWERS: dict[str, Callable[[Fields, Fields, int], Vision]] = {
    "clip_vision": _clip,
    "siglip": _siglip,
    "pixtral": _pixtral,
    "qwen2_5_vl": _qwen25,
    "qwen3_vl": _qwen3,
    "qwen3_5": _qwen3,
    "glm4v": _glm,
    "gemma4": _gemma4,
    "llama4": _llama4,
}
