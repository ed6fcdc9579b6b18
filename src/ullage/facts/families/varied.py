"""Rules that one family alone has: Gemma 4's layers' own inputs, Falcon's norms, layers named one by one."""

from __future__ import annotations

from typing import Final

from ullage.errors import FormatError
from ullage.facts.families.family import LayerKind, Norms, Part, Shape
from ullage.facts.families.fields import LARGEST_DEPTH, Fields
from ullage.facts.families.parts import Weights, linear, norm, single


def gemma4_embeddings(fields: Fields, hidden: int) -> Weights:
    """Embeddings of each layer's own, where there are any."""
    per_layer = fields.count("hidden_size_per_layer_input")
    if not per_layer:
        return ()
    wide = per_layer * fields.depth()
    rows = fields.size("vocab_size_per_layer_input", "vocab_size")
    weights = single("embed_tokens_per_layer.weight", (rows, wide), "embedding")
    weights += linear("per_layer_model_projection", wide, hidden)
    return weights + norm("per_layer_projection_norm", per_layer)


def gemma4_inputs(fields: Fields) -> int:
    """What all layers will read of them."""
    return fields.count("hidden_size_per_layer_input") * fields.depth()


def gemma4_layer(fields: Fields, hidden: int) -> Weights:
    """How a layer reads them."""
    per_layer = fields.count("hidden_size_per_layer_input")
    if not per_layer:
        return ()
    weights = linear("per_layer_input_gate", per_layer, hidden)
    weights += linear("per_layer_projection", hidden, per_layer)
    return weights + norm("post_per_layer_input_norm", hidden)


def with_xielu(fields: Fields, hidden: int) -> Weights:
    """Apertus (arXiv 2509.14233): its activation learns two numbers a layer."""
    if fields.raw("hidden_act") != "xielu":
        return ()
    return single("mlp.act_fn.alpha_p", (1,)) + single("mlp.act_fn.alpha_n", (1,))


def with_sub_norms(fields: Fields, hidden: int) -> Weights:
    """BitNet: what enters the last projection of either part is normed."""
    return norm("self_attn.attn_sub_norm", hidden) + norm(
        "mlp.ffn_sub_norm", fields.size("intermediate_size")
    )


def with_lambdas(fields: Fields, hidden: int) -> Weights:
    """Differential attention (arXiv 2410.05258): what the second of two softmaxes is weighed by."""
    width = fields.optional("head_dim") or hidden // fields.heads()
    names = ("lambda_q1", "lambda_k1", "lambda_q2", "lambda_k2")
    return tuple(weight for name in names for weight in single(f"self_attn.{name}", (width,)))


def dense_bias(fields: Fields, hidden: int) -> Weights:
    """GPT-NeoX Japanese: what its last attention adds."""
    return single("attention.dense_bias", (hidden,))


def stablelm_norms(fields: Fields) -> Norms:
    """One norm where both parts read the layer's input at once."""
    return Norms(part=(), bias=True) if fields.flag("use_parallel_residual") else Norms(bias=True)


def peri_norms(fields: Fields) -> Norms:
    """HyperCLOVA X: outputs are normed too, unless the config says not."""
    if not fields.flag("use_post_norm"):
        return Norms()
    return Norms(("input_layernorm", "post_norm1"), ("post_attention_layernorm", "post_norm2"))


