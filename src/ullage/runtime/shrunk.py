"""A small random model of any decoder's own class: every feature its config turns on, at small sizes.

One table of sizes is laid over a config by the names of its fields, without knowing any family: widths,
heads, experts, ranks and states become small; windows, chunks and original lengths so short that a text of
`TOKENS` tokens is longer than each; one layer is kept of each kind the config lists. Rope types, norms,
multipliers, activations, biases and flags stay as they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeGuard

from ullage.errors import UnsupportedError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel

Values = dict[str, object]

TOKENS: Final = 40
"""A text of this many tokens is longer than every window and original length of a shrunk config."""
WINDOW: Final = 8
ORIGINAL: Final = 16
POSITIONS = HIDDEN = 64
VOCABULARY: Final = 97
HEADS: Final = 4
MOST_LAYERS: Final = 8
MOST_PARAMETERS: Final = 20_000_000
"""A model that stays larger has sizes that are not known here, and is not built."""

_WIDTHS: Final = re.compile(
    r"(attention_|backbone_)?hidden_size(_global)?|d_model|n_embd|emb_dim|((in|out)put_)?embedding_(size|dim)"
    r"|word_embed_proj_dim|lru_width|ple_embed_dim|projection_dim"
)
_SIZES: Final[tuple[tuple[int, str], ...]] = (
    (WINDOW, r"sliding_window|sliding_window_size|attention_window_size|window_size|local_attention"
     r"|rel_extent|attention_chunk_size|keep_window_size|(mamba_)?chunk_size|(index_)?block_size|prompt_length"
     r"|index_topk(_blocks)?"),
    (ORIGINAL, r"original_max_position_embeddings|floor_scale"),
    (POSITIONS, r"max_position_embeddings|n_positions|n_ctx|max_seq_len|seq_length|context_length"
     r"|model_max_length|max_(target|source)_positions|(make_)?ngram_vocab.*|position_bias_max_distance"),
    (VOCABULARY, r".*vocab_size.*"),
    (HIDDEN, r"embd_size|embed_dim|out_hidden_size|(shape|pronunciation)_embed_dim"),
    (96, r".*intermediate.*size.*|.*ffn.*(dim|size)|dim_ff|dff|d_ff|feed_forward_size|n_inner"),
    (4, r"(moe_)?num_(local_|routed_)?experts|n_routed_experts|zero_expert_num|linear_num_(value_)?heads"
     r"|mamba_dt_rank|time_step_rank"),
    (2, r"num_experts_per_tok(en)?|moe_top_?k|moe_k|top_k_experts|experts_per_token|n_group"
     r"|num_expert_group|o_groups|mamba_n_groups|n_groups|linear_num_key_heads"
     r"|(attn|expert)_layer_period|.*_interval|(.*sliding_window|linear_attn)_pattern"
     r"|global_attn_every_n_layers|split_ngram_parts|num_codebooks|heads_per_ngram"),
    (1, r"n_shared_experts|(moe_)?num_shared_experts|topk_group|first_k_dense_replace|num_dense_layers"
     r"|moe_layer_start_index|max_window_layers|num_kv_shared_layers|(attn|expert)_layer_offset"
     r"|decoder_sparse_step|num_nextn_predict_layers|rescale_every"),
    (24, r"q_lora_rank|o_lora_rank|qk_head_dim"),
    (16, r"kv_lora_rank|laurel_rank|gated_norm_rank|hc_lowrank|qk_nope_head_dim|.*d_state|(ssm_)?state_size"
     r"|mamba_(d_head|headdim|head_dim)|linear_(key_|value_)?head_dim|kv_channels|patch_size"
     r"|hidden_size_per_layer_input|index_n_heads|dim_head|attention_head_size"),
    (8, r"qk_rope_head_dim|rotary_dim|d_rel|adapter_rank|mamba_n_heads|mamba_num_heads|n_mamba_heads"),
    (32, r"index_head_dim|image_size|crop_size"),
)  # fmt: skip
_PATTERNS: Final = tuple((re.compile(pattern), size) for size, pattern in _SIZES)
_LAYERS: Final = (
    "num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers", "num_decoder_layers",
    "num_blocks", "num_layers_per_stack",
)  # fmt: skip
_HEADS: Final = (
    "num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads", "attention_heads",
    "num_decoder_attention_heads", "swa_num_attention_heads", "encoder_attention_heads",
)  # fmt: skip
_KV_HEADS: Final = re.compile(r"(swa_)?num_(global_)?(key_value|kv)_heads|kv_n_heads")
_HEAD_DIMS: Final = re.compile(r"(v_|swa_|swa_v_|attention_|global_)?head_dim|d_head|query_pre_attn_scalar")
_DROPPED: Final = (
    "quantization_config", "transformers_version", "dtype", "torch_dtype", "architectures", "auto_map",
    "_name_or_path", "output_attentions", "output_hidden_states", "return_dict",
)  # fmt: skip


def shrink(config: PreTrainedConfig) -> PreTrainedConfig:
    """A config of the same class with small sizes. Raises UnsupportedError where the class refuses them."""
    with _in_its_words(config):
        small = type(config).from_dict(_shrunk(config.to_dict()))
    small._attn_implementation = "eager"
    return small


def build_small(config: PreTrainedConfig, kind: type[PreTrainedModel] | None = None) -> PreTrainedModel:
    """A model of `shrink(config)` in fp32 and eval mode, every weight drawn at random, the same every time.

    `kind` is its class where transformers knows none for causal language models. Norms, biases and
    gates are drawn too, so that no part of a layer is the identity. Raises UnsupportedError, in
    transformers' own words, for a model that cannot be built.
    """
    import torch
    from transformers import AutoModelForCausalLM

    small = shrink(config)
    known = type(small) in AutoModelForCausalLM._model_mapping
    make: Callable[..., PreTrainedModel]
    make = AutoModelForCausalLM.from_config if kind is None or known else kind
    state = torch.get_rng_state()
    try:
        with _in_its_words(config):
            with torch.device("meta"):
                parameters = sum(each.numel() for each in make(small).parameters())
            if parameters > MOST_PARAMETERS:
                raise UnsupportedError(f"its sizes stay large: {parameters:,} parameters")
            torch.manual_seed(0)
            model: PreTrainedModel = make(small).float().eval()
            draw_weights(model)
    finally:
        torch.set_rng_state(state)
    return model


def draw_weights(model: nn.Module) -> None:
    """Gives every parameter a random part of its own; what steers a recurrence stays near where it began."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.is_floating_point():
                continue
            if parameter.ndim < 2:
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
            elif not re.search(r"A_log|dt_|time_|\.D$", name):
                parameter.normal_(std=parameter.shape[-1] ** -0.5)


