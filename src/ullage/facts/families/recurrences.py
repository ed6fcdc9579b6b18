"""Kinds of recurrent mixers, as a family's row states them."""

# Annotations are not postponed: NamedTuple would compile every one of them at each start.

from typing import NamedTuple

from ullage.facts.families.switch import Names, Switch, Unless


class Mamba(NamedTuple):
    """Mamba (arXiv 2312.00752). Its stream is as wide as `width` says, or `expand` times the model's;
    `inner_norms`: the scan's step and both of its projections are normed."""

    where: str = "mixer"
    width: Names = ()
    expand: Names = ("expand", "mamba_expand")
    conv_bias: Switch = Unless("use_conv_bias")
    bias: Switch = "use_bias"
    inner_norms: bool = False


class Mamba2(NamedTuple):
    """Mamba-2 (arXiv 2405.21060), as wide as its heads together; where `width` or `expand` is named, as wide
    as that says, or that many times the model's width, which must be the same. `out_bias` None: as `bias`;
    `normed`: what it gives is normed before its last projection."""

    where: str = "mixer"
    heads: Names = ("mamba_num_heads", "mamba_n_heads")
    head_dim: Names = ("mamba_head_dim", "mamba_d_head")
    width: Names = ()
    expand: Names = ()
    conv_bias: Switch = Unless("use_conv_bias")
    bias: Switch = "use_bias"
    out_bias: Switch | None = None
    normed: Switch = True


class Delta(NamedTuple):
    """A gated delta net (arXiv 2412.06464); `parts` are its input projections and what each yields:
    queries, keys and values (qkv), gates (z), and two numbers a value head (a, b); gates that
    come last are made after the rule. `names` are theirs where
    they are others than in_proj_ with the part's."""

    where: str = "linear_attn"
    parts: Names = ("qkvz", "ba")
    names: Names = ()
    out: str = "out_proj"
    norm: str = "norm"


class ShortConv(NamedTuple):
    """A convolution over a few positions between two gates (LFM2), as wide as the model."""

    where: str = "conv"
    kernel: str = "conv_L_cache"
    bias: Switch = "conv_bias"


class Lightning(NamedTuple):
    """Lightning attention (MiniMax-01, arXiv 2501.08313): a decaying sum of keys times values."""

    where: str = "self_attn"


class ChannelDelta(NamedTuple):
    """A gated delta net that forgets channel by channel (Kimi Linear, arXiv 2510.26692)."""

    where: str = "self_attn"


class GatedUnit(NamedTuple):
    """A real-gated linear recurrent unit beside a gate (Griffin, arXiv 2402.19427)."""

    where: str = "temporal_block"


Recurrence = Mamba | Mamba2 | Delta | ShortConv | Lightning | ChannelDelta | GatedUnit
