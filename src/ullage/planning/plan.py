"""The plan: phases, placement, bill, verdict, advice, time, cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from ullage.facts.architecture import Model
from ullage.facts.gpu import Gpu, GpuSet
from ullage.phases.phase import Phase
from ullage.planning.advice.entry import Advice, Search
from ullage.planning.bill import Bill, Totals
from ullage.planning.cost import Cost
from ullage.planning.decision import Decision, decisions_of
from ullage.planning.hosted import Hosted
from ullage.planning.latency import Latency
from ullage.planning.phase_time import PhaseTime, sum_times
from ullage.planning.role_plan import RolePlan
from ullage.planning.verdict import Verdict
from ullage.shown import PAGES, Shown, named
from ullage.spec.stored import Stored
from ullage.spec.workload import Workload
from ullage.units import Estimate, gib


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
        """What each device holds in each phase, as stacked bars (`ullage.reports.svg.Drawing`): a notebook
        shows them, `to_svg()` is their text."""
        return import_module(PAGES).chart(self)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was decided for the user, as it is printed."""
        return decisions_of(self.roles, self.verdict)
