"""What is in use on a device at one moment, and what may still be taken there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ullage.errors import InputError
from ullage.units import gib, parse_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from ullage.runtime.live import LiveTensors

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
    """A device past the threshold: bytes `used` by everybody of its `total`."""

    device: str
    used: int
    total: int

    def __str__(self) -> str:
        share = 100 * self.used / self.total
        return f"{self.device}: {gib(self.used)} of {gib(self.total)} in use ({share:.0f} %)"


def read_device(device: str | int, live: LiveTensors | None = None, files: int = 0) -> Reading:
    """What is in use on `cpu` or `gpu:N` (or N) now. Raises InputError for what is no device of this machine.

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

    index = device_number(device)
    free, total = torch.cuda.mem_get_info(index)
    used = total - free
    allocated, reserved = torch.cuda.memory_allocated(index), torch.cuda.memory_reserved(index)
    return Reading(f"gpu:{index}", allocated, reserved, _process_on(index), used, total)


def device_number(device: str | int) -> int:
    """torch's number of a GPU. Raises InputError for what is no device of this machine."""
    import torch

    name = f"gpu:{device}" if type(device) is int else str(device)
    number = name.removeprefix("gpu:")
    count = torch.cuda.device_count()
    if name.startswith("gpu:") and number.isdecimal() and int(number) < count:
        return int(number)
    have = ", ".join([CPU, *(f"gpu:{index}" for index in range(count))])
    raise InputError(f"device {name!r}: is not here; there is {have}")


def device_name(tensor: Tensor) -> str:
    """Where a tensor lies, as plans name it: `cpu` or `gpu:N`."""
    return CPU if tensor.device.type == "cpu" else f"gpu:{tensor.device.index}"


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
def _handle(index: int) -> object:
    """NVML's handle of torch's GPU `index`, for its own functions; None where NVML is not to be had."""
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


def can_allocate(bytes_: int | str, device: str | int = CPU) -> bool:
    """Whether `bytes_` more (a number, or a size as 10GiB) fit on a device now: free memory and what the
    allocator holds unused. Raises InputError for what is no size, or no device of this machine."""
    asked = parse_bytes(bytes_) if isinstance(bytes_, str) else bytes_
    if isinstance(asked, bool) or not isinstance(asked, int | float) or not asked >= 0:
        raise InputError(f"bytes: {asked!r} is no size; write a number of bytes, or for example 10GiB")
    reading = read_device(device)
    spare = (reading.reserved or 0) - (reading.live or 0) if device != CPU else 0
    return asked <= reading.free + spare


def check_threshold(
    threshold: float = 0.85, devices: Sequence[str | int] = (CPU,)
) -> tuple[PastThreshold, ...]:
    """A warning for each device of which more than `threshold` (a share) is in use, by whomever.

    Raises InputError for what is no device of this machine.
    """
    readings = [read_device(device) for device in devices]
    return tuple(
        PastThreshold(r.device, r.on_device, r.total) for r in readings if r.on_device > threshold * r.total
    )


def reset_peak(devices: Sequence[str | int]) -> None:
    """Starts torch's peak counters of the GPUs among `devices` anew; a processor has none. Raises InputError
    for what is no device of this machine."""
    import torch

    for device in devices:
        if device != CPU:
            torch.cuda.reset_peak_memory_stats(device_number(device))
