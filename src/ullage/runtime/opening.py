"""Opens a run on this machine: its log, its limits, its measurements, and what they all close with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import InputError, UnsupportedError
from ullage.planning.plan import Plan
from ullage.records.folder import RunFolder
from ullage.records.journal import Journal
from ullage.records.notes import Notes
from ullage.records.places import impersonal
from ullage.records.pool import POOL, PoolSeen, write_pool
from ullage.runtime.batching import release
from ullage.runtime.gauges import (
    CardGauge,
    Gauge,
    ProcessorGauge,
    SharedCardGauge,
    SimulatedDevices,
    SimulatedGauge,
)
from ullage.runtime.libraries import silent_loggers
from ullage.runtime.machine import check_machine, held_on_cards
from ullage.runtime.malloc import hold_malloc
from ullage.runtime.monitor import Monitor
from ullage.runtime.progress import Progress
from ullage.runtime.reading import CPU, resident_bytes
from ullage.runtime.residents import Residents
from ullage.runtime.session import Session
from ullage.spec.installed import check_installed
from ullage.text import one_line

if TYPE_CHECKING:
    from ullage.runtime.live import LiveTensors

ALLOCATOR_EVENTS: Final = 200_000
"""Allocations and releases kept of a recorded run, the newest: about 100 MB with their stacks."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is done, whatever it does.

    `download` lets models be fetched from the hub, `quiet` shows no progress; `smallest` asks for one
    smallest batch. `snapshot` records every allocation on the GPUs and leaves `allocator.pickle`, which
    pytorch.org/memory_viz draws, in the folder. `verbose` lets the libraries' own notices through.
    `allow_nan` keeps states that are NaN or infinite. So many processes as `sharing` says share each card:
    this one takes its part alone, and is measured by itself.
    """

    download: bool = False
    quiet: bool = False
    smallest: bool = False
    snapshot: bool = False
    verbose: bool = False
    allow_nan: bool = False
    sharing: int = 1


Holds = Callable[[Plan, bool, Callable[[PoolSeen], None]], Residents]
"""Makes the residents of a plan: whether models may be fetched, and who keeps what is seen of the pool."""


@contextmanager
def open_session(
    plan: Plan, folder: RunFolder, options: Options, holds: Holds = Residents, *, elsewhere: bool = False
) -> Iterator[Session]:
    """A session on this machine, measured from begin to end; the folder's lock is the caller's.

    Where the work is done `elsewhere`, nothing of this machine is measured or bounded.
    """
    for name, role in plan.workload.roles.items():
        check_installed(role.engine, f"roles.{name}")
    devices = tuple(device.name for device in plan.devices if device.name not in ("host", "disk"))
    if elsewhere:
        devices = ()
    else:
        check_machine(plan, devices)
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(options.quiet))
        if not options.verbose:
            stack.enter_context(silent_loggers())
        log = _Log(folder.path, plan.base, progress)
        live = None if elsewhere else _live_tensors(plan)
        simulated = None
        if plan.gpus.abilities.simulated and not elsewhere:
            assert live is not None
            simulated = SimulatedDevices(plan, live, options.sharing)
        begun_with = (
            0 if elsewhere else stack.enter_context(_bounded(plan, devices, log, progress, options.sharing))
        )
        journal = Journal(folder.path / "journal.jsonl")
        stack.callback(journal.close)
        monitor = Monitor(
            [_gauge(device, live, simulated, options.sharing) for device in devices],
            _usable(plan, options.sharing),
            plan.workload.memory.memory_warning_threshold,
            log.say,
            folder.path / "timeline.jsonl",
        )
        if options.snapshot:
            stack.enter_context(_recorded(devices, folder.path / "allocator.pickle"))
        progress.free, monitor.far = monitor.free, lambda: progress.far
        stack.enter_context(monitor)
        if live is not None:
            stack.enter_context(live)
        seen = _Seen(folder.path, log.say)
        stack.callback(seen.remove)
        session = Session(
            plan,
            folder,
            journal,
            monitor,
            progress,
            log.say,
            live,
            holds(plan, options.download, seen.keep),
            simulated,
            options.download,
            options.smallest,
            options.allow_nan,
            begun_with=begun_with,
        )
        stack.callback(_close_all, session)
        yield session


@contextmanager
def _bounded(
    plan: Plan, devices: tuple[str, ...], log: _Log, progress: Progress, sharing: int
) -> Iterator[int]:
    """Inside, what keeps a run within its plan is on; what this process holds before any model, in bytes."""
    if plan.gpus.abilities.simulated:
        progress.note("its devices are simulated: all of it lies in this machine's memory, and is counted")
        yield 0
    elif devices == (CPU,):
        _hold_malloc(log)
        yield resident_bytes()
    else:
        held = max(held_on_cards(len(devices)))
        _keep_inside(plan, sharing)
        with _without_cudnn_attention():
            yield held


def _live_tensors(plan: Plan) -> LiveTensors | None:
    """Counts tensors on a processor; GPUs count their own, and what compiles models bears no watch.

    Raises UnsupportedError for such an engine on simulated devices, of which nothing else tells.
    """
    compiling = [name for name, role in plan.workload.roles.items() if role.runs_with.compiles]
    if plan.gpus.abilities.simulated and compiling:
        raise UnsupportedError(
            f"roles.{compiling[0]}: what its engine holds cannot be counted on a simulated device; use "
            "--gpus cpu, or engine: transformers"
        )
    if not plan.gpus.abilities.processor or compiling:
        return None
    from ullage.runtime.live import LiveTensors

    return LiveTensors()


class _Seen:
    """Keeps what is seen of a pool in the run's folder while the run lasts. It costs the run nothing: once it
    cannot be written, that is said."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say, self._writes = folder, say, True

    def keep(self, seen: PoolSeen) -> None:
        if self._writes:
            try:
                write_pool(self._folder, seen)
            except OSError as error:
                self._writes = False
                self._say(f"{self._folder / POOL}: is not written any more: {error.strerror or error}")

    def remove(self) -> None:
        self._writes = False
        with suppress(OSError):
            (self._folder / POOL).unlink(missing_ok=True)


