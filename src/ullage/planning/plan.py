"""The plan: phases, placement, bill, verdict, advice, time, cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from ullage.facts.architecture import Model
from ullage.facts.gpu import Gpu, GpuSet
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.phases.phase import Phase
from ullage.planning.bill import Bill, Totals
from ullage.planning.hosted import Hosted
from ullage.planning.latency import Latency
from ullage.shown import Shown, named
from ullage.spec.stored import Stored
from ullage.spec.workload import Workload
from ullage.units import NO_TIME, Estimate, Interval, gib

Verdict = Literal["fits", "tight", "does not fit"]
Bound = Literal["memory", "compute", "host", "load", "unknown"]


class Decision(NamedTuple):
    """Something the plan decided for the user, with the reason that is printed beside it."""

    subject: str
    choice: str
    reason: str


@dataclass(frozen=True, slots=True)
class Kernel:
    """The attention kernel a role's model is loaded with, by its name in a workload file."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a role's blocks are: block name to device (`gpu:0`, `cpu`, `disk`), as accelerate's device_map.

    `where` names each device in use once, as it is shown.
    """

    device_map: Mapping[str, str]
    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class LoadedPart:
    """What of a model is loaded: its first `layers` (None: all of it), and the language-model head or not."""

    layers: int | None = None
    head: bool = True
    reason: str = "all of it is read"


@dataclass(frozen=True, slots=True)
class EngineShare:
    """What an engine that takes a share of a card is given: `least` holds its work as planned. Recorded
    graphs of kernels may take `graphs` of the card, and `beside` of it is outside the share. At `given` its
    cache holds `tokens`; `stated` where the file gives that."""

    least: float
    given: float
    tokens: Interval
    graphs: float = 0.0
    beside: float = 0.0
    stated: bool = False

    @property
    def needs(self) -> float:
        """All that its work takes of a card; above 1: not on one card."""
        return self.least + self.beside

    @property
    def taken(self) -> float:
        """The share the engine is started with where the file gives none."""
        return min(self.least, 1.0)


@dataclass(frozen=True, slots=True)
class RolePlan:
    """What was decided for one role; each decision carries its reason. `base` is the hub's model at a commit
    that an adapter is loaded on, empty where its own config names what is."""

    precision: ResolvedPrecision
    kernel: Kernel
    placement: Placed
    part: LoadedPart
    share: EngineShare | None = None
    base: str = ""


class DevicePlan(NamedTuple):
    """One device: its budget and its peak.

    `usable` is what the runtime can take at all, `budget` that minus the reserve, both in bytes and
    both the cautious (low) value; None for host memory or disk that the file does not limit.
    `ullage` is `usable` minus the high value of the device's peak.
    """

    name: str
    gpu: str
    usable: int | None
    budget: int | None
    peak: Totals
    peak_phase: str
    verdict: Verdict

    @property
    def ullage(self) -> int | None:
        return None if self.usable is None else self.usable - self.peak.device.high


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """Roofline seconds of one phase: for one pass, and for the whole workload.

    None, and bound `unknown`, where the card's speed is not known.
    """

    phase: str
    seconds: Estimate | None
    total_seconds: Estimate | None
    tokens_per_second: Estimate | None
    bound: Bound


def sum_times(times: Iterable[PhaseTime]) -> Estimate | None:
    """Seconds of all passes of all of them; None where one's are not known."""
    whole = NO_TIME
    for time in times:
        if time.total_seconds is None:
            return None
        whole += time.total_seconds
    return whole


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars at the price stated, which carries its date; None for examples whose time is not known."""

    usd_per_hour: float
    usd_per_1000_examples: Estimate | None
    provider: str
    as_of: str
    source: str


class Advice(NamedTuple):
    """One way to make the workload fit (or cheaper): what changes, what it saves, what it costs.

    `changes` are `--set` paths and values that reproduce it; `gpus` the set it is meant for.
    `quality_loss` is a rank-like score (0: results unchanged), `usd_per_1000_examples` None without
    a price, and it and the seconds None where the cards' speed is not known. `saves` is bytes off the
    fullest device's high value.
    """

    changes: tuple[tuple[str, str], ...]
    gpus: str
    verdict: Verdict
    quality_loss: float
    quality_note: str
    seconds_per_1000_examples: float | None
    usd_per_1000_examples: float | None
    saves: int
    peak: Interval


@dataclass(frozen=True, slots=True)
class Plan(Shown):
    """What will happen, where, and whether it fits.

    `workload` is what is planned, in the precisions that were settled on; `roles` what was decided for each
    role that is held here; `asked` names the GPUs as the user did. `models` are the models by the names
    roles give them, `base` is the folder that the workload's paths are relative to: neither is written down.
    `hosted` are the roles that servers hold, with what is asked of them; `latency` is what a request takes,
    where the kind lays out how one is answered; `stored` is what lies on disk before a run and after it.
    """

    workload: Workload
    gpus: GpuSet
    phases: tuple[Phase, ...]
    roles: Mapping[str, RolePlan]
    bill: Bill
    devices: tuple[DevicePlan, ...]
    verdict: Verdict
    times: tuple[PhaseTime, ...] = ()
    cost: Cost | None = None
    advice: tuple[Advice, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    asked: str = ""
    models: Mapping[str, Model] = field(default_factory=dict, repr=False, compare=False)
    base: Path = field(default=Path(), compare=False)
    hosted: tuple[Hosted, ...] = ()
    latency: Latency | None = None
    stored: tuple[Stored, ...] = ()

    @property
    def total_seconds(self) -> Estimate | None:
        """Of the whole workload; None where a phase's are not known."""
        return sum_times(self.times)

    def staying(self) -> tuple[str, ...]:
        """Roles that are on the device in every phase but those that load."""
        working = [phase.on_device() for phase in self.phases if phase.activity != "load"]
        return tuple(name for name in self.roles if working and all(name in here for here in working))

    def card_of(self, device: DevicePlan) -> Gpu | None:
        """The card that a device is; None of host memory and disk."""
        return dict(zip(self.gpus.device_names, self.gpus.gpus, strict=True)).get(device.name)

    def __repr__(self) -> str:
        """One line: what, where, whether it fits, and how much is left where it is tightest."""
        known = [(device.ullage, device.name) for device in self.devices if device.ullage is not None]
        left = f", ullage {gib(min(known)[0])} on {min(known)[1]}" if known else ""
        return f"<Plan of {named(self.title)} on {self.gpus.name}: {self.verdict}{left}>"

    @property
    def title(self) -> str:
        """The workload's name, else its kind."""
        return self.workload.name or self.workload.kind

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was decided for the user, as it is printed."""
        return (
            *(_precision(name, role.precision) for name, role in self.roles.items()),
            *(_part(name, role.part) for name, role in self.roles.items() if role.part.layers is not None),
            *(
                Decision(
                    f"{name} placement", self.roles[name].placement.where, self.roles[name].placement.reason
                )
                for name in sorted(self.roles)
            ),
            *(
                _share(name, role.share, self.verdict != "does not fit")
                for name, role in self.roles.items()
                if role.share is not None
            ),
        )


def _precision(name: str, chosen: ResolvedPrecision) -> Decision:
    choice = f"weights {chosen.storage}, arithmetic {chosen.compute}"
    return Decision(f"{name} precision", choice, chosen.reason)


def _part(name: str, part: LoadedPart) -> Decision:
    assert part.layers is not None
    head = "" if part.head else ", and no output layer"
    return Decision(f"{name} loaded part", f"layers 0 to {part.layers - 1}{head}", part.reason)


def _placement(name: str, placed: Placed) -> Decision:
    return Decision(f"{name} placement", placed.where, placed.reason)


def _share(name: str, share: EngineShare, fits: bool) -> Decision:
    """What the engine is given. Of a cache that nothing is left for nothing is said."""
    subject = f"{name} gpu_memory_utilization"
    if share.needs > 1:
        reason = f"its work takes up to {share.needs:.2f} of the card"
        if share.graphs > 0 and share.needs - share.graphs <= 1:
            reason += f", {share.graphs:.2f} of that CUDA graphs, which enforce_eager: true does without"
        return Decision(subject, "more than one card", reason)
    choice = f"{share.given:.2f}, as the file says" if share.stated else f"{share.least:.2f} is enough"
    if share.stated and share.given + share.beside > 1:
        reason = (
            f"too much: {share.beside:.2f} of the card lies outside of it; at most {1 - share.beside:.2f}"
        )
        return Decision(subject, choice, reason)
    if not fits:
        return Decision(subject, choice, f"its work takes {share.least:.2f}, and what else is there the rest")
    if share.tokens.high == 0:
        return Decision(subject, choice, "its cache is as large for any number of tokens")
    low, expected, high = (f"{end:,}" for end in (share.tokens.low, share.tokens.expected, share.tokens.high))
    reason = f"at {share.given:.2f} the cache holds {expected} tokens ({low} to {high})"
    if share.stated:
        reason += f"; its work takes {share.least:.2f}"
    return Decision(subject, choice, reason)
