"""Which tensors of a running model are kept."""

# Annotations are not postponed here: pydantic and NamedTuple would compile every one of them at each start.

from typing import Annotated, Literal

from pydantic import Field

from ullage.spec.positions import Positions
from ullage.spec.value import Count, Switch, Value

Keep = Literal["device", "host", "disk"]


class Capture(Value):
    """Sites by their TransformerLens names, globs allowed, and what is kept of each.

    `blocks.{l}.hook_resid_post`, `blocks.*.hook_mlp_out`, `blocks.-1.attn.hook_z`: `*` and a
    missing number mean every layer, negative numbers count from the end; `layers` narrows `{l}`.
    """

    role: str | None = Field(default=None, description="the only role when the workload has one")
    sites: tuple[str, ...] = Field(description="hook names, as blocks.{l}.hook_resid_post")
    layers: tuple[Annotated[int, Field(strict=True)], ...] | Literal["all"] = "all"
    positions: Positions = Field(
        default="all", description="of each text: a word, last:k, or a list of positions and [begin, end)"
    )
    span_tokens: Count | None = None
    keep: Keep = "host"
    precision: Literal["compute", "fp32", "fp16", "bf16"] = "compute"
    allow_nan: Switch = Field(default=False, description="NaN and infinite states are kept, and counted")
