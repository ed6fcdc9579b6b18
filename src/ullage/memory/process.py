"""What a process takes on a device before and beside the tensors of a model."""

from __future__ import annotations

from typing import NamedTuple

from ullage.facts.abilities import Abilities
from ullage.memory.needs import Basis, Need
from ullage.units import GIB, MIB, ZERO, Interval

MEASURED: Basis = "measured"
CUDA_CONTEXT = Interval(300 * MIB, 522 * MIB, 768 * MIB)
"""CUDA context with lazily loaded kernels. Expected: 0.51 GiB before any tensor on an H100 (vLLM 0.19
start-up logs); low: about 300 MB with lazy loading (pytorch#107667); high: 614 MiB of other
processes in out-of-memory reports, plus kernels loaded during the run."""


TORCH_CONTEXT = Interval(300 * MIB, 756 * MIB, 1024 * MIB)
"""The same with the kernels that torch, cuBLAS and transformers' models load as they are used: 518 MiB as it
is made, 612 after a first tensor, 756 to 830 once models ran, 904 with bitsandbytes (H200, driver 580, CUDA
13.0, torch 2.11: benchmarks/results/gpu-NVIDIA-H200.json)."""


LIBRARIES = Interval(350 * MIB, 550 * MIB, 900 * MIB)
"""Resident size of a process that has imported torch 2.13 (CPU build), transformers 5.19 and pyarrow and
run a model, less the tensors; see benchmarks/results/extract_memory.json."""

GROWTH = Interval(0, 48 * MIB, 176 * MIB)
"""What a process on a processor grows by beside its tensors, from having imported torch and transformers to
its largest: model code, threads, what malloc keeps although it is held to little. 15 to 80 MiB in
benchmarks/results/evidence_runs.json."""

QUANTIZED_GROWTH = Interval(0, 64 * MIB, 80 * MIB)
"""What is added where bitsandbytes quantizes weights while they load: the library and torch's compiler, which
it imports, 57 MiB (bitsandbytes 0.50); the rest of its growth is what malloc keeps of dequantized weights."""


class Overhead(NamedTuple):
    """Bytes a process takes on a device beside its tensors, as measured before; `source` says where."""

    bytes: Interval
    source: str


def beside_tensors(processor: bool, held: int = 0, quantized: bool = False) -> Interval:
    """What a process takes beside its tensors where nothing was measured: on a processor, or on a card.

    `held` is what it holds there before it loads anything: on a processor all of the process, from which it
    grows; on a card tensors that are none of the plan's. `quantized` says that weights are quantized while
    they load.
    """
    if not processor:
        return TORCH_CONTEXT + Interval.exactly(held)
    if not held:
        return LIBRARIES
    growth = GROWTH + QUANTIZED_GROWTH if quantized else GROWTH
    return growth + Interval.exactly(held)


NCCL = Interval(int(0.9 * GIB), int(1.05 * GIB), int(1.6 * GIB))
"""Communicator buffers at tensor parallelism 2 to 4: 1.43-2.01 GiB in use before any tensor, less the
context above (vLLM 0.19, H100)."""
NCCL_BUS = Interval(int(0.1 * GIB), int(0.4 * GIB), int(1.6 * GIB))
"""The same between cards without NVLink; assumed."""


def context_need(abilities: Abilities, overhead: Overhead | None) -> Need:
    """What the process takes on each device beside tensors, and on a processor beside them in RAM."""
    if overhead is not None:
        each, basis, note = overhead.bytes, MEASURED, overhead.source
    elif abilities.simulated:
        each, basis, note = ZERO, MEASURED, "a simulated device holds tensors alone"
    elif abilities.processor:
        each, basis, note = LIBRARIES, MEASURED, ""
    else:
        each, basis, note = TORCH_CONTEXT, *context_basis(abilities)
    return Need("context", (), each, basis, "once", "process", note=note)


def context_basis(abilities: Abilities) -> tuple[Basis, str]:
    """How a GPU's context is known, with what a reader must know of it."""
    if abilities.platform not in ("cuda", "processor"):
        return "assumed", f"as CUDA's; not measured on {abilities.what}"
    return MEASURED, ""


def blas_need(abilities: Abilities) -> Need:
    """Allocated from torch's caching allocator at the first matmul."""
    known: tuple[Basis, str] = ("derived", "cuBLAS")
    if abilities.platform == "rocm":
        known = "assumed", f"hipBLAS and hipBLASLt; not measured on {abilities.what}"
    elif abilities.platform == "apple" or not abilities.known:
        known = "assumed", f"a matrix library's; not measured on {abilities.what}"
    return Need("workspace", (), abilities.blas, known[0], "once", note=known[1])
