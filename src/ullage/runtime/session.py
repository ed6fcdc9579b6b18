"""One run of a plan: its folder, its models, its measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

from ullage.files import placed
from ullage.phases.blocks import LOAD
from ullage.phases.phase import Phase, Work, find_phase
from ullage.planning.plan import Plan
from ullage.records.folder import RunFolder
from ullage.records.journal import Journal
from ullage.records.parts import Part
from ullage.records.record import Record
from ullage.runtime.gauges import SimulatedDevices
from ullage.runtime.loader import Loaded
from ullage.runtime.machine import environment
from ullage.runtime.monitor import Monitor
from ullage.runtime.pool.holding import Place
from ullage.runtime.progress import Progress
from ullage.runtime.quantization import weights_of
from ullage.runtime.reading import CPU, device_name
from ullage.runtime.residents import Residents, Serving
from ullage.spec.workload import Workload

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ullage.runtime.live import LiveTensors


AMPLE: Final = 1.5
"""Planned prompt tokens per token of the longest prompt from which a run says that fewer would do."""


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
    any model, in bytes: all of it on a processor, on a card what torch held of somebody else's. `part` is the
    partition of the input that is done, None where all of it is.
    """

    plan: Plan
    folder: RunFolder
    journal: Journal
    monitor: Monitor
    progress: Progress
    say: Callable[[str], None]
    live: LiveTensors | None
    residents: Residents
    simulated: SimulatedDevices | None = None
    download: bool = False
    smallest: bool = False
    allow_nan: bool = False
    freed_maps: dict[str, dict[str, str]] = field(default_factory=dict)
    held: dict[tuple[str, str, str], int] = field(default_factory=dict)
    begun_with: int = 0
    part: Part | None = None
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
        `open_role` opens one by name.

        A phase that nothing is planned for leaves those there that stay throughout, and who may be parked is.
        """
        here = phase.on_device() if phase.resident else self.staying()
        resting = {each.name for each in phase.resident if each.where == "host"}
        for name in [name for name in self._somewhere() if name not in here]:
            if name in resting or (not phase.resident and self.residents.parks(name)):
                self._leave(name, "host")
            else:
                self._leave(name, "disk")
        for name in here:
            if name not in self.residents.here():
                open_role(name)
        self.residents.occupied_in(phase)

    def _somewhere(self) -> tuple[str, ...]:
        """Roles whose weights are on a device or in host memory."""
        return tuple(dict.fromkeys((*self.residents.here(), *self.residents.waiting())))

    def staying(self) -> tuple[str, ...]:
        """Roles that are on the device in every phase but those that load."""
        return self.plan.staying()

    @property
    def loaded(self) -> Mapping[str, Loaded]:
        """By role the models that are on devices here."""
        return {name: each for name, each in self.residents.here().items() if isinstance(each, Loaded)}

    def load(self, name: str) -> Loaded:
        """Role `name`'s model, as the plan says: where, in what precision and kernel, which part."""
        here = self.residents.here().get(name)
        if isinstance(here, Loaded):
            return here
        role, planned = self.workload.roles[name], self.plan.roles[name]
        precision = planned.precision
        if role.precision in ("auto", "fp16", "bf16") and precision.compute != "bf16":
            self.progress.note(f"{name} runs in {precision.compute}: {precision.reason}")
        with self.loading(name) as phase:
            loaded = self.residents.bring(name, phase)
            assert isinstance(loaded, Loaded)
            if self.live is not None:
                self.live.track_model(loaded.model)
            weights = _weights_by_device(loaded.model)
            if self.simulated is not None:
                weights = self.residents.spread(name, sum(weights.values()))
                self.simulated.came(name, weights, sum(each.nbytes for each in loaded.model.buffers()))
            for device, size in weights.items():
                self.hold(name, device, "weights", size)
        return loaded

    def serve(self, name: str, opener: Callable[[], Serving]) -> Serving:
        """Role `name`'s engine, which holds its model itself; `opener` starts it unless it runs."""
        with self.loading(name) as phase:
            self.residents.opened_by(name, opener)
            served = self.residents.bring(name, phase)
            assert isinstance(served, Serving)
        return served

    def loading(self, name: str) -> AbstractContextManager[Phase | None]:
        """Inside, role `name` is being loaded."""
        phase = find_phase(self.plan.phases, name, LOAD)
        return nullcontext() if phase is None else self.monitor.inside(phase)

    def hold(self, name: str, device: str, component: str, size: int) -> None:
        """Role `name` holds `size` bytes of `component` on `device` from now on."""
        self.held[name, device, component] = size
        self._tell(device, component)

    def bytes_on(self, device: str, tensors: Iterable[Tensor]) -> int:
        """Bytes of those that lie on `device`; on the one that works, where devices are simulated."""
        if self.simulated is not None:
            return sum(each.nbytes for each in tensors) if device == self.simulated.working else 0
        return sum(each.nbytes for each in tensors if device_name(each) == device)

    def _tell(self, device: str, component: str) -> None:
        sizes = (size for key, size in self.held.items() if key[1:] == (device, component))
        self.monitor.hold(device, component, sum(sizes))

    def free_guests(self) -> None:
        """Frees the models of roles that do not stay throughout: the last one's turn is over."""
        for name in [name for name in self._somewhere() if name not in self.staying()]:
            self._leave(name, "disk")
        self.outcome["pool"] = self.residents.pool.snapshot().to_json()
        self.monitor.enter(None)

    def _leave(self, name: str, to: Place) -> None:
        """Takes role `name`'s model off its devices; whoever else holds it must have let go of it before.

        Of one that is freed, what was alive on each device before and after is kept in `freed`, so that it
        can be seen that the memory is back. One that waits in host memory is, on a processor, where it was.
        """
        here = self.loaded.get(name)
        if here is not None:
            self.freed_maps[name] = here.device_map
        del here
        before = self.monitor.alive()
        self.residents.send(name, to)
        if self.simulated is not None:
            self.simulated.left(name, waits=to == "host")
        if to == "disk":
            self.freed.append({"role": name, "before": before, "after": self.monitor.alive()})
        for key in [key for key in self.held if key[0] == name and (to == "disk" or key[1] != CPU)]:
            self.held[key] = 0
            self._tell(*key[1:])


def _weights_by_device(model: nn.Module) -> dict[str, int]:
    found: dict[str, int] = {}
    for tensor in weights_of(model):
        if tensor.device.type != "meta":
            name = device_name(tensor)
            found[name] = found.get(name, 0) + tensor.nbytes
    return found


def record_of(session: Session, seconds: float, *, resumed: bool = False) -> Record:
    """The record of a session that has ended."""
    return Record(
        environment(session.plan.gpus),
        session.monitor.measured,
        session.examples,
        session.tokens,
        seconds,
        session.splits,
        {"freed": session.freed, **session.outcome} if session.freed else session.outcome,
        resumed,
    )
