"""Watches memory while a run goes on: peaks by phase, a timeline, warnings before trouble."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from ullage.phases.phase import Phase
from ullage.records.record import Measured
from ullage.runtime.malloc import trim_malloc
from ullage.units import gib

if TYPE_CHECKING:
    from ullage.runtime.live import LiveTensors

SAMPLE_SECONDS: Final = 0.05
TIMELINE_SECONDS: Final = 0.5
CPU: Final = "cpu"


@dataclass(frozen=True, slots=True)
class Reading:
    """Bytes on one device at one moment; `total` is what the device has."""

    device: str
    live: int | None
    reserved: int | None
    process: int | None
    on_device: int
    total: int

    @property
    def free(self) -> int:
        return max(self.total - self.on_device, 0)


@dataclass(frozen=True, slots=True)
class PastThreshold:
    """A device past the threshold."""

    device: str
    used: int
    total: int

    def __str__(self) -> str:
        share = 100 * self.used / self.total
        return f"{self.device}: {gib(self.used)} of {gib(self.total)} in use ({share:.0f} %)"


def read_device(device: str, live: LiveTensors | None = None, files: int = 0) -> Reading:
    """What is in use on `cpu` or `gpu:N` now.

    On a processor `process` is the resident size and `on_device` what the machine uses in all; `live`
    counts tensors there. Pages of files beyond the `files` bytes of them a process began with, and beyond
    the tensors that lie in a file, are not counted: a checkpoint's, from which weights were made, lie in RAM
    only until the system wants it back. On a GPU live and reserved are torch's counters, the rest NVML's.
    """
    if device == CPU:
        import psutil

        memory = psutil.virtual_memory()
        tensors = None if live is None else live.bytes
        resident = resident_bytes()
        if live is not None:
            resident -= max(file_bytes() - files - live.mapped, 0)
        return Reading(CPU, tensors, tensors, resident, memory.total - memory.available, memory.total)
    import torch

    index = int(device.removeprefix("gpu:"))
    free, total = torch.cuda.mem_get_info(index)
    used = total - free
    allocated, reserved = torch.cuda.memory_allocated(index), torch.cuda.memory_reserved(index)
    return Reading(device, allocated, reserved, _process_on(index), used, total)


def resident_bytes() -> int:
    """What of this process lies in RAM, pages of mapped files included."""
    return _pages(1)


def file_bytes() -> int:
    """The part of it that is pages of files."""
    return _pages(2)


def _pages(field: int) -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[field]) * os.sysconf("SC_PAGE_SIZE")


@lru_cache(maxsize=64)
def _handle(index: int) -> Any:
    """NVML's handle of torch's GPU `index`; None where NVML is not to be had."""
    try:
        import pynvml
        import torch

        pynvml.nvmlInit()
        identity = torch.cuda.get_device_properties(index).uuid
        return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{identity}")
    except Exception:  # NVML is an extra witness: without it the run goes on
        return None


def _process_on(index: int) -> int | None:
    """NVML's bytes of this process on a GPU; None where it does not tell (containers, WSL)."""
    handle = _handle(index)
    if handle is None:
        return None
    import pynvml

    try:
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLError:
        return None
    mine = [p.usedGpuMemory for p in processes if p.pid == os.getpid() and p.usedGpuMemory]
    return sum(mine) or None


def can_allocate(bytes_: int, device: str = CPU) -> bool:
    """Whether `bytes_` more fit on a device now: free memory and what the allocator holds unused."""
    reading = read_device(device)
    spare = (reading.reserved or 0) - (reading.live or 0) if device != CPU else 0
    return bytes_ <= reading.free + spare


def check_threshold(threshold: float = 0.85, devices: Sequence[str] = (CPU,)) -> tuple[PastThreshold, ...]:
    """A warning for each device of which more than `threshold` (a share) is in use."""
    readings = [read_device(device) for device in devices]
    return tuple(
        PastThreshold(r.device, r.on_device, r.total) for r in readings if r.on_device > threshold * r.total
    )


def reset_peak(devices: Sequence[str]) -> None:
    """Starts torch's peak counters of the GPUs among `devices` anew."""
    import torch

    for device in devices:
        if device != CPU:
            torch.cuda.reset_peak_memory_stats(int(device.removeprefix("gpu:")))


