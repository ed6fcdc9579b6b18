"""One run of a plan: its folder, its models, its measurements."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ullage.errors import DoesNotFitError, InputError, MissingExtraError
from ullage.facts.gpu import GpuSet
from ullage.phases.blocks import LOAD
from ullage.phases.phase import Phase, Work, find_phase
from ullage.planning.plan import Plan
from ullage.records.folder import RunFolder
from ullage.records.journal import Journal
from ullage.records.observation import Here, key_of
from ullage.records.record import Environment, Record
from ullage.runtime.batching import release
from ullage.runtime.loader import Loaded, load_model
from ullage.runtime.malloc import hold_malloc
from ullage.runtime.monitor import CPU, Monitor, read_device, resident_bytes
from ullage.runtime.progress import Progress
from ullage.spec.installed import check_installed
from ullage.spec.workload import Workload

if TYPE_CHECKING:
    from ullage.runtime.live import LiveTensors

ALLOCATOR_EVENTS: Final = 200_000
"""Allocations and releases kept of a recorded run, the newest: about 100 MB with their stacks."""


class Serving(Protocol):
    """An engine that holds a role's model itself."""

    def close(self) -> None: ...


@dataclass(slots=True)
class Session:
    """What a kind's `run` is given: plan, folder and journal, and the ways to load, say and measure.

    Who is in memory follows the plan: `bring` loads and frees what a phase says. `smallest` asks for one
    smallest batch (`ullage check`), whose folder is not kept. `begun_with` is what the process held before
    any model, in bytes; 0 where the run is on cards.
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
    loaded: dict[str, Loaded] = field(default_factory=dict)
    serving: dict[str, Serving] = field(default_factory=dict)
    freed_maps: dict[str, dict[str, str]] = field(default_factory=dict)
    held: dict[tuple[str, str, str], int] = field(default_factory=dict)
    begun_with: int = 0
    examples: int = 0
    tokens: int = 0
    splits: int = 0
    outcome: dict[str, Any] = field(default_factory=dict)

    @property
    def workload(self) -> Workload:
        """What is planned, as it was settled on."""
        return self.plan.workload

    def path(self, name: str) -> Path:
        """A path in the workload file."""
        return self.plan.base / Path(name).expanduser()

    def planned(self, role: str, verb: str = "") -> Phase | None:
        """The plan's phase in which `role` begins to do `verb` ("": its main work).

        None of a remote role, which takes no memory here.
        """
        return find_phase(self.plan.phases, role, verb)

    def phase(self, role: str, verb: str = "") -> Phase:
        """That phase; of a remote role one that nothing is planned for, so that its time is measured."""
        label = f"{role} {verb}".strip()
        return self.planned(role, verb) or Phase(label, (), role, Work("serve"), verb=verb)

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
        """Has in memory whom `phase` has on the device, and nobody else; `open_role` loads one by name.

        A phase that nothing is planned for leaves those there that stay throughout.
        """
        here = phase.on_device() if phase.resident else self._staying()
        for name in [name for name in (*self.loaded, *self.serving) if name not in here]:
            self.unload(name)
        for name in here:
            if name not in self.loaded and name not in self.serving:
                open_role(name)

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
            loaded = load_model(role, planned, base=self.plan.base, download=self.download)
            if self.live is not None:
                self.live.track_model(loaded.model)
            self.loaded[name] = loaded
            for device, size in _weights_by_device(loaded.model).items():
                self.hold(name, device, "weights", size)
        return loaded

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
        for name in [name for name in (*self.loaded, *self.serving) if name not in self._staying()]:
            self.unload(name)
        self.monitor.enter(None)

    def unload(self, name: str) -> None:
        """Frees role `name`'s model, if it is here; whoever else holds it must have let go of it before.

        What was alive on each device before and after is kept in `outcome`, so that it can be seen that the
        memory is back.
        """
        if name not in self.loaded and name not in self.serving:
            return
        before = {device: read_device(device, self.live).live for device in self.monitor.devices}
        gone = self.loaded.pop(name, None)
        if gone is not None:
            self.freed_maps[name] = gone.device_map
        del gone
        served = self.serving.pop(name, None)
        if served is not None:
            served.close()
        release()
        after = {device: read_device(device, self.live).live for device in self.monitor.devices}
        for key in [key for key in self.held if key[0] == name]:
            self.held[key] = 0
            self._tell(*key[1:])
        self.outcome.setdefault("freed", []).append({"role": name, "before": before, "after": after})


def _weights_by_device(model: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for tensor in model.parameters():
        if tensor.device.type != "meta":
            name = CPU if tensor.device.type == "cpu" else f"gpu:{tensor.device.index}"
            found[name] = found.get(name, 0) + tensor.nbytes
    return found


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is done, whatever it does.

    `download` lets models be fetched from the hub, `quiet` shows no progress; `smallest` asks for one
    smallest batch. `snapshot` records every allocation on the GPUs and leaves `allocator.pickle`, which
    pytorch.org/memory_viz draws, in the folder.
    """

    download: bool = False
    quiet: bool = False
    smallest: bool = False
    snapshot: bool = False


