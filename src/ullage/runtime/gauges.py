"""What tells a run's memory: this process, cards, or devices that are simulated in its memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ullage.phases.phase import Phase
from ullage.planning.plan import Plan
from ullage.runtime.reading import CPU, Reading, file_bytes, read_device, reset_peak

if TYPE_CHECKING:
    from ullage.runtime.live import LiveTensors


class Peaks(NamedTuple):
    """The most bytes of a phase that has ended; None is not known."""

    live: int | None
    reserved: int | None
    on_device: int | None


class Gauge(Protocol):
    """One device of a run."""

    device: str

    def read(self) -> Reading:
        """What is in use now."""
        ...

    def begin(self, phase: Phase | None) -> None:
        """From here on, peaks are those of `phase`."""
        ...

    def peaks(self, samples: Mapping[str, int]) -> Peaks:
        """Those since `begin`; `samples` are the largest readings of `process` and `on_device` since."""
        ...


class ProcessorGauge:
    """This process: its tensors as torch's operations are watched, its pages as the system counts them."""

    device = CPU

    def __init__(self, live: LiveTensors | None) -> None:
        self._live, self._files = live, file_bytes()

    def read(self) -> Reading:
        return read_device(CPU, self._live, self._files)

    def begin(self, phase: Phase | None) -> None:
        if self._live is not None:
            self._live.reset_peak()

    def peaks(self, samples: Mapping[str, int]) -> Peaks:
        live = None if self._live is None else self._live.peak
        return Peaks(live, live, samples.get("process"))


class CardGauge:
    """A card, by torch's counters and NVML. What was on it before is in process and device alone, and what
    other processes held when the run began is in neither."""

    def __init__(self, device: str) -> None:
        self.device, self._before = device, read_device(device)

    def read(self) -> Reading:
        return read_device(self.device)

    def begin(self, phase: Phase | None) -> None:
        reset_peak((self.device,))

    def peaks(self, samples: Mapping[str, int]) -> Peaks:
        import torch

        index, before = int(self.device.removeprefix("gpu:")), self._before
        on_device = samples.get("on_device")
        if on_device is not None and before.process is not None:
            on_device -= before.on_device - before.process
        return Peaks(
            torch.cuda.max_memory_allocated(index) - (before.live or 0),
            torch.cuda.max_memory_reserved(index) - (before.reserved or 0),
            on_device,
        )


class SharedCardGauge:
    """A card that `sharing` processes share: of its memory this one sees its part, and of what is on it what
    is its own."""

    def __init__(self, device: str, sharing: int) -> None:
        self.device, self._sharing = device, sharing

    def read(self) -> Reading:
        found = read_device(self.device)
        own = found.process if found.process is not None else found.reserved
        return replace(found, on_device=own or 0, total=found.total // self._sharing)

    def begin(self, phase: Phase | None) -> None:
        reset_peak((self.device,))

    def peaks(self, samples: Mapping[str, int]) -> Peaks:
        """Everything on the card is not this process's: of that nothing is said."""
        import torch

        index = int(self.device.removeprefix("gpu:"))
        return Peaks(torch.cuda.max_memory_allocated(index), torch.cuda.max_memory_reserved(index), None)


class SimulatedDevices:
    """Which of this process's tensors count on which simulated device: a role's weights where the plan has
    them, whatever else there is on the first device of the role that runs. What waits counts on none."""

    def __init__(self, plan: Plan, live: LiveTensors, sharing: int = 1) -> None:
        self._live = live
        self.sizes = {device.name: (device.usable or 0) // sharing for device in plan.devices}
        self._first = {
            name: next((each for each in role.placement.device_map.values() if each in self.sizes), "")
            for name, role in plan.roles.items()
        }
        self._here: dict[str, Mapping[str, int]] = {}
        self._waiting: dict[str, int] = {}
        self.working = ""

    def came(self, role: str, weights: Mapping[str, int], tables: int) -> None:
        """Its weights, in bytes by device, are there from now on, and so many bytes of tables beside them."""
        self._waiting.pop(role, None)
        first = self._first[role]
        self._here[role] = {**weights, first: weights.get(first, 0) + tables}

    def left(self, role: str, waits: bool) -> None:
        """Its weights are on no device any more; whether they wait in host memory."""
        gone = sum(self._here.pop(role, {}).values()) or self._waiting.pop(role, 0)
        if waits:
            self._waiting[role] = gone

    def begin(self, phase: Phase | None) -> None:
        self._live.reset_peak()
        self.working = "" if phase is None else self._first.get(phase.running, "")

    def now(self, device: str) -> int:
        """Bytes on `device` now."""
        return self._on(device, self._live.bytes)

    def most(self, device: str) -> int:
        """Bytes on `device` at most in this phase."""
        return self._on(device, self._live.peak)

    def _on(self, device: str, all_bytes: int) -> int:
        weights = sum(each.get(device, 0) for each in self._here.values())
        if device != self.working:
            return weights
        every = sum(sum(each.values()) for each in self._here.values()) + sum(self._waiting.values())
        return weights + max(all_bytes - every, 0)


class SimulatedGauge:
    """One of the simulated devices."""

    def __init__(self, device: str, devices: SimulatedDevices) -> None:
        self.device, self._devices = device, devices

    def read(self) -> Reading:
        now = self._devices.now(self.device)
        return Reading(self.device, now, now, None, now, self._devices.sizes[self.device])

    def begin(self, phase: Phase | None) -> None:
        self._devices.begin(phase)

    def peaks(self, samples: Mapping[str, int]) -> Peaks:
        most = self._devices.most(self.device)
        return Peaks(most, most, most)