class Monitor:
    """Samples the devices of a run in a thread while it is entered.

    Invariant: the peaks of a phase cover all the time spent in it, however often it was entered: torch's
    own counters for live and reserved, the largest sample for process and device.
    """

    def __init__(
        self,
        devices: Sequence[str],
        budgets: Mapping[str, int],
        threshold: float,
        warn: Callable[[str], None],
        timeline: Path | None = None,
        live: LiveTensors | None = None,
    ) -> None:
        self.devices = tuple(devices)
        self._budgets, self._threshold, self._warn = budgets, threshold, warn
        self._timeline, self._live = timeline, live
        self._files = file_bytes() if CPU in self.devices else 0
        self._phase: Phase | None = None
        self._entered = self._begun = time.monotonic()
        self._samples: dict[str, dict[str, int]] = {}
        self._holds: dict[tuple[str, str], int] = {}
        self._found: dict[tuple[str, str], Measured] = {}
        self._warned: set[tuple[str, str]] = set()
        self._stop = threading.Event()
        self._mutex = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="memory monitor", daemon=True)

    def __enter__(self) -> Monitor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.enter(None)
        self._stop.set()
        self._thread.join()

    @property
    def measured(self) -> tuple[Measured, ...]:
        """Every phase that has been left, by device."""
        return tuple(self._found.values())

    @property
    def phase(self) -> Phase | None:
        """The phase that peaks are counted for now."""
        return self._phase

    def enter(self, phase: Phase | None) -> None:
        """From here on, peaks are those of `phase`; None is between phases."""
        self._sample()
        now = time.monotonic()
        with self._mutex:
            if self._phase is not None:
                for device in self.devices:
                    self._leave(self._phase, device, now - self._entered)
            self._phase, self._entered = phase, now
            self._samples = {}
        if CPU in self.devices:
            trim_malloc()
        reset_peak(self.devices)
        if self._live is not None:
            self._live.reset_peak()

    @contextmanager
    def inside(self, phase: Phase) -> Iterator[Phase]:
        """Everything inside is `phase`; afterwards it is what it was before."""
        before = self._phase
        self.enter(phase)
        try:
            yield phase
        finally:
            self.enter(before)

    def hold(self, device: str, component: str, bytes_: int) -> None:
        """Says what `component` takes on `device` from now on; a phase records the most it held."""
        key = (device, component)
        self._holds[key] = bytes_
        if self._phase is None:
            return
        place = (self._phase.name, device)
        found = self._found.get(place) or _nothing(self._phase, device)
        most = max(found.components.get(component, 0), bytes_)
        self._found[place] = replace(found, components={**found.components, component: most})

    def _leave(self, phase: Phase, device: str, seconds: float) -> None:
        samples = self._samples.get(device, {})
        if device == CPU:
            live = reserved = None if self._live is None else self._live.peak
            on_device = samples.get("process")
        else:
            import torch

            index = int(device.removeprefix("gpu:"))
            live = torch.cuda.max_memory_allocated(index)
            reserved = torch.cuda.max_memory_reserved(index)
            on_device = samples.get("on_device")
        holds = {component: size for (where, component), size in self._holds.items() if where == device}
        now = replace(
            _nothing(phase, device),
            live=live,
            reserved=reserved,
            process=samples.get("process"),
            on_device=on_device,
            seconds=seconds,
            components=holds,
        )
        self._found[phase.name, device] = _most(self._found.get((phase.name, device)), now)

    def _watch(self) -> None:
        written = 0.0
        file: TextIO | None = None
        if self._timeline is not None:
            file = self._timeline.open("a", encoding="utf-8")
        while not self._stop.wait(SAMPLE_SECONDS):
            readings = self._sample()
            now = time.monotonic()
            if file is not None and now - written >= TIMELINE_SECONDS:
                written = now
                for reading in readings:
                    file.write(json.dumps(self._line(reading, now)) + "\n")
                file.flush()
        if file is not None:
            file.close()

    def _line(self, reading: Reading, now: float) -> dict[str, Any]:
        return {
            "seconds": round(now - self._begun, 3),
            "phase": "" if self._phase is None else self._phase.name,
            "device": reading.device,
            "live": reading.live,
            "reserved": reading.reserved,
            "process": reading.process,
            "on_device": reading.on_device,
        }

    def _sample(self) -> list[Reading]:
        with self._mutex:
            readings = [read_device(device, self._live, self._files) for device in self.devices]
            for reading in readings:
                held = self._samples.setdefault(reading.device, {})
                for name in ("process", "on_device"):
                    value = getattr(reading, name)
                    if value is not None:
                        held[name] = max(held.get(name, 0), value)
                self._check(reading)
        return readings

    def _check(self, reading: Reading) -> None:
        budget = self._budgets.get(reading.device, reading.total)
        used = (reading.process or 0) if reading.device == CPU else reading.on_device
        if self._phase is None or used <= self._threshold * budget:
            return
        key = (self._phase.name, reading.device)
        if key not in self._warned:
            self._warned.add(key)
            said = PastThreshold(reading.device, used, budget)
            self._warn(f"{said} in {self._phase.name}; the threshold is {self._threshold:.0%}")


def _nothing(phase: Phase, device: str) -> Measured:
    """A phase of which nothing has been read yet."""
    return Measured(phase.name, device, None, None, None, None, 0.0, {}, phase.activity)


def _most(before: Measured | None, now: Measured) -> Measured:
    """The larger of each number; seconds add up."""
    if before is None:
        return now

    def larger(name: str) -> int | None:
        values = [v for v in (getattr(before, name), getattr(now, name)) if v is not None]
        return max(values, default=None)

    components = dict(before.components)
    for name, size in now.components.items():
        components[name] = max(components.get(name, 0), size)
    return replace(
        now,
        live=larger("live"),
        reserved=larger("reserved"),
        process=larger("process"),
        on_device=larger("on_device"),
        seconds=before.seconds + now.seconds,
        components=components,
    )
