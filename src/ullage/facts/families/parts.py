"""Weights of the parts that layers are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from ullage.facts.architecture import Attention, AttentionKind, Layer, Weight, WeightRole
from ullage.facts.families.fields import Fields

Weights = tuple[Weight, ...]


def linear(name: str, outputs: int, inputs: int, bias: bool = False) -> Weights:
    """An nn.Linear: weight (outputs, inputs) and its bias."""
    weight = Weight(f"{name}.weight", (outputs, inputs), "linear")
    return (weight, Weight(f"{name}.bias", (outputs,), "bias")) if bias else (weight,)


def norm(name: str, width: int, bias: bool = False) -> Weights:
    """An RMSNorm, or with `bias` a LayerNorm."""
    weight = Weight(f"{name}.weight", (width,), "norm")
    return (weight, Weight(f"{name}.bias", (width,), "bias")) if bias else (weight,)


def single(name: str, shape: tuple[int, ...], role: WeightRole = "other") -> Weights:
    return (Weight(name, shape, role),)


class Heads(NamedTuple):
    """Head counts and widths; the query may be gated (twice as wide)."""

    heads: int
    kv_heads: int
    head_dim: int
    qkv_bias: bool = False
    out_bias: bool = False
    qk_norm: Literal["none", "head", "full"] = "none"
    gated_query: bool = False
    fused: bool = False
    prefix: str = "self_attn"
    out_name: str = "o_proj"
    fused_name: str = "qkv_proj"
    shared_value: bool = False


def heads_of(fields: Fields, hidden: int) -> tuple[int, int, int]:
    """(heads, kv_heads, head_dim) with the usual derivations."""
    heads = fields.size("num_attention_heads", "n_head")
    kv_heads = fields.optional("num_key_value_heads") or heads
    given = fields.optional("head_dim")
    if given is None and hidden % heads:
        raise fields.wrong("num_attention_heads", heads, f"a divisor of hidden_size {hidden}")
    if heads % kv_heads:
        raise fields.wrong("num_key_value_heads", kv_heads, f"a divisor of {heads} heads")
    return heads, kv_heads, given or hidden // heads


def attention_weights(hidden: int, part: Heads) -> Weights:
    """Projections of one attention block, query-key norms included."""
    query, key = part.heads * part.head_dim, part.kv_heads * part.head_dim
    where = part.prefix
    if part.fused:
        weights = linear(f"{where}.{part.fused_name}", query + 2 * key, hidden, part.qkv_bias)
    else:
        wide = query * (2 if part.gated_query else 1)
        weights = linear(f"{where}.q_proj", wide, hidden, part.qkv_bias)
        weights += linear(f"{where}.k_proj", key, hidden, part.qkv_bias)
        if not part.shared_value:
            weights += linear(f"{where}.v_proj", key, hidden, part.qkv_bias)
    weights += linear(f"{where}.{part.out_name}", hidden, query, part.out_bias)
    if part.qk_norm != "none":
        full = part.qk_norm == "full"
        weights += norm(f"{where}.q_norm", query if full else part.head_dim)
        weights += norm(f"{where}.k_norm", key if full else part.head_dim)
    return weights


def attention(part: Heads, kind: AttentionKind = "full", window: int | None = None) -> Attention:
    return Attention(
        kind,
        part.heads,
        part.kv_heads,
        part.head_dim,
        part.head_dim,
        None if kind == "full" else window,
        part.qk_norm != "none",
        part.fused,
    )


def gated_weights(
    hidden: int, width: int, prefix: str = "mlp", bias: bool = False, fused: bool = False
) -> Weights:
    """Gate, up and down projection (SwiGLU, GeGLU: arXiv 2002.05202)."""
    if fused:
        weights = linear(f"{prefix}.gate_up_proj", 2 * width, hidden, bias)
    else:
        weights = linear(f"{prefix}.gate_proj", width, hidden, bias)
        weights += linear(f"{prefix}.up_proj", width, hidden, bias)
    return weights + linear(f"{prefix}.down_proj", hidden, width, bias)


def plain_weights(hidden: int, width: int, names: tuple[str, str], bias: bool) -> Weights:
    return linear(names[0], width, hidden, bias) + linear(names[1], hidden, width, bias)


def expert_weights(
    hidden: int,
    experts: int,
    width: int,
    prefix: str,
    gated: bool = True,
    bias: bool = False,
    transposed: bool = False,
) -> Weights:
    """Routed experts as transformers 5 fuses them: (experts, outputs, inputs), or `transposed`."""
    first = "gate_up_proj" if gated else "up_proj"
    wide = 2 * width if gated else width
    shapes = [(experts, wide, hidden), (experts, hidden, width)]
    if transposed:
        shapes = [(count, inputs, outputs) for count, outputs, inputs in shapes]
    weights = single(f"{prefix}.{first}", shapes[0], "experts")
    weights += single(f"{prefix}.down_proj", shapes[1], "experts")
    if bias:
        weights += single(f"{prefix}.{first}_bias", (experts, wide), "bias")
        weights += single(f"{prefix}.down_proj_bias", (experts, hidden), "bias")
    return weights


class Once:
    """Builds each distinct layer once, so that equal layers are one object."""

    def __init__(self) -> None:
        self._built: dict[object, Layer] = {}

    def layer(self, key: object, build: Callable[[], Layer]) -> Layer:
        if key not in self._built:
            self._built[key] = build()
        return self._built[key]
