"""One run of a plan: its folder, its models, its measurements."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypedDict

from ullage.files import placed
from ullage.phases.blocks import LOAD
from ullage.phases.phase import Phase, Work, find_phase
from ullage.planning.plan import Plan, RolePlan
from ullage.records.folder import RunFolder
from ullage.records.journal import Journal
from ullage.records.record import Record
from ullage.runtime.batching import release
from ullage.runtime.loader import Loaded, load_model
from ullage.runtime.machine import environment
from ullage.runtime.monitor import Monitor
from ullage.runtime.progress import Progress
from ullage.runtime.quantization import weights_of
from ullage.runtime.reading import CPU, device_name, read_device
from ullage.spec.role import Role
from ullage.spec.workload import Workload

if TYPE_CHECKING:
    from torch import nn

    from ullage.runtime.live import LiveTensors
    from ullage.runtime.parking import ModelWeights


AMPLE: Final = 1.5
"""Planned prompt tokens per token of the longest prompt from which a run says that fewer would do."""


class Serving(Protocol):
    """An engine that holds a role's model itself."""

    def close(self) -> None: ...


class Freed(TypedDict):
    """A role whose model was freed: the bytes alive on each device before and after, where they are known."""

    role: str
    before: dict[str, int | None]
    after: dict[str, int | None]