@contextmanager
def _in_its_words(config: PreTrainedConfig) -> Iterator[None]:
    """Whatever a family's own code raises says why there is no small model of it."""
    try:
        yield
    except Exception as error:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise UnsupportedError(f"{config.model_type}: no small model of it can be made: {said}") from error


def _shrunk(values: Mapping[str, object]) -> Values:
    """The same fields with small sizes; configs within a config each by itself."""
    own = _Own.of(values)
    return {name: _small(name, value, own) for name, value in values.items() if name not in _DROPPED}


@dataclass(frozen=True, slots=True)
class _Own:
    """What the sizes of one config are measured against: its width, heads, layers, and those that stay."""

    values: Mapping[str, object]
    hidden: int
    heads: int
    depth: int
    kept: tuple[int, ...]

    @classmethod
    def of(cls, values: Mapping[str, object]) -> _Own:
        depth = _first(values, _LAYERS)
        hidden = _first(values, ("hidden_size", "d_model", "n_embd", "emb_dim", "hidden_dim"))
        return cls(values, hidden, _first(values, _HEADS), depth, kept_layers(values, depth))

    @property
    def head_dim(self) -> int:
        given = self.values.get("head_dim")
        rope = self.values.get("qk_rope_head_dim")
        if isinstance(given, int) and given != rope:
            return given
        return self.hidden // self.heads if self.heads else 0

    def head(self, size: int) -> int:
        """A head's small width: shares of the hidden size stay shares of it."""
        whole = self.hidden // self.heads if self.heads else 0
        if size == self.values.get("qk_rope_head_dim"):
            return 8
        if size == self.values.get("qk_nope_head_dim") or not whole:
            return HIDDEN // HEADS
        if size == 2 * self.head_dim:
            return 2 * self.head(self.head_dim)
        return HIDDEN // HEADS * (size // whole) if size % whole == 0 else 24

    def kv_heads(self, count: int) -> int:
        """One, as many as there are heads, or half of them."""
        return 1 if count == 1 else HEADS if count >= self.heads else HEADS // 2


def _first(values: Mapping[str, object], names: Sequence[str]) -> int:
    return next((value for name in names if isinstance(value := values.get(name), int)), 0)


