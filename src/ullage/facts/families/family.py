"""All that a family of models is, as one value; `ullage.facts.families.rows` holds one for each.

A field says what transformers' modeling file (5.19) fixes, or names the fields of a config.json that say it.
Where a family has a rule that no other has, its row holds a function. Names of weights are relative to their
block.
"""

# Annotations are not postponed: NamedTuple would compile every one of them at each start.

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

from ullage.facts.architecture import WeightRole
from ullage.facts.families.fields import Fields
from ullage.facts.families.parts import Weights
from ullage.facts.families.recurrences import Recurrence
from ullage.facts.families.switch import Names, Switch
from ullage.facts.flow import Flow

LayerKind = Literal["full", "sliding", "chunked", "linear", "both", "none"]
"""What mixes the positions of a layer: an attention, a recurrence, full attention beside one, or nothing."""
Part = Literal["dense", "sparse", "none"]
"""What is done to each position of a layer by itself."""


class Shape(NamedTuple):
    """What one layer is; equal shapes make equal layers. None: as the config says for all.

    `indexes` False: its attention looks where an earlier layer's indexer chose. `normed` False: its mixer has
    no norm of its own. `reads`: it attends over an earlier layer's keys and values, and has none of its own.
    """

    kind: LayerKind = "full"
    part: Part = "dense"
    kv_heads: int | None = None
    width: int | None = None
    rotates: bool = True
    heads: int | None = None
    indexes: bool = True
    normed: bool = True
    reads: bool = False


class Counts(NamedTuple):
    """Query heads, key-value heads and the width of each, in elements; `value_dim` that of values where it is
    another. `spread`: as `Attention` has it."""

    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int | None = None
    spread: bool = False


KindsRule = Callable[[Fields, int], tuple[LayerKind, ...]]
"""The kind of each of so many layers, where `layer_types` does not list them."""
SparseRule = Callable[[Fields, int], tuple[bool, ...]]
"""Which of so many layers route to experts."""
RotaryRule = Callable[[Fields, tuple[LayerKind, ...]], tuple[bool, ...]]
"""Which layers of these kinds rotate their queries and keys."""
ShapesRule = Callable[[Fields], tuple[Shape, ...]]
ReshapesRule = Callable[[Fields, tuple[Shape, ...]], tuple[Shape, ...]]
"""What else tells layers of these shapes apart."""
HeadsRule = Callable[[Fields, int, Shape], Counts]
"""The heads of a layer of this shape in a model so many elements wide."""
Extras = Callable[[Fields, int], Weights]
"""Weights that only one family has, in a model so many elements wide."""
WindowRule = Callable[[Fields], int | None]
"""How many positions a layer that slides attends to, at most."""


class HeadNorms(NamedTuple):
    """Norms of queries and keys: over one head's width, all heads together (`full`), or each head its own, as
    one parameter (`each`) or a module for each (`apart`). `weighed` False: they have no parameters."""

    over: Literal["head", "full", "each", "apart"] = "head"
    names: tuple[str, str] = ("q_norm", "k_norm")
    weighed: bool = True
    bias: bool = False
    when: Switch = True


class Projections(NamedTuple):
    """Softmax attention. `fused` names the joint projection of queries, keys and values where there is one.

    `out_bias` None: as `bias`. `gated_query`: queries come with a gate as wide. `gate` names a projection to
    what gates the output, an element or (`gate_a_head`) a head each. `sinks` names a parameter with one
    number a head, of sliding layers alone with `sinks_slide`. `value_is_key`: full layers project no values,
    their keys serve as such. Not `causal`: each position attends to those after it too, and nothing is
    cached. `window` is the family's rule where no field says how wide it is, `distances` that of how many
    positions have scores of their own.
    """

    heads: HeadsRule
    where: str = "self_attn"
    names: tuple[str, str, str] = ("q_proj", "k_proj", "v_proj")
    fused: str = ""
    out: str = "o_proj"
    bias: Switch = False
    out_bias: Switch | None = None
    norms: HeadNorms | None = None
    gated_query: bool = False
    gate: str = ""
    gate_a_head: Callable[[Fields], bool] | bool = False
    sinks: str = ""
    sinks_slide: bool = False
    value_is_key: Switch = False
    causal: bool = True
    window: WindowRule | None = None
    distances: Callable[[Fields], int] | None = None


class Latent(NamedTuple):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434), with V3.2's indexer (arXiv 2512.02556)."""

    where: str = "self_attn"
    bias: Switch = "attention_bias"
    indexer: bool = False


class FeedForward(NamedTuple):
    """A dense part: `first` holds gate and up projection (two names, or one that is both), or, not `gated`,
    the one projection before the activation. `width` names its fields; where they are missing and `times`
    is not 0, it is so many times the model's, or as many as a field of that name says. `fitted` makes of it
    what the modeling file builds."""

    first: Names = ("mlp.gate_proj", "mlp.up_proj")
    last: str = "mlp.down_proj"
    gated: bool = True
    bias: Switch = False
    width: Names = ("intermediate_size",)
    times: int | str = 0
    fitted: Callable[[Fields, int], int] | None = None


class Shared(NamedTuple):
    """Experts that every token uses, as one dense part: as wide as its own fields say, or as a routed one
    times the number in the field `times`. `gate` names the projection to one number that weighs it."""

    part: FeedForward
    times: Names = ()
    gate: str = ""


