"""The machine this runs on: its GPUs as NVML reports them, or its processor and RAM."""

from __future__ import annotations

import os
from typing import Final

from ullage.errors import UnknownNameError
from ullage.facts.gpu import CPU, Gpu, GpuSet, find_gpu
from ullage.units import Interval

PROCESSOR: Final = "CPU"
"""What stands for a card's name where everything runs in host memory."""
CPU_BANDWIDTH: Final = 2e10
"""Assumed bytes per second one socket of a small machine reads from RAM (two DDR4 channels)."""
CPU_FLOPS: Final = 5e10
"""Assumed fp32 operations per second and core with AVX2: 3 GHz x 16."""


def processor() -> GpuSet:
    """This machine without its GPUs: one device `cpu` with all of the RAM."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    flops = CPU_FLOPS * (os.cpu_count() or 1)
    only = Gpu(PROCESSOR, Interval.exactly(total), "measured", CPU_BANDWIDTH, flops, CPU, CPU_BANDWIDTH, None)
    return GpuSet((only,))


def local_gpus() -> GpuSet:
    """The GPUs NVML lists, in the order of CUDA_VISIBLE_DEVICES; `processor()` where there are none.

    A card the catalog does not know takes its speed from the nearest known one; its memory, compute
    capability and name are its own.
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
        found = [_local(pynvml, index) for index in _visible(pynvml.nvmlDeviceGetCount())]
    finally:
        pynvml.nvmlShutdown()
    return GpuSet(tuple(found)) if found else processor()


def _visible(count: int) -> list[int]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return list(range(count))
    numbers = [int(part) for part in named.split(",") if part.strip().isdigit()]
    return [number for number in numbers if number < count]


def _local(pynvml: object, index: int) -> Gpu:
    from typing import Any

    nvml: Any = pynvml
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    name = nvml.nvmlDeviceGetName(handle)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    usable = Interval.exactly(int(memory.total - memory.reserved))
    try:
        known = find_gpu(name)
    except UnknownNameError as error:
        known = find_gpu(error.nearest[0]) if error.nearest else find_gpu("A100")
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    return Gpu(
        known.id if known.compute_capability == (major, minor) else name,
        usable,
        "measured",
        known.bandwidth,
        known.flops,
        (major, minor),
        known.pcie,
        known.nvlink,
    )
