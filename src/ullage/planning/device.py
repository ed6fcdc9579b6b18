"""The devices of a plan with what may be used of each."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from ullage.facts.gpu import Gpu, GpuSet
from ullage.spec.budget import Budget
from ullage.units import parse_bytes

HOST = "host"
DISK = "disk"
CPU_NAME = "cpu"
"""The one device of a run without GPUs."""


class Device(NamedTuple):
    """`usable` bytes at the cautious end, and `budget`: those minus the reserve."""

    name: str
    gpu: Gpu
    usable: int
    budget: int


@lru_cache(maxsize=1024)
def devices_of(gpus: GpuSet, budget: Budget) -> tuple[Device, ...]:
    """One device per GPU; the reserve is a size or a share of what is usable."""
    share = re.fullmatch(r"\s*([\d.]+)\s*%\s*", budget.reserve)
    found = []
    for name, gpu in zip(gpus.device_names, gpus.gpus, strict=True):
        usable = gpu.usable.low
        if gpu.abilities.unified and budget.host_memory is not None:
            usable = min(usable, parse_bytes(budget.host_memory))
        kept = int(usable * float(share[1]) / 100) if share else parse_bytes(budget.reserve)
        found.append(Device(name, gpu, usable, max(usable - kept, 0)))
    return tuple(found)


def host_of(devices: tuple[Device, ...]) -> str:
    """The device that host memory is: its own, or the one that everything runs on and shares it."""
    return devices[0].name if devices and devices[0].gpu.abilities.unified else HOST


Limits = tuple[int | None, int | None]


@lru_cache(maxsize=256)
def limits_of(devices: tuple[Device, ...], budget: Budget) -> dict[str, Limits]:
    """(usable, budget) bytes by device name; None for host memory or disk the file does not limit."""
    limits: dict[str, Limits] = {device.name: (device.usable, device.budget) for device in devices}
    for name, text in ((host_of(devices), budget.host_memory), (DISK, budget.disk)):
        size = None if text is None else parse_bytes(text)
        if name not in limits:
            limits[name] = (size, size)
    return limits