class Routed(NamedTuple):
    """Experts as transformers 5 holds them: one parameter for all first projections, one for all last.

    `transposed`: (experts, inputs, outputs). `router_role`: "linear" where the router is an nn.Linear, of
    which quantizers know. `scales` are further parameters of the router: one number an element of the
    stream, and one an expert. `correction` is a parameter that corrects which experts are chosen: its name,
    and what precedes the experts in its shape. `beside`: the dense part runs in the same layers.
    `narrow`: the router casts its weights to the dtype that layers compute in. `latent`
    names the field with the width that routed experts read and give, and the projections to it and back.
    """

    where: str = "mlp.experts"
    router: str = "mlp.gate"
    router_role: WeightRole = "router"
    bias: bool = False
    router_bias: bool = False
    gated: bool = True
    transposed: bool = False
    shared: Shared | None = None
    beside: bool = False
    narrow: bool = False
    scales: tuple[str, str] | None = None
    correction: tuple[str, tuple[int, ...]] | None = None
    latent: tuple[str, str, str] | None = None
    total: Names = ("num_local_experts", "num_experts", "n_routed_experts")
    active: Names = ("num_experts_per_tok", "experts_per_token")
    width: Names = ("moe_intermediate_size", "intermediate_size")


class Norms(NamedTuple):
    """Norms of the stream that go with the mixer, with the feed-forward part, and with experts beside it.

    `weighed` False: they are without parameters (OLMo).
    """

    mixer: Names = ("input_layernorm",)
    part: Names = ("post_attention_layernorm",)
    experts: Names = ()
    bias: Switch = False
    weighed: Switch = True


class Ends(NamedTuple):
    """What comes before the layers and after them.

    `positions` names learned position embeddings, `position_rows` the fields with their number and
    `more_rows` how many there are besides; `tokens_norm` a norm of the embeddings. `narrow` names the field
    with the embeddings' own width: where it is another than the stream's, a projection leads in and one out.
    `beside`: elements a position that are held for later layers. `ties` False: the output layer is another
    than the embeddings, whatever a config says. `after_padding`: the first position is the one after the
    padding token's number, so that so many fewer are left.
    """

    tokens: str = "embed_tokens"
    tokens_norm: str = ""
    positions: str = ""
    position_rows: Names = ("max_position_embeddings",)
    more_rows: int = 0
    positions_when: Callable[[Fields], bool] | None = None
    narrow: str = ""
    extras: Extras | None = None
    norm: str = "norm"
    norm_when: Switch | Callable[[Fields], bool] = True
    beside: Callable[[Fields], int] | None = None
    head_bias: Switch = False
    ties: bool = True
    after_padding: bool = False


class Family(NamedTuple):
    """One row. `_replace` makes a related family of it.

    `attention` and `recurrence` mix positions, `dense` and `experts` follow. `kinds` says which layers slide,
    are chunked or recur (a list in `layer_types` comes first), `sparse` which route to `experts` (a list in
    `mlp_layer_types` first), `rotates` which have rotary positions where not all do, `indexes` which have an
    indexer of their own where not all do, `shapes` all that at once where it cannot be told apart;
    `reshapes` is what is beyond that; `recurring` are norms and flow of layers that recur, if others.
    `heads_each` names a list of query heads layer by layer. `extras` are weights that only one family has,
    `last` those of the last layer alone; `transposed`: linear weights are (inputs, outputs).

    `flow` is the order of statements; `pre_unless` a field that makes it plain Llama's order where it is
    false, `rms_where` one that makes its norms Llama's where it is set, `full_stream` one that leaves the
    stream in fp32. `flow_open` says what of the flow is
    not held against the real code yet. `local_rotary`: sliding layers have a rotary table of their own.
    `refused` are flags whose structure nobody reads, `needed` flags that the modeling file takes for granted.

    `tasks` makes it a family of encoders: what stands on the layers by what `architectures` says after the
    family's name. `opens_normed`: the first layer's mixer has no norm of its own.
    """

    attention: Projections | Latent | None
    recurrence: Recurrence | None = None
    dense: FeedForward | None = None
    experts: Routed | None = None
    norms: Norms | Callable[[Fields], Norms] = Norms()
    ends: Ends = Ends()
    extras: Extras | None = None
    last: Extras | None = None
    kinds: KindsRule | None = None
    sparse: SparseRule | None = None
    rotates: RotaryRule | None = None
    indexes: SparseRule | None = None
    heads_each: str = ""
    shapes: ShapesRule | None = None
    reshapes: ReshapesRule | None = None
    recurring: tuple[Norms, Flow] | None = None
    transposed: bool = False
    flow: Flow = Flow()
    pre_unless: str = ""
    rms_where: str = ""
    full_stream: Switch = False
    flow_open: str = ""
    local_rotary: bool = False
    refused: Names = ()
    needed: Names = ()
    tasks: Mapping[str, Extras] | None = None
    opens_normed: bool = False


NORMED_TWICE: Final = Norms(
    ("input_layernorm", "post_attention_layernorm"),
    ("pre_feedforward_layernorm", "post_feedforward_layernorm"),
)
"""Inputs and outputs of both parts."""
