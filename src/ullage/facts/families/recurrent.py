"""Mixers with a recurrent state: Mamba, Mamba-2, the gated delta net, and short convolutions."""

from __future__ import annotations

from typing import Final

from ullage.facts.architecture import Recurrent
from ullage.facts.families.fields import Fields
from ullage.facts.families.parts import Weights, linear, norm, single
from ullage.facts.families.recurrences import (
    ChannelDelta,
    Delta,
    GatedUnit,
    Lightning,
    Mamba,
    Mamba2,
    Recurrence,
    ShortConv,
)
from ullage.facts.families.switch import holds

Mixer = tuple[Recurrent, Weights]
USUAL_CHUNK: Final = 256
"""Positions that Mamba-2 scans at once where a config does not say, as its configuration classes have it."""
DELTA_CHUNK: Final = 64
"""Those of a gated delta net, which no config says (modeling_qwen3_next.py)."""


def recurrence(fields: Fields, row: Recurrence, hidden: int) -> Mixer:
    """One block and its weights."""
    if isinstance(row, Mamba):
        return _mamba(fields, row, hidden)
    if isinstance(row, Mamba2):
        return _mamba2(fields, row, hidden)
    if isinstance(row, ShortConv):
        return _short_conv(fields, row, hidden)
    if isinstance(row, Lightning):
        return _lightning(fields, row, hidden)
    if isinstance(row, GatedUnit):
        return _gated_unit(fields, row, hidden)
    return _delta(fields, row, hidden) if isinstance(row, Delta) else _channel_delta(fields, row, hidden)


