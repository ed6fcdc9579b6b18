"""The order of statements in a layer's code: what decides which of its tensors are alive together."""

# Annotations are not postponed here: NamedTuple would compile every one of them at each start.

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, Self


class Flow(NamedTuple):
    """How tensors pass through a layer's code: what decides which of them are alive together.

    `norm` is an RMS norm with fp32 arithmetic (`rms-fp32`: weight product in fp32 too), torch's layer norm or
    one in fp32, written out (`layer-fp32`) or not (`layer-cast`). `order` says what is normed: inputs
    (`pre`), inputs and outputs (`sandwich`), outputs (`post`), or the inputs of attention and feed-forward at
    once (`parallel`). `chained_activation`: it is written out step by step; `squares`: what is activated is
    squared in a step of its own.

    `rotary` is the share of a head that is rotated; with `joins_rotary`, or where that is not all, rotated
    and plain parts are joined anew, with `keeps_parts` all of them live on until attention is done. `rotates`
    says in what: in the `compute` dtype, in fp32 `copies`, with fp32 cosines (`promoted`), or `cast` factor
    by factor; with `rotates_each` by positions of each sequence's own. `positions` are learned position
    embeddings, one for all sequences or `each` its own.

    `keeps_attention`: attention's output lives on beside the feed-forward part; `drops_normed`: what enters
    that part is gone once its first projection has read it. `scales_query`: queries are scaled in a step of
    their own; `one_by_one`: they are rotated before keys are projected. `broadcasts`: fewer keys than
    queries reach torch's attention as they are, which only its plain implementation takes.

    `experts` run on the tokens that chose them, the gate activated (`grouped`) or clamped first and scaled
    (`clamped`), or all on `every` token. `shared_first`: what every token uses comes before the chosen ones.
    """

    norm: Literal["rms", "rms-fp32", "layer", "layer-fp32", "layer-cast"] = "rms"
    order: Literal["pre", "sandwich", "post", "parallel"] = "pre"
    chained_activation: bool = False
    squares: bool = False
    rotary: float = 1.0
    joins_rotary: bool = False
    keeps_parts: bool = False
    rotates: Literal["compute", "copies", "promoted", "cast"] = "compute"
    rotates_each: bool = False
    positions: Literal["none", "shared", "each"] = "none"
    keeps_attention: bool = False
    drops_normed: bool = False
    scales_query: bool = False
    one_by_one: bool = False
    soft_capped: bool = False
    broadcasts: bool = False
    experts: Literal["grouped", "clamped", "every"] = "grouped"
    shared_first: bool = False

    def with_(self, changes: Mapping[str, object]) -> Self:
        """With these fields set, as a family's row gives them."""
        return self._replace(**changes)  # type: ignore[arg-type]


PLAIN: Final = Flow()
"""A Llama's."""