def kept_layers(values: Mapping[str, object], depth: int) -> tuple[int, ...]:
    """The first layers of each kind that the lists of a config tell apart, more than one where few do."""
    each = [value for value in values.values() if _is_list_of(value, depth)]
    chosen = [_choice(name, value, depth) for name, value in values.items()]
    kinds: dict[object, list[int]] = {}
    for layer in range(depth):
        kind = (*(repr(value[layer]) for value in each), *(layer in numbers for numbers in chosen))
        kinds.setdefault(kind, []).append(layer)
    most = MOST_LAYERS // 2 if len(kinds) == 1 else max(MOST_LAYERS // 2 // max(len(kinds), 1), 1)
    return tuple(sorted(layer for layers in kinds.values() for layer in layers[:most])[:MOST_LAYERS])


def _is_list_of(value: object, depth: int) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple) and depth > 0 and len(value) == depth


def _choice(name: str, value: object, depth: int) -> tuple[int, ...]:
    """The layers that a list names by their numbers; none where it is something else."""
    if not isinstance(value, list | tuple) or not re.search(r"layers|idxs|layer_ids|indices", name):
        return ()
    numbers = tuple(each for each in value if isinstance(each, int) and not isinstance(each, bool))
    rising = len(numbers) == len(value) > 0 and all(one < other for one, other in pairwise(numbers))
    return numbers if rising and numbers[0] >= 0 and numbers[-1] < depth else ()


def _small(name: str, value: object, own: _Own) -> object:
    if isinstance(value, Mapping):
        return _inner(name, value, own)
    if isinstance(value, list | tuple):
        return _listed(name, value, own)
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return _number(name, value, own)


def _inner(name: str, value: Mapping[str, object], own: _Own) -> object:
    if "rope" in name:
        return {key: _rope(key, each, own) for key, each in value.items()}
    if name in ("id2label", "label2id"):
        return dict(value)
    if name == "per_layer_config":
        of_layers = {int(layer): each for layer, each in value.items()}
        return {
            new: _small("", of_layers[layer], own) for new, layer in enumerate(own.kept) if layer in of_layers
        }
    if name == "compress_rates":
        return {key: min(int(str(each)), WINDOW) for key, each in value.items()}
    inner = _Own.of(value)
    if not inner.hidden:
        inner = _Own.of({**own.values, **value})
    return {key: _small(key, each, inner) for key, each in value.items() if key not in _DROPPED}


def _rope(name: str, value: object, own: _Own) -> object:
    if isinstance(value, Mapping):
        return {key: _rope(key, each, own) for key, each in value.items()}
    if name in ("short_factor", "long_factor") and isinstance(value, list | tuple):
        return list(value[: len(value) * own.head(own.head_dim) // max(own.head_dim, 1)])
    if name == "mrope_section":
        return [3, 3, 2]
    return _small(name, value, own)


def _listed(name: str, value: Sequence[object], own: _Own) -> object:
    chosen = _choice(name, value, own.depth)
    if chosen:
        return [index for index, layer in enumerate(own.kept) if layer in chosen]
    if _is_list_of(value, own.depth):
        return [_small(name, value[layer], own) for layer in own.kept]
    if name == "attention_types":  # GPT-Neo: [[kinds, how often they follow one another]]
        return [[["global", "local"], len(own.kept) // 2]]
    if "token" in name:
        return [_token(name, each) if isinstance(each, int) else each for each in value]
    return [_small(name, each, own) for each in value]


def _number(name: str, value: int, own: _Own) -> int:
    if name in _LAYERS:
        return len(own.kept)
    if value <= 0:
        return value
    if re.search(r"token_?(id|index)$|_index$|(?<!per)_token$", name):
        return _token(name, value)
    if name in _HEADS or name == "num_attention_heads_per_layer":
        return HEADS if value >= own.heads else HEADS // 2
    if _KV_HEADS.fullmatch(name):
        return own.kv_heads(value)
    if _HEAD_DIMS.fullmatch(name):
        return own.head(value)
    if _WIDTHS.fullmatch(name):
        return max(HIDDEN * value // own.hidden, 8) if own.hidden else HIDDEN
    if name == "mamba_d_ssm":
        names = ("mamba_n_heads", "mamba_d_head")
        return math.prod(_number(each, _first(own.values, (each,)), own) for each in names)
    if name.startswith("max_position") and "'dynamic'" in repr(own.values.get("rope_parameters")):
        return ORIGINAL  # beyond it dynamic rope begins
    for pattern, size in _PATTERNS:
        if pattern.fullmatch(name):
            return min(size, value)
    return value


def _token(name: str, value: int) -> int:
    known = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return known.get(name, value if value < VOCABULARY else 3 + value % (VOCABULARY - 3))
