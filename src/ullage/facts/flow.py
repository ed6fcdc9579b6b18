"""The order of statements in a layer's code: what decides which of its tensors are alive together."""

# Annotations are not postponed here: NamedTuple would compile every one of them at each start.

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, Self

Scores = Literal[
    "library", "full", "promoted", "kept", "narrow", "added", "less", "sunk", "biased", "disentangled"
]
"""Who makes scores of attention, and how."""


class Flow(NamedTuple):
    """How tensors pass through a layer's code: what decides which of them are alive together.

    `norm` is an RMS norm with fp32 arithmetic (`rms-fp32`: weight product in fp32 too; `rms-bare`: without
    one), torch's layer norm or one in fp32, written out (`layer-fp32`) or not (`layer-cast`). `order` says
    what is normed: inputs (`pre`), inputs and outputs (`sandwich`), outputs (`post`), what an output and the
    stream add up to (`added`), or the inputs of attention and feed-forward at once (`parallel`).

    `rotary` is the share of a head that is rotated; with `joins_rotary`, or where that is not all, rotated
    and plain parts are joined anew: one after the other, with `joins_both` before the parts of either are
    gone, with `keeps_parts` all of them live on until attention is done. `rotates` says in what: in the
    `compute` dtype, in fp32 `copies`, with fp32 cosines (`promoted`), `cast` factor by factor, or in fp32
    with a copy of each factor's own (`apart`); with `rotates_each` by positions of each sequence's own.
    `positions` are learned position embeddings, one for all sequences or `each` its own.

    `full_stream`: the stream is in fp32, whatever layers compute in. `adds_normed`: what a part gives is
    added to what it read, not to what was there before the norm.

    `keeps_attention`: attention's output lives on beside the feed-forward part, `keeps_normed`: what entered
    attention too; `drops_normed`: what enters that part is gone once its first projection has read it.
    `norms_last`: what enters the last projection of either part is normed. `activation` is written with so
    many tensors beside its input at its fullest moment, and so many bytes an element of conditions.

    `scales_query`: queries are scaled in a step of their own; `one_by_one`: they are rotated before keys are
    projected. `after_rotary`: queries and keys are normed, or queries scaled, once they are rotated.
    `broadcasts`: fewer keys than queries reach torch's attention as they are, which only its plain
    implementation takes.

    `scores` are left to transformers' functions (`library`), or written out: in fp32 (`full`), made fp32 by
    what is added (`promoted`), each step living on (`kept`), in the compute dtype throughout (`narrow`),
    there with zeros that they are added to (`added`) or less their largest, sinks among them (`less`), or
    with sinks that scale a head's result (`sunk`); with those of distances from one table (`biased`) or of
    their own content (`disentangled`), each living on.
    `biases` are linear in the distance of positions (ALiBi, arXiv 2108.12409), for `each` sequence or from
    one `table`. `passes_weights`: the model holds a layer's attention weights until the next layer is done.
    `makes_mask`: it holds an fp32 mask of ones where it is given none. `differential`: attention is called
    for each half of the values, and a part of the second result taken from the first (arXiv 2410.05258).

    What gates attention's output is `gated` `first`, with the queries, or `last`, once there is an output.

    `softmax` of the library's eager scores is in fp32 or in the compute dtype. `outlives`: what the last
    projection reads lives on until its output is normed, in the feed-forward `part` alone or in `both`.

    `pairs`: what is rotated of a latent's queries and keys are neighbours. A `router` is of softmax in fp32
    (whether its chances are cast to the compute dtype is `narrow` of the experts), or of sigmoid in fp32
    throughout; "" is another.

    `experts` run on the tokens that chose them, the gate activated (`grouped`) or clamped first and scaled
    (`clamped` with a bias, `scaled` without one, dense parts too), or all on `every` token. `shared_first`:
    what every token uses comes before the chosen ones.
    """

    norm: Literal["rms", "rms-fp32", "rms-bare", "layer", "layer-fp32", "layer-cast"] = "rms"
    order: Literal["pre", "sandwich", "post", "added", "parallel"] = "pre"
    activation: tuple[int, int] = (1, 0)
    rotary: float = 1.0
    joins_rotary: bool = False
    joins_both: bool = False
    keeps_parts: bool = False
    rotates: Literal["compute", "copies", "promoted", "cast", "apart"] = "compute"
    rotates_each: bool = False
    positions: Literal["none", "shared", "each"] = "none"
    full_stream: bool = False
    adds_normed: bool = False
    keeps_attention: bool = False
    keeps_normed: bool = False
    drops_normed: bool = False
    norms_last: bool = False
    scales_query: bool = False
    one_by_one: bool = False
    after_rotary: Literal["", "norms", "scales"] = ""
    soft_capped: bool = False
    scores: Scores = "library"
    biases: Literal["none", "each", "table"] = "none"
    passes_weights: bool = False
    makes_mask: bool = False
    differential: bool = False
    broadcasts: bool = False
    softmax: Literal["fp32", "compute"] = "fp32"
    outlives: Literal["none", "part", "both"] = "none"
    gated: Literal["first", "last"] = "first"
    experts: Literal["grouped", "clamped", "scaled", "every"] = "grouped"
    shared_first: bool = False
    pairs: bool = False
    router: Literal["", "softmax", "sigmoid"] = ""

    def with_(self, changes: Mapping[str, object]) -> Self:
        """With these fields set, as a family's row gives them."""
        return self._replace(**changes)  # type: ignore[arg-type]


PLAIN: Final = Flow()
"""A Llama's."""
