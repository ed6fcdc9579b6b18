"""Where decoder blocks keep the tensors that hook names mean: how modules are called, family after family.

A `Place` is one row's entry: a module of the block, whether it is read as it goes in or comes out, and what
of it is taken. Which of them a family has is not looked up by its name: every place whose module is there is
tried, and counts once the identities of `capture.proof` hold. Source: modeling files of transformers 5.19.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final, Literal, NamedTuple

Take = Literal[
    "whole",
    "heads",
    "gated heads",
    "concatenated",
    "by head",
    "by group",
    "in quarters",
    "latent key",
    "latent value",
    "pattern",
]
"""What of a tensor is taken, and how its last dimension holds heads:

heads         one head after the other
gated heads   of each head its query, then a gate of the same width
concatenated  all queries, all keys, all values
by head       query, key and value of one head after the other
by group      the queries of one group of heads, then their key and value
in quarters   a fourth of the queries, of the values, of the keys; and so on
latent key    the latent of keys and values with the positions' part of keys, shared by all heads; the key of
              each head is made of both
latent value  the same; the value of each head is made of the latent
"""


class Place(NamedTuple):
    """A tensor of one block. `module` is a path below the block ("" is the block), `scale` the name of the
    block's own number that the tensor is multiplied by. `copied` where the block goes on to change it."""

    module: str
    when: Literal["begin", "end"]
    take: Take = "whole"
    scale: str = ""
    copied: bool = False


ATTENTION: Final = (
    "self_attn", "attn", "attention", "self_attention", "attn.attention", "attention.self", "temporal_block",
    "norm_attn_norm.attn", "multi_head_attention", "mixer",
)  # fmt: skip
MIXERS: Final = (
    *ATTENTION, "linear_attn", "mamba", "conv", "short_conv", "norm_attn_norm", "mlstm_layer",
    "self_attention.dense", "attention.output.dense",
)  # fmt: skip
"""What carries content from position to position."""
AFTER_MIXER: Final = (
    "post_attention_layernorm", "post_self_attn_layernorm", "post_norm1", "attn_sconv", "post_attention_norm",
)  # fmt: skip
"""What a mixer's output passes before it is added."""
MIDDLE: Final = (
    "pre_feedforward_layernorm", "pre_mlp_layernorm", "post_attention_layernorm", "ln_2", "final_layer_norm",
    "feedforward_layernorm", "pre_ff_layernorm", "ffn_norm", "channel_pre_norm", "norm_2", "mlp_norm", "ln2",
    "norm2", "norm_attn_norm.norm_2", "post_attention_norm", "layernorm2", "norm_ffn", "LayerNorm", "ln",
    "intermediate.LayerNorm", "mlp", "feed_forward", "ffn",
)  # fmt: skip
"""What reads the stream between the two parts first."""
FEED_FORWARD: Final = (
    "mlp", "feed_forward", "block_sparse_moe", "fc2", "ffn", "mlp_block", "moe", "mixer", "shared_mlp",
    "mlp.dense_4h_to_h", "output.dense", "ffn.down_proj",
)  # fmt: skip
AFTER_FEED_FORWARD: Final = (
    "post_feedforward_layernorm", "post_mlp_layernorm", "post_norm2", "mlp_sconv", "post_mlp_norm",
)  # fmt: skip
SCALES: Final = ("residual_multiplier", "residual_scale")
"""A block's own number that what its parts add is multiplied by."""
QUERY: Final = ("q_proj", "query", "query_proj", "q_b_proj", "Wq")
KEY: Final = ("k_proj", "key", "key_proj", "Wk")
VALUE: Final = ("v_proj", "value", "value_proj", "Wv")
FUSED: Final = ("c_attn", "qkv_proj", "query_key_value", "Wqkv", "qkv")
OUTPUT: Final = ("o_proj", "out_proj", "c_proj", "dense", "Wo")
QUERY_NORMS: Final = ("q_norm", "q_layernorm", "query_layernorm", "q_ln", "qk_norm")
KEY_NORMS: Final = ("k_norm", "k_layernorm", "key_layernorm", "k_ln", "qk_norm")
LOGIT_FACTORS: Final = ("logit_scale", "lm_head_multiplier")
"""Fields of a config that logits are multiplied by (Cohere), divided by (Granite) and capped at (Gemma 2)."""
LOGIT_DIVISORS: Final = ("logits_scaling", "logits_mup_width_multiplier")
LOGIT_CAPS: Final = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
VALUE_NORMS: Final = ("v_norm",)
GATES: Final = ("gate_proj", "g_proj", "q_proj")
"""What gates the mix of values, where something does: a projection of its own, or a part of the queries'."""


def gates() -> Iterator[Place]:
    """Where families keep what gates heads before the output projection."""
    for attention, name in product(ATTENTION, GATES):
        yield Place(f"{attention}.{name}", "end")


def places(hook: str) -> Iterator[Place]:
    """Where families keep what `hook` means inside a block, the more particular before the plainer."""
    if hook == "hook_resid_pre":
        yield Place("", "begin")
    elif hook == "hook_resid_post":
        yield Place("", "end")
    elif hook == "hook_resid_mid":
        yield from (Place(name, "begin") for name in MIDDLE)
    elif hook == "hook_attn_out":
        for scale in (*SCALES, ""):
            yield from (Place(name, "end", scale=scale) for name in (*AFTER_MIXER, *MIXERS))
    elif hook == "hook_mlp_out":
        for scale in (*SCALES, ""):
            yield from (Place(name, "end", scale=scale) for name in (*AFTER_FEED_FORWARD, *FEED_FORWARD))
    else:
        for name in ATTENTION:
            yield from _head_places(name, hook)


def _head_places(attention: str, hook: str) -> Iterator[Place]:
    def below(names: tuple[str, ...], when: Literal["begin", "end"], *takes: Take) -> Iterator[Place]:
        for name, take in product(names, takes):
            yield Place(f"{attention}.{name}", when, take)

    if hook == "attn.hook_pattern":
        yield Place(attention, "end", "pattern")
    elif hook == "attn.hook_z":
        yield from below(OUTPUT, "begin", "heads")
        if attention == "attention.self":
            yield Place("attention.output.dense", "begin", "heads")
    elif hook == "attn.hook_q":
        yield from below(QUERY, "end", "heads", "gated heads")
    elif hook == "attn.hook_k":
        yield from below(KEY, "end", "heads")
        yield from below(("kv_a_proj_with_mqa",), "end", "latent key")
    else:
        yield from below(VALUE, "end", "heads")
        yield from below(("kv_a_proj_with_mqa",), "end", "latent value")
    if hook[-1] in "qkv":
        yield from below(FUSED, "end", "concatenated", "by head", "by group", "in quarters")
