"""The workload: everything one file says."""

# Annotations are not postponed here: pydantic and NamedTuple would compile every one of them at each start.

from typing import Annotated, Final, Literal

from pydantic import Field

from ullage.shown import named
from ullage.spec.budget import Budget
from ullage.spec.capture import Capture
from ullage.spec.card import Card
from ullage.spec.partition import Partition
from ullage.spec.probe import Probe
from ullage.spec.role import Role
from ullage.spec.section import Section
from ullage.spec.training import Training
from ullage.spec.value import Count, Schedule, Switch, Tokens, Value

ONE_MODEL: Final = "estimate"
"""What stands for the kind of a workload that no file can hold: one model without a task."""
Fidelity = Literal["auto", "formula", "traced"]
"""How it is known what a pass takes: by formulas, by traces of the models' own code, or by formulas unless
traces have shown them to be off."""
SERVED: Final = "serve"
"""The kind of roles that are served, whatever kind their file is of."""


class Memory(Value):
    """Memory settings under the names extraction users know. Chunks are in tokens, the threshold is a share
    of a device."""

    precision_mode: Literal["auto", "fp32", "fp16", "bf16"] | None = None
    streaming_chunk_size: Count | None = Field(None, description="prefill in chunks of this many tokens")
    activation_cache_filter: tuple[str, ...] | None = Field(
        default=None,
        description="short form of one capture: these site patterns, all positions; empty is every site",
    )
    memory_warning_threshold: Annotated[float, Field(strict=True, gt=0, le=1)] = 0.85
    enable_gradient_checkpointing: Switch = False
    expandable_segments: Switch = False
    fidelity: Fidelity = Field(
        default="auto",
        description="how it is known what passes take: formula, traced, or auto: formula where it is proven",
    )


class Workload(Value):
    """One workload file. `section` is the kind's own part, parsed by the kind."""

    ullage: Literal[1] = 1
    kind: str = Field(description="what is to be done")
    name: str = ""
    roles: dict[str, Role] = Field(description="each role's name and its model")
    batch: Count = 1
    prompt_tokens: Tokens = 1024
    new_tokens: Tokens = 128
    examples: Count = Field(default=1000, description="how many examples the workload has")
    schedule: Schedule = Field(default="auto", description="where idle roles are whose own residency is auto")
    captures: tuple[Capture, ...] = ()
    probes: dict[str, Probe] = Field(default={}, description="directions read while a role speaks, by name")
    memory: Memory = Memory()
    training: Training | None = None
    partition: Partition | None = Field(
        default=None, description="the input is done in partitions, here or on a cluster"
    )
    budget: Budget = Budget()
    cards: dict[str, Card] = Field(default={}, description="cards of your own, by name, for budget.gpus")
    section: Annotated[Section | None, Field(exclude=True)] = None

    def __hash__(self) -> int:
        """Of the fields that candidates differ in: plans are asked for by the thousand."""
        return hash((self.batch, self.prompt_tokens, self.schedule, *self.roles.values()))

    def __repr__(self) -> str:
        roles = ", ".join(f"{name} {named(role.model)}" for name, role in list(self.roles.items())[:8])
        more = f" and {len(self.roles) - 8} more" if len(self.roles) > 8 else ""
        return f"<Workload {named(self.name)} of kind {self.kind}: {roles}{more}>"

    __str__ = __repr__
