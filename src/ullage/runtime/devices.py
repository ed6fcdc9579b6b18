"""What the devices of this machine are, and what of them is in use."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from ullage.runtime.reading import CPU, device_number, read_device
from ullage.units import gib


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One device: `name` is its maker's, `total` the bytes it has, `used` what everybody together uses of it.

    `peak` is the most that this process has held there at once: on a GPU in torch's allocator, since the
    start or `reset_peak`; on a processor in RAM, since the start. What the machine does not tell is None.
    """

    device: str
    name: str | None
    total: int
    used: int
    peak: int | None

    @property
    def free(self) -> int:
        """Bytes that nobody uses."""
        return max(self.total - self.used, 0)

    def __str__(self) -> str:
        peak = "unknown" if self.peak is None else gib(self.peak)
        name = "" if self.name is None else f" ({self.name})"
        return (
            f"{self.device}{name}: {gib(self.used)} of {gib(self.total)} in use, peak of this process {peak}"
        )


def device_info(devices: Sequence[str | int] | None = None) -> tuple[DeviceInfo, ...]:
    """What is known of each of `devices`, as `gpu:0` (or 0) or `cpu`; None: of all that are here.

    Raises InputError for what is no device of this machine.
    """
    return tuple(_info(device) for device in (devices_here() if devices is None else devices))


def devices_here() -> tuple[str, ...]:
    """The processor and every GPU that torch sees."""
    import torch

    return (CPU, *(f"gpu:{index}" for index in range(torch.cuda.device_count())))


def _info(device: str | int) -> DeviceInfo:
    reading = read_device(device)
    if reading.device == CPU:
        return DeviceInfo(CPU, _processor(), reading.total, reading.on_device, _resident_peak())
    import torch

    index = device_number(reading.device)
    name = torch.cuda.get_device_name(index)
    return DeviceInfo(
        reading.device, name, reading.total, reading.on_device, torch.cuda.max_memory_reserved(index)
    )


def _processor() -> str | None:
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip() or None
    return platform.processor() or None


def _resident_peak() -> int | None:
    """The kernel's high-water mark of this process in RAM."""
    with suppress(OSError, ValueError), open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