def _close_all(session: Session) -> None:
    """Ends engines and lets go of models, so that the devices are as they were before."""
    try:
        session.residents.close()
    finally:
        release()


@contextmanager
def _recorded(devices: tuple[str, ...], path: Path) -> Iterator[None]:
    """torch's allocator keeps its history while this lasts, and writes it at the end, however that comes."""
    import torch

    if not torch.cuda.is_available():
        raise InputError("snapshot: only GPUs have an allocator whose history can be recorded")
    torch.cuda.memory._record_memory_history(max_entries=ALLOCATOR_EVENTS)
    try:
        yield
    finally:
        torch.cuda.memory._dump_snapshot(str(path))
        torch.cuda.memory._record_memory_history(enabled=None)


class _Log:
    """What is said while running: to the screen, and to a file, which names no folder of the user's.

    There the run's own is called RUN, the one that paths are relative to BASE.
    """

    def __init__(self, folder: Path, base: Path, progress: Progress) -> None:
        self._notes, self._progress = Notes(folder / "log.jsonl", progress.say), progress
        self._places = {"RUN": folder, "BASE": base}

    def say(self, text: str) -> None:
        self._progress.say(text)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._notes.add({"time": now, "said": one_line(impersonal(text, self._places))})


def _gauge(device: str, live: LiveTensors | None, simulated: SimulatedDevices | None, sharing: int) -> Gauge:
    if simulated is not None:
        return SimulatedGauge(device, simulated)
    if device == CPU:
        return ProcessorGauge(live)
    return CardGauge(device) if sharing == 1 else SharedCardGauge(device, sharing)


def _usable(plan: Plan, sharing: int) -> dict[str, int]:
    """Bytes of each device that a process may use, one of so many on a card."""
    usable = {device.name: device.usable for device in plan.devices if device.usable is not None}
    return {name: size // sharing if name.startswith("gpu:") else size for name, size in usable.items()}


def _keep_inside(plan: Plan, sharing: int = 1) -> None:
    """torch may not take more of a GPU than the plan's budget leaves for it, one of so many on the card."""
    import torch

    for index, device in enumerate(d for d in plan.devices if d.name.startswith("gpu:")):
        if device.budget is not None:
            total = torch.cuda.get_device_properties(index).total_memory
            beside = device.peak.process.low - device.peak.reserved.low
            share = max(min((device.budget // sharing - beside) / total, 1.0), 0.0)
            torch.cuda.set_per_process_memory_fraction(share, index)


@contextmanager
def _without_cudnn_attention() -> Iterator[None]:
    """scaled_dot_product_attention runs its other kernels: cuDNN's builds a plan for every new length, and so
    for every token that is written (39 ms each where the token takes 8, H200, torch 2.11)."""
    import torch

    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def _hold_malloc(log: _Log) -> None:
    said = hold_malloc()
    if said:
        log.say(f"{said}: what it keeps of earlier phases stays in this process, which may exceed its plan")
