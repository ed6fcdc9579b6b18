"""Networks of diffusion pipelines, with exact parameter counts from their configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ullage.errors import UnsupportedError
from ullage.facts.diffusion import Component
from ullage.facts.families.fields import Fields

T5_TOKENS = 512
"""Length to which Flux pads the T5 prompt (diffusers FluxPipeline, max_sequence_length)."""


def component_from_config(name: str, class_name: str, config: Mapping[str, object]) -> Component:
    """The network `class_name` with this config.

    Raises UnsupportedError for a class whose parameters are not described here.
    """
    fields = Fields(config, {}, name)
    if class_name == "FluxTransformer2DModel":
        return _flux(name, fields)
    if class_name == "CLIPTextModel":
        return _clip(name, fields)
    if class_name == "T5EncoderModel":
        return _t5(name, fields)
    if class_name == "AutoencoderKL":
        return _autoencoder(name, fields)
    raise UnsupportedError(
        f"{name}: no reader for network class {class_name!r}; known: FluxTransformer2DModel, "
        "CLIPTextModel, T5EncoderModel, AutoencoderKL"
    )


def _linear(outputs: int, inputs: int) -> int:
    return outputs * inputs + outputs


def _flux(name: str, fields: Fields) -> Component:
    """Double-stream blocks, then single-stream ones (diffusers transformer_flux.py)."""
    heads, width = fields.size("num_attention_heads"), fields.size("attention_head_dim")
    hidden = heads * width
    channels, context = fields.size("in_channels"), fields.size("joint_attention_dim")
    double, single = fields.size("num_layers"), fields.size("num_single_layers")
    pooled = fields.size("pooled_projection_dim")
    feed_forward = _linear(4 * hidden, hidden) + _linear(hidden, 4 * hidden)
    attention = 4 * _linear(hidden, hidden) + 2 * width
    double_block = 2 * (_linear(6 * hidden, hidden) + attention + feed_forward)
    single_block = _linear(3 * hidden, hidden) + 3 * _linear(hidden, hidden) + 2 * width
    single_block += _linear(4 * hidden, hidden) + _linear(hidden, 5 * hidden)
    embedders = _linear(hidden, 256) + _linear(hidden, hidden)
    time = embedders * (2 if fields.flag("guidance_embeds") else 1)
    time += _linear(hidden, pooled) + _linear(hidden, hidden)
    outside = _linear(hidden, context) + _linear(hidden, channels)
    outside += _linear(2 * hidden, hidden) + _linear(channels, hidden)
    total = double * double_block + single * single_block + time + outside
    return Component(name, "transformer", total, hidden, 4 * hidden, heads, double + single, 0)


def _clip(name: str, fields: Fields) -> Component:
    hidden, width = fields.size("hidden_size"), fields.size("intermediate_size")
    layers, tokens = fields.size("num_hidden_layers"), fields.size("max_position_embeddings")
    layer = 4 * _linear(hidden, hidden) + _linear(width, hidden) + _linear(hidden, width)
    layer += 4 * hidden
    total = layers * layer + (fields.size("vocab_size") + tokens) * hidden + 2 * hidden
    heads = fields.size("num_attention_heads")
    return Component(name, "text_encoder", total, hidden, width, heads, layers, tokens)


def _t5(name: str, fields: Fields) -> Component:
    hidden, width = fields.size("d_model"), fields.size("d_ff")
    heads, layers = fields.size("num_heads"), fields.size("num_layers")
    inner = heads * fields.size("d_kv")
    gated = "gated" in str(fields.raw("feed_forward_proj"))
    layer = 4 * hidden * inner + (3 if gated else 2) * hidden * width + 2 * hidden
    buckets = fields.optional("relative_attention_num_buckets") or 32
    total = layers * layer + fields.size("vocab_size") * hidden + buckets * heads + hidden
    # transformers' T5 keeps `wo` in fp32 (`_keep_in_fp32_modules`): its products overflow fp16.
    kept = layers * hidden * width
    found = Component(name, "text_encoder", total, hidden, width, heads, layers, T5_TOKENS)
    return found._replace(inner=inner, kept_full=kept)


def _conv(outputs: int, inputs: int, side: int = 3) -> int:
    return outputs * inputs * side * side + outputs


def _resnet(inputs: int, outputs: int) -> int:
    shortcut = _conv(outputs, inputs, 1) if inputs != outputs else 0
    return 2 * inputs + _conv(outputs, inputs) + 2 * outputs + _conv(outputs, outputs) + shortcut


def _autoencoder(name: str, fields: Fields) -> Component:
    """Convolutional encoder and decoder with one attention block each (diffusers AutoencoderKL)."""
    channels = cast("tuple[int, ...]", fields.numbers("block_out_channels"))
    if not channels:
        raise fields.wrong("block_out_channels", None, "a list of widths")
    latent, repeats = fields.size("latent_channels"), fields.size("layers_per_block")
    picture = fields.optional("in_channels") or 3
    widest = channels[-1]
    middle = 2 * _resnet(widest, widest) + 2 * widest + 4 * _linear(widest, widest)
    encoder = _conv(channels[0], picture) + middle + 2 * widest + _conv(2 * latent, widest)
    previous = channels[0]
    for index, width in enumerate(channels):
        encoder += _resnet(previous, width) + (repeats - 1) * _resnet(width, width)
        encoder += _conv(width, width) if index < len(channels) - 1 else 0
        previous = width
    decoder = _conv(widest, latent) + middle + 2 * channels[0] + _conv(picture, channels[0])
    previous = widest
    for index, width in enumerate(reversed(channels)):
        decoder += _resnet(previous, width) + repeats * _resnet(width, width)
        decoder += _conv(width, width) if index < len(channels) - 1 else 0
        previous = width
    total = encoder + decoder
    if fields.raw("use_quant_conv") is not False:
        total += _conv(2 * latent, 2 * latent, 1)
    if fields.raw("use_post_quant_conv") is not False:
        total += _conv(latent, latent, 1)
    return Component(name, "vae", total, channels=channels)
