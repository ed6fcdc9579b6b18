"""A span of time with a fixed set of resident roles and one thing running."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from ullage.spec.capture import Capture
from ullage.spec.fitting import Fitting
from ullage.spec.role import Role
from ullage.spec.training import Training

Activity = Literal["load", "prefill", "decode", "train", "update", "backward", "denoise", "serve"]
TRAINING: Final = ("train", "update")
"""The spans of a training step: forward and back, and the optimizer's own."""
LogitsKept = Literal["none", "last", "all"]
Where = Literal["device", "host", "disk"]


class Resident(NamedTuple):
    """A role that holds memory during a phase; `where` its weights are at that time.

    `cached_tokens` of each of `cached_batch` sequences stay in its key-value cache although it is
    not the one running (a shared prefix, a paused conversation).
    """

    name: str
    role: Role
    where: Where = "device"
    cached_batch: int = 0
    cached_tokens: int = 0


class Probed(NamedTuple):
    """A probe that reads the running role: its `sites`, each `hidden` wide, make `columns` values a token."""

    name: str
    sites: tuple[str, ...]
    hidden: int
    columns: int


@dataclass(frozen=True)
class Work:
    """What the running role does once: `passes` of these make one example of the workload.

    `prompt_tokens` are new in this phase; `cached_tokens` precede them in the cache (a shared
    prefix). `chunk_tokens` bounds one forward pass of a chunked prefill. `images` is per sequence.
    `examples` is how many the workload has, for what is written to disk. Without `caches` keys and
    values are gone after each layer, unless a chunked prefill must carry them. `shard_bytes` of captures
    are gathered in host memory before they are written. `numpy_files` says that they are written as .npy.
    `reentrant` is torch's way of checkpointing layers in a backward pass. What is `probed` has its every
    token read, the last one too. After a `fitting` has read its dialogues, a probe is fitted to them.
    """

    activity: Activity
    batch: int = 1
    prompt_tokens: int = 0
    new_tokens: int = 0
    cached_tokens: int = 0
    chunk_tokens: int | None = None
    logits: LogitsKept = "last"
    captures: tuple[Capture, ...] = ()
    images: int = 0
    image_size: tuple[int, int] = (1024, 1024)
    steps: int = 1
    passes: float = 1.0
    examples: int = 0
    training: Training | None = None
    gradient_checkpointing: bool = False
    reentrant: bool = True
    expandable_segments: bool = False
    caches: bool = True
    shard_bytes: int = 0
    numpy_files: bool = False
    probed: tuple[Probed, ...] = ()
    fitting: Fitting | None = None

    def __hash__(self) -> int:
        """Of the fields that candidates differ in: plans are asked for by the thousand."""
        return hash((self.activity, self.batch, self.prompt_tokens, self.cached_tokens, self.passes))

    @property
    def read_back(self) -> int:
        """New tokens that are read, and so cached and captured: the last one written only by probes."""
        return max(self.new_tokens - (not self.probed), 0)

    def but(self, **fields: Any) -> Work:
        """This work with other values of some fields: `dataclasses.replace`, at a tenth of its price, for
        plans are laid out by the thousand."""
        assert fields.keys() <= self.__dict__.keys(), fields
        made = object.__new__(Work)
        made.__dict__.update(self.__dict__, **fields)
        return made


class Phase(NamedTuple):
    """`resident` roles hold memory, `running` (one of their names) does `work`; `verb` is what it does.

    Phases follow one another. Those marked `once` (loading) are paid once per run, the others once per pass
    of `work`. What a phase is, is said by role, verb and activity; `name` is for the screen, and its own in
    a plan, where `beside` another role the same thing may be done again.
    """

    name: str
    resident: tuple[Resident, ...]
    running: str
    work: Work
    once: bool = False
    verb: str = ""

    @property
    def activity(self) -> Activity:
        """What the running role's model does: loads, reads, writes, trains, ..."""
        return self.work.activity

    def passes_of(self, examples: int) -> int:
        """How many there are in a run of so many examples."""
        return 1 if self.once else whole_passes(self.work.passes, examples)

    def on_device(self) -> tuple[str, ...]:
        """The roles whose weights are on the device, in the plan's order."""
        return tuple(resident.name for resident in self.resident if resident.where == "device")


def whole_passes(passes: float, examples: int) -> int:
    """How many are made of so many examples, of each of which there are `passes`: the last batch of a run may
    have fewer sequences, and is a pass too."""
    return math.ceil(round(passes * examples, 6))


def find_phase(
    phases: Iterable[Phase], role: str, verb: str, activity: Activity | None = None
) -> Phase | None:
    """The first phase in which `role` does `verb`, in `activity` if that is said, else None."""
    for phase in phases:
        if (phase.running, phase.verb) == (role, verb) and activity in (None, phase.activity):
            return phase
    return None
