"""The plan: phases, placement, bill, verdict, advice, time, cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ullage.facts.architecture import Model
from ullage.facts.gpu import Gpu, GpuSet
from ullage.memory.fidelity import Known
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.phases.phase import Phase
from ullage.planning.bill import Bill, Totals
from ullage.planning.hosted import Hosted
from ullage.planning.latency import Latency
from ullage.shown import PAGES, Shown, named
from ullage.spec.stored import Stored
from ullage.spec.workload import Workload
from ullage.units import NO_TIME, ZERO, Estimate, Interval, gib

Verdict = Literal["fits", "tight", "does not fit"]
Bound = Literal["memory", "compute", "host", "load", "unknown"]
TimeBasis = Literal["derived", "assumed", "measured", "unknown"]


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
    that an adapter is loaded on, empty where its own config names what is. `known` says how it is known what
    its passes take."""

    precision: ResolvedPrecision
    kernel: Kernel
    placement: Placed
    part: LoadedPart
    share: EngineShare | None = None
    base: str = ""
    known: tuple[Known, ...] = ()


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
    """Seconds of one phase: for one pass, and for the whole workload, and how they are known.

    `derived` from the card's peaks and published ratios, `assumed` where nobody published what the scheme of
    the weights costs, `measured` by past runs here, which `source` names; None, with bound and basis
    `unknown`, where the card's speed is not known.
    """

    phase: str
    seconds: Estimate | None
    total_seconds: Estimate | None
    tokens_per_second: Estimate | None
    bound: Bound
    basis: TimeBasis = "derived"
    source: str = ""


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
    """US dollars at the price stated, which carries its label and its date; None for examples whose time is
    not known. `usd` is of the whole workload, `host_bytes` the host memory that comes with the cards, where
    the price list says it."""

    usd_per_hour: float
    usd_per_1000_examples: Estimate | None
    provider: str
    as_of: str
    source: str
    label: str = ""
    usd: Estimate | None = None
    host_bytes: int | None = None


LossBasis = Literal["unchanged", "assumed", "measured"]
"""How a loss of quality is known: there is none, by the order of published ones, or by runs of the user's."""


class Advice(NamedTuple):
    """One way to make the workload fit, cheaper, or faster: what changes, and what it comes to.

    `changes` are `--set` paths and values that reproduce it; `gpus` the set it is meant for, `own_cards`
    where that is the one that was asked for. `quality_loss` is a rank-like score (0: results unchanged),
    known by `quality_basis`; `quality_note` says what changes. Seconds and dollars are for 1000 examples,
    None where a phase's time or the price is not known; `known_seconds` are of the phases whose time is.
    `saves` is bytes off the fullest device's high value, `peak` all cards' together; `host` the bytes of
    host memory it takes, and `host_usd_per_hour` what these cost: 0 where they come with the cards, None
    where no price list says it.
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
    quality_basis: LossBasis = "unchanged"
    own_cards: bool = True
    known_seconds: float = 0.0
    usd_per_hour: float | None = None
    host: Interval = ZERO
    host_usd_per_hour: float | None = None


class Nearest(NamedTuple):
    """What came nearest to fitting: changes, on which cards, and the bytes it exceeds them by."""

    changes: tuple[tuple[str, str], ...]
    gpus: str
    over: int


@dataclass(frozen=True, slots=True)
class Search:
    """How advice was searched for: in which order (`for_`) and what was `kept`; `tried` settings were
    planned, `left` were not for want of time. `nearest` where nothing fits."""

    for_: str
    kept: tuple[str, ...]
    tried: int
    left: int
    nearest: Nearest | None = None


@dataclass(frozen=True, slots=True)
class Plan(Shown):
    """What will happen, where, and whether it fits.

    `workload` is what is planned, in the precisions that were settled on; `roles` what was decided for each
    role that is held here; `asked` names the GPUs as the user did. `models` are the models by the names
    roles give them, `base` is the folder that the workload's paths are relative to: neither is written down.
    `hosted` are the roles that servers hold, with what is asked of them; `latency` is what a request takes,
    where the kind lays out how one is answered; `stored` is what lies on disk before a run and after it.
    `search` says how `advice` was looked for, None where it was not.
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
    search: Search | None = None

    @property
    def total_seconds(self) -> Estimate | None:
        """Of the whole workload; None where a phase's are not known."""
        return sum_times(self.times)

    @property
    def total_usd(self) -> Estimate | None:
        """Of the whole workload; None where a phase's time or the cards' price is not known."""
        seconds = self.total_seconds
        return None if self.cost is None or seconds is None else seconds * (self.cost.usd_per_hour / 3600)

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

    def plot(self) -> Any:
        """What each device holds in each phase, as stacked bars (`ullage.reports.charts.Bars`): a notebook
        shows them, `to_svg()` is their text."""
        return import_module(PAGES).chart(self)

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
            *(_known(name, each) for name, role in self.roles.items() for each in role.known if _said(each)),
        )


def _precision(name: str, chosen: ResolvedPrecision) -> Decision:
    choice = f"weights {chosen.storage}, arithmetic {chosen.compute}"
    return Decision(f"{name} precision", choice, chosen.reason)


def _part(name: str, part: LoadedPart) -> Decision:
    assert part.layers is not None
    head = "" if part.head else ", and no output layer"
    return Decision(f"{name} loaded part", f"layers 0 to {part.layers - 1}{head}", part.reason)


def _said(known: Known) -> bool:
    """Nothing is said of formulas that are proven."""
    return known.by == "trace" or not known.proven


def _known(name: str, known: Known) -> Decision:
    choice = "traced" if known.by == "trace" else "formula, not proven"
    return Decision(f"{name} fidelity ({known.activity})", choice, known.reason)


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
