"""What a model is made of, layer by layer: the one description every formula sums over.

An `Architecture` never holds tensor data. Layers that are equal share one `Layer` object, so that a
per-layer result can be cached by identity.
"""

# Annotations are not postponed here: pydantic and NamedTuple would compile every one of them at each start.

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from ullage.facts.diffusion import Pipeline
from ullage.facts.flow import PLAIN, Flow

if TYPE_CHECKING:
    from ullage.facts.adapter import Adapter
    from ullage.facts.checkpoint import Checkpoint
    from ullage.facts.vision import Vision

WeightRole = Literal[
    "linear",  # the weight of an nn.Linear (or GPT-2's Conv1D): what quantizers replace
    "experts",  # fused routed experts, (experts, ...): a parameter, not an nn.Linear
    "embedding",
    "head",
    "router",
    "norm",
    "bias",
    "conv",
    "other",
]
AttentionKind = Literal["full", "sliding", "chunked"]
Gives = Literal["tokens", "states", "labels"]
"""What a pass over a text yields."""
RecurrentKind = Literal[
    "mamba1", "mamba2", "gated_delta", "short_conv", "lightning", "gated_unit", "channel_delta"
]


class Weight(NamedTuple):
    """One stored tensor. `name` is relative to its block, e.g. `self_attn.q_proj.weight`."""

    name: str
    shape: tuple[int, ...]
    role: WeightRole

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def routed(self) -> bool:
        """Whether it belongs to routed experts, of which a token uses only some."""
        return self.role == "experts" or ".experts." in self.name


class Attention(NamedTuple):
    """Softmax attention that caches keys and values.

    `head_dim` is the width of a query/key head, `value_dim` of a value head, in elements.
    `window` (tokens) bounds sliding and chunked attention; None for full.
    `stores_kv` is False where the layer reuses another layer's cache (Gemma 3n), or there is none. `gate` are
    the elements a position of what gates its output. Not `causal`: each position attends to those after it
    too. `distances` is how many of them, each way, have scores of their own (DeBERTa's disentangled
    attention, arXiv 2006.03654). `spread`: keys and values are copied for every query's head before a cache
    of transformers takes them (Falcon-40B's decoder).
    """

    kind: AttentionKind
    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int
    window: int | None = None
    qk_norm: bool = False
    fused_qkv: bool = False
    stores_kv: bool = True
    gate: int = 0
    causal: bool = True
    distances: int = 0
    spread: bool = False


class LatentAttention(NamedTuple):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434). Widths in elements.

    `indexer_dim` is the per-token key width of a sparse-attention indexer, 0 without one; `indexer_heads` its
    heads, `chosen` the positions it picks for each, `q_rank` the width of the queries' latent that it reads.
    """

    heads: int
    kv_rank: int
    rope_dim: int
    nope_dim: int
    value_dim: int
    indexer_dim: int = 0
    indexer_heads: int = 0
    chosen: int = 0
    q_rank: int = 0


class Recurrent(NamedTuple):
    """A mixer with a state of fixed size per sequence (Mamba, Mamba-2, gated delta net).

    `conv_elements` and `state_elements` are per sequence; `state_bytes` is the state's element size.
    `projected` is the width of the input projection per token, `kept` of what lives on of it, `channels` of
    what is convolved, `inner` of the mixed stream. A state has `state` elements for each channel of `inner`;
    `value_heads` share keys (B and C), which `repeats` says are copied for each. `chunk` positions are
    scanned at once, 0 one after the other; `rank` is the width of Mamba's time steps before projection.
    """

    kind: RecurrentKind
    inner: int
    projected: int
    conv_elements: int
    state_elements: int
    state_bytes: int = 4
    kept: int = 0
    channels: int = 0
    state: int = 0
    value_heads: int = 0
    chunk: int = 0
    rank: int = 0
    repeats: bool = False


class Dense(NamedTuple):
    """A dense feed-forward block; `gated` has gate and up projections (SwiGLU, GeGLU)."""

    intermediate: int
    gated: bool
    fused: bool = False


@dataclass(frozen=True, slots=True)
class Experts:
    """A mixture of `count` experts of which each token uses `active`, plus shared ones (`shared_fused`: with
    one first projection). Routed ones read and give `latent` elements a position where that is not 0, else as
    many as the stream has. `narrow`: what weighs their results is cast to the dtype that is computed in."""

    count: int
    active: int
    intermediate: int
    gated: bool
    shared_intermediate: int = 0
    shared_fused: bool = False
    latent: int = 0
    narrow: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One block: a mixer, a feed-forward part (either may be None) and all its weights. `beside` is a
    recurrence that reads what the mixer reads; both results are added."""

    mixer: Attention | LatentAttention | Recurrent | None
    feed_forward: Dense | Experts | None
    weights: tuple[Weight, ...]
    flow: Flow = PLAIN
    beside: Recurrent | None = None

    @property
    def recurrent(self) -> Recurrent | None:
        """What keeps a state here, if anything does."""
        return self.mixer if isinstance(self.mixer, Recurrent) else self.beside

    @property
    def elements(self) -> int:
        return sum(weight.elements for weight in self.weights)