def gemma4_sharing(fields: Fields, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """The last `num_kv_shared_layers` read keys and values of the last earlier layer of their kind, and may
    have a dense part twice as wide."""
    shared = fields.count("num_kv_shared_layers")
    if not shared:
        return shapes
    first = len(shapes) - shared
    if first <= 0 or {shape.kind for shape in shapes[first:]} - {shape.kind for shape in shapes[:first]}:
        raise fields.wrong("num_kv_shared_layers", shared, "so few that a layer of each kind comes before")
    wide = fields.flag("use_double_wide_mlp")
    width = 2 * fields.size("intermediate_size") if wide else None
    return shapes[:first] + tuple(shape._replace(reads=True, width=width) for shape in shapes[first:])


def halved(fields: Fields, width: int) -> int:
    """RecurrentGemma's config counts gate and up projection."""
    return width // 2


def lfm2_width(fields: Fields, width: int) -> int:
    """LFM2: two thirds, times a factor, rounded up."""
    width = fields.optional("block_ff_dim") or width
    if fields.raw("block_auto_adjust_ff_dim") is False:
        return width
    width = int(2 * width / 3)
    factor = fields.raw("block_ffn_dim_multiplier")
    if factor is None:
        return width
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor <= 1024:
        raise fields.wrong("block_ffn_dim_multiplier", factor, "a number between 0 and 1024")
    step = fields.size("block_multiple_of")
    return -(-int(factor * width) // step) * step


def falcon_norms(fields: Fields) -> Norms:
    """One norm for both parts, one for each, or (Falcon-40B) one for each under names of their own."""
    one = Norms(part=(), bias=True)
    if fields.flag("new_decoder_architecture"):
        if fields.optional("num_ln_in_parallel_attn") == 1:
            return one
        return Norms(("ln_attn",), ("ln_mlp",), bias=True)
    return one if fields.flag("parallel_attn") else Norms(bias=True)


def opt_norm(fields: Fields) -> bool:
    """Whether OPT norms what leaves its layers: not OPT-350m, nor older models that were tuned."""
    return fields.raw("do_layer_norm_before") is not False and not fields.flag("_remove_final_layer_norm")


_LETTERS: Final[dict[str, Shape]] = {
    "M": Shape("linear", "none"),
    "*": Shape("full", "none"),
    "-": Shape("none", "dense"),
    "E": Shape("none", "sparse"),
}
_NAMES: Final = {
    "linear_attention": "M",
    "mamba": "M",
    "full_attention": "*",
    "attention": "*",
    "mlp": "-",
    "moe": "E",
}


def one_part_each(fields: Fields) -> tuple[Shape, ...]:
    """Nemotron-H (arXiv 2504.03624): each layer is one part alone, named by a pattern or a list."""
    pattern = fields.raw("hybrid_override_pattern")
    if isinstance(pattern, str):
        if set(pattern) - set(_LETTERS):
            raise fields.wrong("hybrid_override_pattern", pattern, "made of M, -, * and E")
    else:
        names = fields.names("layer_types", "layers_block_type")
        if names is None or not set(names) <= set(_NAMES):
            raise fields.wrong("layers_block_type", names, f"names among {list(_NAMES)}")
        pattern = "".join(_NAMES[name] for name in names)
    if len(pattern) > LARGEST_DEPTH:
        raise fields.wrong("layers_block_type", len(pattern), f"at most {LARGEST_DEPTH} layers")
    return tuple(_LETTERS[letter] for letter in pattern)


def blocks(fields: Fields) -> tuple[Shape, ...]:
    """Nemotron-NAS (Puzzle, arXiv 2411.19146): each block has its own heads and width, or none."""
    heads, hidden = fields.size("num_attention_heads"), fields.size("hidden_size")
    kv_heads = fields.numbers("num_key_value_heads_per_layer")
    widths = fields.numbers("intermediate_size_per_layer")
    if kv_heads is not None and widths is not None:
        return tuple(_block(*each) for each in zip(kv_heads, widths, strict=True))
    configs = fields.raw("block_configs")
    if not isinstance(configs, list):
        raise fields.wrong("block_configs", configs, "a list with attention and ffn per layer")
    found = []
    for number, config in enumerate(configs):
        try:
            attends, forward = config["attention"], config["ffn"]
            for part in (attends, forward):
                if part.get("replace_with_linear"):
                    raise FormatError(
                        f"{fields.model}: block_configs[{number}] replaces a part by a linear "
                        "layer, which is not interpreted"
                    )
            kv = 0 if attends.get("no_op") else heads // int(attends["n_heads_in_group"])
            multiple = 2 * float(forward["ffn_mult"]) * hidden / 3 if not forward.get("no_op") else 0
        except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
            raise FormatError(f"{fields.model}: block_configs[{number}] lacks or mistypes {error}") from error
        found.append(_block(kv, -(-int(multiple) // 256) * 256))
    return tuple(found)


def _block(kv_heads: int, width: int) -> Shape:
    kind: LayerKind = "full" if kv_heads else "none"
    part: Part = "dense" if width else "none"
    return Shape(kind, part, kv_heads or None, width or None)