@dataclass(slots=True)
class Session:
    """What a kind's `run` is given: plan, folder and journal, and the ways to load, say and measure.

    Who is in memory follows the plan: `bring` loads and frees what a phase says. `smallest` asks for one
    smallest batch (`ullage check`), whose folder is not kept; `allow_nan` says that states which are NaN or
    infinite are kept, whatever the workload says. `begun_with` is what the process held before
    any model, in bytes: all of it on a processor, on a card what torch held of somebody else's.
    """

    plan: Plan
    folder: RunFolder
    journal: Journal
    monitor: Monitor
    progress: Progress
    say: Callable[[str], None]
    live: LiveTensors | None
    download: bool = False
    smallest: bool = False
    allow_nan: bool = False
    loaded: dict[str, Loaded] = field(default_factory=dict)
    weights: dict[str, ModelWeights] = field(default_factory=dict)
    serving: dict[str, Serving] = field(default_factory=dict)
    freed_maps: dict[str, dict[str, str]] = field(default_factory=dict)
    held: dict[tuple[str, str, str], int] = field(default_factory=dict)
    begun_with: int = 0
    examples: int = 0
    tokens: int = 0
    splits: int = 0
    freed: list[Freed] = field(default_factory=list)
    outcome: dict[str, object] = field(default_factory=dict)

    @property
    def workload(self) -> Workload:
        """What is planned, as it was settled on."""
        return self.plan.workload

    def path(self, name: str) -> Path:
        """A path in the workload file."""
        return placed(name, self.plan.base)

    def planned(self, role: str, verb: str = "") -> Phase | None:
        """The plan's phase in which `role` begins to do `verb` ("": its main work).

        None of a remote role, which takes no memory here.
        """
        return find_phase(self.plan.phases, role, verb)

    def phase(self, role: str, verb: str = "") -> Phase:
        """That phase; of a remote role one that nothing is planned for, so that its time is measured."""
        label = f"{role} {verb}".strip()
        return self.planned(role, verb) or Phase(label, (), role, Work("serve"), verb=verb)

    def told_longest(self, role: str, longest: int, planned: int) -> None:
        """Says so where the plan is for prompts far longer than the run's longest, all in tokens."""
        if planned >= AMPLE * longest and not self.smallest:
            self.progress.note(
                f"{role}: the longest prompt has {longest:,} tokens, the plan is for prompt_tokens: "
                f"{planned:,}; fewer need less memory"
            )

    def reading_done(self) -> None:
        """The prompts of a prefill have been read: from here on, tokens are written one by one."""
        now = self.monitor.phase
        if now is None or now.activity != "prefill":
            return
        for phase in self.plan.phases:
            same = (phase.running, phase.verb, phase.resident) == (now.running, now.verb, now.resident)
            if same and phase.activity == "decode":
                self.monitor.enter(phase)
                return

    def bring(self, phase: Phase, open_role: Callable[[str], object]) -> None:
        """Has on the device whom `phase` has there, in host memory whom it has there, and nobody else;
        `open_role` loads one by name.

        A phase that nothing is planned for leaves those there that stay throughout, and who may be parked is.
        """
        here = phase.on_device() if phase.resident else self._staying()
        resting = {each.name for each in phase.resident if each.where == "host"}
        for name in [name for name in self._here() if name not in here]:
            if name in self.weights and (name in resting or not phase.resident):
                self.park(name)
            else:
                self.unload(name)
        for name in here:
            if name not in self.loaded and name not in self.serving:
                open_role(name)

    def _here(self) -> tuple[str, ...]:
        """Roles whose weights are on a device or in host memory."""
        return tuple(dict.fromkeys((*self.loaded, *self.serving, *self.weights)))

    def _staying(self) -> tuple[str, ...]:
        """Roles that are on the device in every phase but those that load."""
        working = [phase.on_device() for phase in self.plan.phases if phase.activity != "load"]
        return tuple(name for name in self.plan.roles if working and all(name in here for here in working))

    def load(self, name: str) -> Loaded:
        """Role `name`'s model, as the plan says: where, in what precision and kernel, which part."""
        role, planned = self.workload.roles[name], self.plan.roles[name]
        precision = planned.precision
        if role.precision in ("auto", "fp16", "bf16") and precision.compute != "bf16":
            self.progress.note(f"{name} runs in {precision.compute}: {precision.reason}")
        with self.loading(name):
            loaded = self._brought(name, role, planned)
            if self.live is not None:
                self.live.track_model(loaded.model)
            self.loaded[name] = loaded
            for device, size in _weights_by_device(loaded.model).items():
                self.hold(name, device, "weights", size)
        return loaded

    def _brought(self, name: str, role: Role, planned: RolePlan) -> Loaded:
        """Out of host memory or from disk where the plan ever has it parked, else from disk for good."""
        if not any(
            each.name == name and each.where == "host"
            for phase in self.plan.phases
            for each in phase.resident
        ):
            return load_model(role, planned, base=self.plan.base, download=self.download)
        if name not in self.weights:
            from ullage.runtime.parking import model_weights

            self.weights[name] = model_weights(role, planned, base=self.plan.base, download=self.download)
        return self.weights[name].bring(lambda: False)

    def park(self, name: str) -> None:
        """Has role `name`'s model wait in host memory; on a processor that is the device, and still holds
        it."""
        gone = self.loaded.pop(name, None)
        if gone is None:
            return
        self.freed_maps[name] = gone.device_map
        self.weights[name].park()
        for key in [key for key in self.held if key[0] == name and key[1] != CPU]:
            self.held[key] = 0
            self._tell(*key[1:])

    def loading(self, name: str) -> AbstractContextManager[Phase | None]:
        """Inside, role `name` is being loaded."""
        phase = find_phase(self.plan.phases, name, LOAD)
        return nullcontext() if phase is None else self.monitor.inside(phase)

    def hold(self, name: str, device: str, component: str, size: int) -> None:
        """Role `name` holds `size` bytes of `component` on `device` from now on."""
        self.held[name, device, component] = size
        self._tell(device, component)

    def _tell(self, device: str, component: str) -> None:
        sizes = (size for key, size in self.held.items() if key[1:] == (device, component))
        self.monitor.hold(device, component, sum(sizes))

    def free_guests(self) -> None:
        """Frees the models of roles that do not stay throughout: the last one's turn is over."""
        for name in [name for name in self._here() if name not in self._staying()]:
            self.unload(name)
        self.monitor.enter(None)

    def unload(self, name: str) -> None:
        """Frees role `name`'s model, if it is here; whoever else holds it must have let go of it before.

        What was alive on each device before and after is kept in `freed`, so that it can be seen that the
        memory is back.
        """
        if name not in self.loaded and name not in self.serving and name not in self.weights:
            return
        before = {device: read_device(device, self.live).live for device in self.monitor.devices}
        gone = self.loaded.pop(name, None)
        if gone is not None:
            self.freed_maps[name] = gone.device_map
        del gone
        self.weights.pop(name, None)
        served = self.serving.pop(name, None)
        if served is not None:
            served.close()
        release()
        after = {device: read_device(device, self.live).live for device in self.monitor.devices}
        for key in [key for key in self.held if key[0] == name]:
            self.held[key] = 0
            self._tell(*key[1:])
        self.freed.append({"role": name, "before": before, "after": after})


def _weights_by_device(model: nn.Module) -> dict[str, int]:
    found: dict[str, int] = {}
    for tensor in weights_of(model):
        if tensor.device.type != "meta":
            name = device_name(tensor)
            found[name] = found.get(name, 0) + tensor.nbytes
    return found


def record_of(session: Session, seconds: float) -> Record:
    """The record of a session that has ended."""
    return Record(
        environment(session.plan.gpus),
        session.monitor.measured,
        session.examples,
        session.tokens,
        seconds,
        session.splits,
        {"freed": session.freed, **session.outcome} if session.freed else session.outcome,
    )
