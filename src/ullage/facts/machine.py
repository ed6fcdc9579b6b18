"""The machine this runs on: its GPUs as NVML reports them, or its processor and RAM."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Final

from ullage.facts.abilities import PROCESSOR, nvidia
from ullage.facts.gpu import Gpu, GpuSet, Rate
from ullage.facts.gpu_catalog import candidates
from ullage.units import Interval

ALIKE: Final = 1.1
"""A driver's total against the most that torch reports of such a card."""
PROCESSOR_ID: Final = "CPU"
"""What stands for a card's name where everything runs in host memory."""
CPU_BANDWIDTH: Final = 2e10
"""Assumed bytes per second one socket of a small machine reads from RAM (two DDR4 channels)."""
CPU_FLOPS: Final = 5e10
"""Assumed fp32 operations per second and core with AVX2: 3 GHz x 16."""


def processor() -> GpuSet:
    """This machine without its GPUs: one device `cpu` with all of the RAM that this process may take."""
    from ullage.facts.health.host import memory_limit

    limit, _ = memory_limit()
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    operations = Rate(CPU_FLOPS * (os.cpu_count() or 1), "assumed")
    only = Gpu(
        id=PROCESSOR_ID,
        usable=Interval.exactly(total if limit is None else min(limit, total)),
        usable_basis="measured",
        bandwidth=CPU_BANDWIDTH,
        operations=operations,
        abilities=PROCESSOR,
        pcie=CPU_BANDWIDTH,
        usable_source="this machine's RAM" if limit is None or limit >= total else "its container's limit",
    )
    return GpuSet((only,))


def local_gpus() -> GpuSet:
    """The GPUs NVML lists, in the order of CUDA_VISIBLE_DEVICES; `processor()` where there are none.

    What other processes hold now is not usable. Of a card the catalog does not know, memory, compute
    capability and name are known, and no speed.
    """
    try:
        import pynvml
    except ImportError:
        return processor()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return processor()
    try:
        found = tuple(_local(pynvml, index) for index in visible_cards(pynvml.nvmlDeviceGetCount()))
    finally:
        pynvml.nvmlShutdown()
    return GpuSet(found) if found else processor()


def visible_cards(count: int) -> list[int]:
    """Those of `count` cards that CUDA_VISIBLE_DEVICES lets programs see, by NVML's numbers."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return list(range(count))
    numbers = [int(part) for part in named.split(",") if part.strip().isdigit()]
    return [number for number in numbers if number < count]


def _others(nvml: Any, handle: Any, used: int) -> int:
    """Bytes that other processes hold on a card now: all that is used but what this one does."""
    try:
        running = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except nvml.NVMLError:
        return used
    return max(used - sum(one.usedGpuMemory or 0 for one in running if one.pid == os.getpid()), 0)


def _local(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    name = nvml.nvmlDeviceGetName(handle)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    usable = Interval.exactly(int(memory.total - memory.reserved - _others(nvml, handle, memory.used)))
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    abilities = nvidia((major, minor))
    source = "this card's driver, less what others hold now"
    meant = [card for card in candidates(name) if card.abilities == abilities]
    if len(meant) > 1:  # a name of several sizes
        meant = [card for card in meant if card.usable.low <= memory.total <= card.usable.high * ALIKE]
    if len(meant) != 1:
        return Gpu(name, usable, "measured", None, None, abilities, None, usable_source=source)
    return replace(meant[0], usable=usable, usable_basis="measured", usable_source=source)