class StoredQuantization(NamedTuple):
    """How a checkpoint is quantized, from `quantization_config`.

    `method` is gptq, awq, fp8, mxfp4, compressed-tensors or bitsandbytes; `group` the elements that
    share a scale (0: one per output row); `skipped` module names that stay 16-bit.
    """

    method: str
    bits: int
    group: int = 0
    skipped: tuple[str, ...] = ()
    double: bool = False


@dataclass(frozen=True, eq=False)
class Architecture:
    """One transformer-like language model, with its vision tower where it has one.

    `embeddings`, `final` and `head` are the weights outside the layers; `head` is empty where the
    output layer is tied to the token embedding. `dtype` is the stored one (`bfloat16`, ...).
    `rotary_positions` are the rows of all rotary tables an engine would precompute; `beside` are elements a
    position that the forward pass holds beside the stream, for layers to come; `rope` is the kind of scaling
    that stretches its positions, empty where none does; `adapter` is what stands beside its weights. An
    encoder `gives` no tokens: the states of its input, or a score for each of its `labels`; what stands on
    its layers is in `final`.
    `flow_open` says what of the layers' code their temporaries were not held against; "" where they were.
    `counted` says whose code counted its weights where no row describes its family: nothing else is known of
    its layers then.
    """

    name: str
    model_type: str
    hidden_size: int
    vocab_size: int
    max_positions: int | None
    layers: tuple[Layer, ...]
    embeddings: tuple[Weight, ...]
    final: tuple[Weight, ...]
    head: tuple[Weight, ...]
    dtype: str
    source: str
    vision: "Vision | None" = None
    quantization: StoredQuantization | None = None
    checkpoint: "Checkpoint | None" = None
    published_parameters: int | None = None
    rotary_positions: int = 0
    beside: int = 0
    rope: str = ""
    adapter: "Adapter | None" = None
    flow_open: str = ""
    counted: str = ""
    gives: Gives = "tokens"
    labels: tuple[str, ...] = ()

    @property
    def encodes(self) -> bool:
        """Whether it reads a text as a whole and writes none."""
        return self.gives != "tokens"

    @property
    def tied(self) -> bool:
        """Whether the output layer shares the token embedding."""
        return not self.head and not self.encodes

    @cached_property
    def parameters(self) -> int:
        """Stored parameters: tied tensors once, buffers not counted."""
        return sum(self.parameters_by_component.values())

    @cached_property
    def parameters_by_component(self) -> dict[str, int]:
        """Parameters of embedding, layers, routed experts, norm, head, vision, adapter."""
        weights = {
            "vision": self.vision.weights if self.vision is not None else (),
            "embedding": self.embeddings,
            "layers": [w for layer in self.layers for w in layer.weights if not w.routed],
            "routed_experts": [w for layer in self.layers for w in layer.weights if w.routed],
            "norm": self.final,
            "lm_head": self.head,
        }
        groups = {group: sum(weight.elements for weight in held) for group, held in weights.items()}
        if self.adapter is not None:
            groups["adapter"] = self.adapter.elements
        return {group: count for group, count in groups.items() if count}

    @cached_property
    def active_parameters(self) -> int:
        """Parameters one token passes through: routed experts by the share that is active."""
        idle = 0
        for layer in self.layers:
            if isinstance(layer.feed_forward, Experts):
                moe = layer.feed_forward
                routed = sum(w.elements for w in layer.weights if w.routed)
                idle += routed - routed * moe.active // moe.count
        return self.parameters - idle


Model = Architecture | Pipeline
