"""One run of a plan: its folder, its models, its measurements."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ullage.errors import DoesNotFitError, InputError, MissingExtraError
from ullage.facts.architecture import Architecture, Model
from ullage.facts.gpu import GpuSet
from ullage.memory.dtypes import resolve_precision
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
from ullage.spec.phase import Phase
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
    """What a kind's `run` is given: the workload and its plan, and the ways to load, say and measure.

    `base` is the folder the workload's paths are relative to; `smallest` asks for one smallest batch and
    nothing on disk (`ullage check`). `begun_with` is what the process held before any model, in bytes; 0
    where the run is on cards.
    """

    workload: Workload
    plan: Plan
    models: Mapping[str, Model]
    base: Path
    monitor: Monitor
    progress: Progress
    say: Callable[[str], None]
    live: LiveTensors | None
    folder: RunFolder | None = None
    journal: Journal | None = None
    download: bool = False
    smallest: bool = False
    loaded: dict[str, Loaded] = field(default_factory=dict)
    serving: dict[str, Serving] = field(default_factory=dict)
    held: dict[tuple[str, str, str], int] = field(default_factory=dict)
    begun_with: int = 0
    examples: int = 0
    tokens: int = 0
    splits: int = 0
    outcome: dict[str, Any] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """A path in the workload file."""
        return self.base / Path(name).expanduser()

    def planned(self, name: str, verb: str = "") -> Phase | None:
        """The plan's phase in which role `name` begins to do `verb` ("": its main work).

        None of a remote role, which takes no memory here.
        """
        label = f"{name} {verb}".strip()
        names = (label, f"{label} prefill", f"{label} serve")
        return next((phase for phase in self.plan.phases if phase.name in names), None)

    def phase_name(self, name: str, verb: str = "") -> str:
        """What that phase is called."""
        phase = self.planned(name, verb)
        return f"{name} {verb}".strip() if phase is None else phase.name

    def load(self, name: str, *, head: bool, eager: bool) -> Loaded:
        """Role `name`'s model where the plan puts it, in phase `name load`."""
        role = self.workload.roles[name]
        whole = self.models[role.model]
        placement = self.plan.placement[name]
        precision = resolve_precision(role, whole, self.plan.gpus.capability)
        if role.precision in ("auto", "fp16", "bf16") and precision.compute != "bf16":
            self.progress.note(f"{name} runs in {precision.compute}: {precision.reason}")
        layers = len(placement) - 2
        part = isinstance(whole, Architecture) and layers < len(whole.layers)
        with self.monitor.phase(f"{name} load"):
            loaded = load_model(
                role,
                precision,
                placement,
                layers=layers if part else None,
                head=head,
                eager=eager,
                base=self.base,
                download=self.download,
            )
            if self.live is not None:
                self.live.track_model(loaded.model)
            self.loaded[name] = loaded
            for device, size in _weights_by_device(loaded.model).items():
                self.hold(name, device, "weights", size)
        return loaded

    def hold(self, name: str, device: str, component: str, size: int) -> None:
        """Role `name` holds `size` bytes of `component` on `device` from now on."""
        self.held[name, device, component] = size
        self._tell(device, component)

    def _tell(self, device: str, component: str) -> None:
        sizes = (size for key, size in self.held.items() if key[1:] == (device, component))
        self.monitor.hold(device, component, sum(sizes))

    def unload(self, name: str) -> None:
        """Frees role `name`'s model, if it is here; whoever else holds it must have let go of it before.

        What was alive on each device before and after is kept in `outcome`, so that it can be seen that the
        memory is back.
        """
        if name not in self.loaded and name not in self.serving:
            return
        before = {device: read_device(device, self.live).live for device in self.monitor.devices}
        self.loaded.pop(name, None)
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


@contextmanager
def open_session(
    workload: Workload,
    plan: Plan,
    models: Mapping[str, Model],
    base: Path,
    *,
    folder: RunFolder | None,
    download: bool,
    quiet: bool,
    smallest: bool = False,
    snapshot: bool = False,
) -> Iterator[Session]:
    """A session on this machine, measured from begin to end; the folder's lock is the caller's.

    `snapshot` records every allocation on the GPUs and leaves `allocator.pickle`, which
    pytorch.org/memory_viz draws, in the folder.
    """
    devices = tuple(device.name for device in plan.devices if device.name not in ("host", "disk"))
    _check_machine(plan, devices)
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(quiet))
        log = _Log(folder.path / "log.jsonl" if folder else None, progress)
        begun_with, live = 0, None
        if devices == (CPU,):
            _hold_malloc(log)
            begun_with = resident_bytes()
        served = any(role.engine == "vllm" for role in workload.roles.values())
        if devices == (CPU,) and not served:  # vLLM traces models, which a watched tensor operation breaks
            from ullage.runtime.live import LiveTensors

            live = LiveTensors()
        elif devices != (CPU,):
            _keep_inside(plan)
        journal = None
        if folder is not None:
            journal = Journal(folder.path / "journal.jsonl")
            stack.callback(journal.close)
        monitor = Monitor(
            devices,
            {device.name: device.usable for device in plan.devices if device.usable is not None},
            workload.memory.memory_warning_threshold,
            log.say,
            folder.path / "timeline.jsonl" if folder else None,
            live,
        )
        if snapshot and folder is not None:
            stack.enter_context(_recorded(devices, folder.path / "allocator.pickle"))
        progress.free = lambda: read_device(devices[0]).free
        stack.enter_context(monitor)
        if live is not None:
            stack.enter_context(live)
        session = Session(
            workload,
            plan,
            models,
            base,
            monitor,
            progress,
            log.say,
            live,
            folder,
            journal,
            download,
            smallest,
            begun_with=begun_with,
        )
        stack.callback(_close_all, session.serving)
        yield session


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