def _mamba(fields: Fields, row: Mamba, hidden: int) -> Mixer:
    """Selective scan with a state of `state_size` per channel."""
    inner = fields.optional(*row.width) if row.width else None
    inner = inner or hidden * fields.size(*row.expand)
    state = fields.size("state_size", "mamba_d_state")
    kernel = fields.size("conv_kernel", "mamba_d_conv")
    rank_given = fields.raw("time_step_rank", "mamba_dt_rank")
    rank = -(-hidden // 16) if rank_given in (None, "auto") else None
    rank = rank or fields.size("time_step_rank", "mamba_dt_rank")
    bias, where = holds(row.bias, fields), row.where
    weights = single(f"{where}.A_log", (inner, state)) + single(f"{where}.D", (inner,))
    weights += _conv(where, inner, kernel, holds(row.conv_bias, fields))
    weights += linear(f"{where}.in_proj", 2 * inner, hidden, bias)
    weights += linear(f"{where}.x_proj", rank + 2 * state, inner)
    weights += linear(f"{where}.dt_proj", inner, rank, True)
    weights += linear(f"{where}.out_proj", hidden, inner, bias)
    if row.inner_norms:
        for name, size in (("dt", rank), ("b", state), ("c", state)):
            weights += norm(f"{where}.{name}_layernorm", size)
    mixer = Recurrent("mamba1", inner, 2 * inner, inner * kernel, inner * state)
    return mixer._replace(kept=2 * inner, channels=inner, state=state, rank=rank), weights


def _conv(prefix: str, channels: int, kernel: int, bias: bool, name: str = "conv1d") -> Weights:
    weights = single(f"{prefix}.{name}.weight", (channels, 1, kernel), "conv")
    return weights + (single(f"{prefix}.{name}.bias", (channels,), "bias") if bias else ())


def _short_conv(fields: Fields, row: ShortConv, hidden: int) -> Mixer:
    """No state but the last positions."""
    kernel, bias, where = fields.size(row.kernel), holds(row.bias, fields), row.where
    weights = _conv(where, hidden, kernel, bias, "conv")
    weights += linear(f"{where}.in_proj", 3 * hidden, hidden, bias)
    weights += linear(f"{where}.out_proj", hidden, hidden, bias)
    return Recurrent("short_conv", hidden, 3 * hidden, hidden * kernel, 0, channels=hidden), weights


def _mamba2(fields: Fields, row: Mamba2, hidden: int) -> Mixer:
    """A (head_dim, state) matrix per head."""
    heads = fields.size(*row.heads)
    inner = (fields.optional(*row.width) if row.width else None) or 0
    if not inner:
        inner = hidden * fields.size(*row.expand) if row.expand else heads * fields.size(*row.head_dim)
    width = fields.raw(*row.head_dim)
    if isinstance(width, int) and width * heads != inner:
        raise fields.wrong(row.head_dim[-1], width, f"{inner} channels over {heads} heads")
    state = fields.size("ssm_state_size", "mamba_d_state", "state_size")
    kernel = fields.size("conv_kernel", "mamba_d_conv")
    groups = fields.size("n_groups", "mamba_n_groups", "mamba_ngroups")
    bias, where = holds(row.bias, fields), row.where
    channels = inner + 2 * groups * state
    projected = inner + channels + heads
    weights = tuple(w for n in ("dt_bias", "A_log", "D") for w in single(f"{where}.{n}", (heads,)))
    weights += _conv(where, channels, kernel, holds(row.conv_bias, fields))
    weights += linear(f"{where}.in_proj", projected, hidden, bias)
    if holds(row.normed, fields):
        weights += norm(f"{where}.norm", inner)
    out_bias = bias if row.out_bias is None else holds(row.out_bias, fields)
    weights += linear(f"{where}.out_proj", hidden, inner, out_bias)
    chunk = fields.optional("chunk_size", "mamba_chunk_size") or USUAL_CHUNK
    mixer = Recurrent("mamba2", inner, projected, channels * kernel, inner * state)
    mixer = mixer._replace(kept=projected, channels=channels, state=state, value_heads=heads, chunk=chunk)
    return mixer, weights


def _delta(fields: Fields, row: Delta, hidden: int) -> Mixer:
    """A (key_dim, value_dim) matrix per value head."""
    key_dim, value_dim = fields.size("linear_key_head_dim"), fields.size("linear_value_head_dim")
    value_heads = fields.size("linear_num_value_heads")
    key, value = key_dim * fields.size("linear_num_key_heads"), value_dim * value_heads
    kernel, where = fields.size("linear_conv_kernel_dim"), row.where
    weights = single(f"{where}.dt_bias", (value_heads,)) + single(f"{where}.A_log", (value_heads,))
    weights += _conv(where, 2 * key + value, kernel, False)
    widths = {"q": key, "k": key, "v": value, "z": value, "a": value_heads, "b": value_heads}
    names = row.names or tuple(f"in_proj_{part}" for part in row.parts)
    for name, part in zip(names, row.parts, strict=True):
        weights += linear(f"{where}.{name}", sum(widths[each] for each in part), hidden)
    weights += norm(f"{where}.{row.norm}", value_dim) + linear(f"{where}.{row.out}", hidden, value)
    projected = 2 * key + 2 * value + 2 * value_heads
    state = value_heads * key_dim * value_dim
    mixer = Recurrent("gated_delta", value, projected, (2 * key + value) * kernel, state)
    together = any(len(part) > 2 and "z" in part for part in row.parts)
    mixer = mixer._replace(
        kept=projected + value if together else 2 * value_heads + (0 if row.parts[-1] == "z" else value),
        channels=2 * key + value,
        state=key_dim,
        value_heads=value_heads,
        chunk=DELTA_CHUNK,
        repeats=key // key_dim < value_heads,
    )
    return mixer, weights


def _lightning(fields: Fields, row: Lightning, hidden: int) -> Mixer:
    """A (head_dim, head_dim) matrix per head, in the compute dtype."""
    heads = fields.size("num_attention_heads")
    width = fields.optional("head_dim") or hidden // heads
    inner, where = heads * width, row.where
    weights = linear(f"{where}.qkv_proj", 3 * inner, hidden) + linear(f"{where}.out_proj", hidden, inner)
    weights += linear(f"{where}.output_gate", inner, hidden) + norm(f"{where}.norm", inner)
    mixer = Recurrent("lightning", inner, 3 * inner, inner * width, 0)
    return mixer._replace(state=width, value_heads=heads, chunk=fields.size("block_size")), weights


def _gated_unit(fields: Fields, row: GatedUnit, hidden: int) -> Mixer:
    """One number a channel; gates are linear within each head."""
    inner = fields.optional("lru_width") or hidden
    heads, kernel, where = fields.size("num_attention_heads"), fields.size("conv1d_width"), row.where
    block = inner // heads
    weights = linear(f"{where}.linear_y", inner, hidden, True)
    weights += linear(f"{where}.linear_x", inner, hidden, True)
    weights += linear(f"{where}.linear_out", hidden, inner, True) + _conv(
        where, inner, kernel, True, "conv_1d"
    )
    weights += single(f"{where}.rg_lru.recurrent_param", (inner,))
    for gate in ("input", "recurrent"):
        weights += single(f"{where}.rg_lru.{gate}_gate_weight", (heads, block, block))
        weights += single(f"{where}.rg_lru.{gate}_gate_bias", (heads, block))
    mixer = Recurrent("gated_unit", inner, inner, inner * (kernel - 1), inner)
    return mixer._replace(channels=inner, state=1, value_heads=heads), weights


def _channel_delta(fields: Fields, row: ChannelDelta, hidden: int) -> Mixer:
    """As `_delta`, all heads of one width; gates and what is forgotten come by way of one head's width."""
    given = fields.raw("linear_attn_config")
    own = Fields(given if isinstance(given, dict) else {}, {}, fields.model)
    heads = own.optional("num_heads") or fields.size("linear_num_heads")
    width = own.optional("head_dim") or fields.size("linear_head_dim")
    kernel = own.optional("short_conv_kernel_size") or fields.size("linear_conv_kernel_dim")
    inner, where = heads * width, row.where
    weights: Weights = ()
    for name in ("q_proj", "k_proj", "v_proj"):
        weights += linear(f"{where}.{name}", inner, hidden)
    weights += _conv(where, 3 * inner, kernel, False)
    for name in ("forget_gate.f", "g"):
        weights += linear(f"{where}.{name}_a_proj", width, hidden)
        weights += linear(f"{where}.{name}_b_proj", inner, width)
    weights += single(f"{where}.forget_gate.dt_bias", (inner,))
    weights += single(f"{where}.forget_gate.A_log", (1, 1, heads, 1))
    weights += linear(f"{where}.b_proj", heads, hidden) + norm(f"{where}.o_norm", width)
    weights += linear(f"{where}.o_proj", hidden, inner)
    mixer = Recurrent("channel_delta", inner, 3 * inner, 3 * inner * kernel, inner * width)
    mixer = mixer._replace(kept=inner + heads, channels=3 * inner, chunk=DELTA_CHUNK)
    mixer = mixer._replace(state=width, value_heads=heads)
    return mixer, weights
