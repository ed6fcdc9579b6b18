"""Mixers with a recurrent state: Mamba, Mamba-2 and the gated delta net."""

from __future__ import annotations

from typing import Final

from ullage.facts.architecture import Recurrent
from ullage.facts.families.family import Delta, Mamba, Mamba2, holds
from ullage.facts.families.fields import Fields
from ullage.facts.families.parts import Weights, linear, norm, single

Mixer = tuple[Recurrent, Weights]
USUAL_CHUNK: Final = 256
"""Positions that Mamba-2 scans at once where a config does not say, as its configuration classes have it."""
DELTA_CHUNK: Final = 64
"""Those of a gated delta net, which no config says (modeling_qwen3_next.py)."""


def recurrence(fields: Fields, row: Mamba | Mamba2 | Delta, hidden: int) -> Mixer:
    """One block and its weights."""
    if isinstance(row, Mamba):
        return _mamba(fields, row, hidden)
    if isinstance(row, Mamba2):
        return _mamba2(fields, row, hidden)
    return _delta(fields, row, hidden)


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


def _conv(prefix: str, channels: int, kernel: int, bias: bool) -> Weights:
    weights = single(f"{prefix}.conv1d.weight", (channels, 1, kernel), "conv")
    return weights + (single(f"{prefix}.conv1d.bias", (channels,), "bias") if bias else ())


def _mamba2(fields: Fields, row: Mamba2, hidden: int) -> Mixer:
    """A (head_dim, state) matrix per head."""
    heads = fields.size(*row.heads)
    inner = hidden * fields.size(*row.expand) if row.expand else heads * fields.size(*row.head_dim)
    width = fields.raw(*row.head_dim)
    if isinstance(width, int) and width * heads != inner:
        raise fields.wrong(row.head_dim[-1], width, f"{inner} channels over {heads} heads")
    state = fields.size("ssm_state_size", "mamba_d_state")
    kernel = fields.size("conv_kernel", "mamba_d_conv")
    groups = fields.size("n_groups", "mamba_n_groups")
    bias, where = holds(row.bias, fields), row.where
    channels = inner + 2 * groups * state
    projected = inner + channels + heads
    weights = tuple(w for n in ("dt_bias", "A_log", "D") for w in single(f"{where}.{n}", (heads,)))
    weights += _conv(where, channels, kernel, holds(row.conv_bias, fields))
    weights += linear(f"{where}.in_proj", projected, hidden, bias)
    weights += norm(f"{where}.norm", inner)
    weights += linear(f"{where}.out_proj", hidden, inner, bias)
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
    for part in row.parts:
        weights += linear(f"{where}.in_proj_{part}", sum(widths[each] for each in part), hidden)
    weights += norm(f"{where}.norm", value_dim) + linear(f"{where}.out_proj", hidden, value)
    projected = 2 * key + 2 * value + 2 * value_heads
    state = value_heads * key_dim * value_dim
    mixer = Recurrent("gated_delta", value, projected, (2 * key + value) * kernel, state)
    together = any(len(part) > 2 and "z" in part for part in row.parts)
    mixer = mixer._replace(
        kept=projected + value if together else value + 2 * value_heads,
        channels=2 * key + value,
        state=key_dim,
        value_heads=value_heads,
        chunk=DELTA_CHUNK,
        repeats=key // key_dim < value_heads,
    )
    return mixer, weights