@contextmanager
def open_session(plan: Plan, folder: RunFolder, options: Options) -> Iterator[Session]:
    """A session on this machine, measured from begin to end; the folder's lock is the caller's."""
    for name, role in plan.workload.roles.items():
        check_installed(role.engine, f"roles.{name}")
    devices = tuple(device.name for device in plan.devices if device.name not in ("host", "disk"))
    _check_machine(plan, devices)
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(options.quiet))
        log = _Log(folder.path / "log.jsonl", progress)
        begun_with, live = 0, _live_tensors(plan, devices)
        if devices == (CPU,):
            _hold_malloc(log)
            begun_with = resident_bytes()
        else:
            _keep_inside(plan)
        journal = Journal(folder.path / "journal.jsonl")
        stack.callback(journal.close)
        monitor = Monitor(
            devices,
            {device.name: device.usable for device in plan.devices if device.usable is not None},
            plan.workload.memory.memory_warning_threshold,
            log.say,
            folder.path / "timeline.jsonl",
            live,
        )
        if options.snapshot:
            stack.enter_context(_recorded(devices, folder.path / "allocator.pickle"))
        progress.free = lambda: read_device(devices[0]).free
        stack.enter_context(monitor)
        if live is not None:
            stack.enter_context(live)
        session = Session(
            plan,
            folder,
            journal,
            monitor,
            progress,
            log.say,
            live,
            options.download,
            options.smallest,
            begun_with=begun_with,
        )
        stack.callback(_close_all, session.serving)
        yield session


def _live_tensors(plan: Plan, devices: tuple[str, ...]) -> LiveTensors | None:
    """Counts tensors on a processor; GPUs count their own, and what compiles models bears no watch."""
    if devices != (CPU,) or any(role.runs_with.compiles for role in plan.workload.roles.values()):
        return None
    from ullage.runtime.live import LiveTensors

    return LiveTensors()


def _close_all(serving: Mapping[str, Serving]) -> None:
    with ExitStack() as stack:
        for served in serving.values():
            stack.callback(served.close)


@contextmanager
def _recorded(devices: tuple[str, ...], path: Path) -> Iterator[None]:
    """torch's allocator keeps its history while this lasts, and writes it at the end, however that comes."""
    import torch

    if devices == (CPU,):
        raise InputError("snapshot: only GPUs have an allocator whose history can be recorded")
    torch.cuda.memory._record_memory_history(max_entries=ALLOCATOR_EVENTS)
    try:
        yield
    finally:
        torch.cuda.memory._dump_snapshot(str(path))
        torch.cuda.memory._record_memory_history(enabled=None)


class _Log:
    """What is said while running: to the screen, and as JSON lines to a file."""

    def __init__(self, path: Path | None, progress: Progress) -> None:
        self._path, self._progress = path, progress

    def say(self, text: str) -> None:
        self._progress.say(text)
        if self._path is not None:
            line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "said": text}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _check_machine(plan: Plan, devices: tuple[str, ...]) -> None:
    """Raises InputError where this machine lacks what the plan is for."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "run", "running a workload") from error
    if devices == (CPU,):
        return
    count = torch.cuda.device_count()
    if count < len(devices):
        have = f"{count} CUDA GPU{'' if count == 1 else 's'}" if count else "no CUDA GPU"
        raise InputError(
            f"the plan is for {plan.gpus.name}, but this machine has {have}; run where they are, or plan for "
            "this machine: --gpus local, or --gpus cpu"
        )
    for index, gpu in enumerate(plan.gpus.gpus):
        total = torch.cuda.get_device_properties(index).total_memory
        planned = plan.devices[index].peak.device.high
        if total < planned:
            name = torch.cuda.get_device_name(index)
            raise DoesNotFitError(
                f"gpu:{index} here is {name} with {total / 2**30:.1f} GiB; the plan for {gpu.id} needs up to "
                f"{planned / 2**30:.1f} GiB of it"
            )


def _keep_inside(plan: Plan) -> None:
    """torch may not take more of a GPU than the plan's budget leaves for it."""
    import torch

    for index, device in enumerate(d for d in plan.devices if d.name.startswith("gpu:")):
        if device.budget is not None:
            total = torch.cuda.get_device_properties(index).total_memory
            beside = device.peak.process.low - device.peak.reserved.low
            share = max(min((device.budget - beside) / total, 1.0), 0.0)
            torch.cuda.set_per_process_memory_fraction(share, index)


def _hold_malloc(log: _Log) -> None:
    said = hold_malloc()
    if said:
        log.say(f"{said}: what it keeps of earlier phases stays in this process, which may exceed its plan")


def environment(gpus: GpuSet) -> Environment:
    """What measurements on `gpus` of this machine depend on."""
    from importlib.metadata import version

    import torch
    import transformers

    driver = platform.release() if gpus.device_names == (CPU,) else _driver()
    return Environment(
        gpus.gpus[0].id,
        driver,
        torch.__version__,
        transformers.__version__,
        platform.python_version(),
        version("ullage"),
        torch.get_num_threads(),
    )


def this_process(gpus: GpuSet) -> Here | None:
    """What this process is, and on a processor what it holds before any model; None without torch.

    Imports what a run is about to, for that is most of it: transformers brings its parts when they are named.
    """
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel  # noqa: F401
    except ImportError:
        return None
    held = resident_bytes() if gpus.device_names == (CPU,) else 0
    return Here(key_of(environment(gpus)), held)


def _driver() -> str:
    try:
        import pynvml

        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except Exception:  # the version is a label; without NVML it stays unknown
        return "unknown"


def record_of(session: Session, seconds: float) -> Record:
    """The record of a session that has ended."""
    return Record(
        environment(session.plan.gpus),
        session.monitor.measured,
        session.examples,
        session.tokens,
        seconds,
        session.splits,
        session.outcome,
    )
