"""Queries, keys and values of single heads, out of what projections give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ullage.errors import UnsupportedError
from ullage.facts.families.places import Take

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig

Split = Callable[["Tensor"], "Tensor"]

_HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head")
_GROUPS = ("num_key_value_heads", "num_kv_heads", "kv_n_heads")
_WIDTHS = (
    "qk_head_dim",
    "head_dim",
    "attn_head_size",
    "attention_head_size",
    "head_size",
    "hidden_size_per_attention_head",
)


@dataclass(frozen=True, slots=True)
class HeadSizes:
    """Heads of one attention module, those that share a key and value, and the widths of a head's query
    and value."""

    heads: int
    groups: int
    width: int
    value_width: int

    @classmethod
    def of(cls, attention: nn.Module, config: PreTrainedConfig) -> HeadSizes:
        heads = _number(_HEADS, attention) or _number(_HEADS, config) or 1
        hidden = getattr(config, "hidden_size", 0)
        width = _number(_WIDTHS, attention) or _number(_WIDTHS, config) or hidden // heads
        groups = _number(_GROUPS, attention) or _number(_GROUPS, config) or heads
        return cls(heads, groups, width, _number(("v_head_dim",), attention) or width)


def _number(names: tuple[str, ...], of: object) -> int:
    found = (getattr(of, name, None) for name in names)
    return next((each for each in found if isinstance(each, int) and each), 0)


def split_heads(take: Take, letter: str, attention: nn.Module, sizes: HeadSizes) -> Split:
    """(batch, tokens, all) -> (batch, tokens, heads, width) of what `take` names; `letter` is q, k, v or
    z."""
    width = sizes.value_width if letter in "vz" else sizes.width
    if take == "heads":
        return lambda tensor: _wide_heads(tensor, width)
    if take == "gated heads":
        return lambda tensor: _wide_heads(tensor, 2 * width)[..., :width]
    if take in ("latent key", "latent value"):
        return _latent(attention, sizes, letter)
    at = "qkv".index(letter)
    if take == "by head":
        return lambda tensor: _wide_heads(tensor, 3 * width)[..., at * width : (at + 1) * width]
    if take == "by group":
        return lambda tensor: _of_group(tensor.unflatten(-1, (sizes.groups, -1, width)), letter)
    if take == "in quarters":
        return lambda tensor: _of_quarters(tensor, letter, width)
    assert take == "concatenated", take
    return lambda tensor: _of_all(tensor, at, sizes)


def _wide_heads(tensor: Tensor, width: int) -> Tensor:
    heads: Tensor = tensor.unflatten(-1, (-1, width))
    return heads


def _of_all(tensor: Tensor, at: int, sizes: HeadSizes) -> Tensor:
    queries = sizes.heads * sizes.width
    rest = (tensor.shape[-1] - queries) // 2
    begin, size = ((0, queries), (queries, rest), (queries + rest, rest))[at]
    return _wide_heads(tensor[..., begin : begin + size], sizes.width)


def _of_group(tensor: Tensor, letter: str) -> Tensor:
    if letter == "q":
        return tensor[..., :-2, :].flatten(-3, -2)
    return tensor[..., -2 if letter == "k" else -1, :]


def _of_quarters(tensor: Tensor, letter: str, width: int) -> Tensor:
    parts = tensor.unflatten(-1, (4, 3, -1))
    return _wide_heads(parts[..., "qvk".index(letter), :].flatten(-2), width)


def _latent(attention: nn.Module, sizes: HeadSizes, letter: str) -> Split:
    """Keys or values of latent attention: up from the latent, with the key's part with positions beside
    it."""
    norm, up = getattr(attention, "kv_a_layernorm", None), getattr(attention, "kv_b_proj", None)
    rank = _number(("kv_lora_rank",), attention)
    if norm is None or up is None or not rank:
        raise UnsupportedError("no latent from which keys are made")

    def made(tensor: Tensor) -> Tensor:
        import torch

        latent, placed = tensor[..., :rank], tensor[..., rank:]
        # `forward` and not a call: what listens at these modules must not hear them twice.
        plain: Tensor = up.forward(norm.forward(latent)).unflatten(-1, (sizes.heads, -1))
        if letter == "v":
            return plain[..., -sizes.value_width :]
        plain = plain[..., : sizes.width - placed.shape[-1]]
        return torch.cat([plain, placed.unsqueeze(-2).expand(*plain.shape[:-1], -1)], dim=-1)

    return made
