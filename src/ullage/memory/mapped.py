"""Pages of a checkpoint's file, which a process on a processor has mapped into itself."""

from __future__ import annotations

from ullage.facts.architecture import Architecture
from ullage.memory.demand import Need
from ullage.memory.dtypes import ELEMENT_BYTES, SHORT_NAMES, ResolvedPrecision
from ullage.spec.phase import Phase, Resident
from ullage.units import Interval


def mapped_needs(
    resident: Resident, architecture: Architecture, phase: Phase, precision: ResolvedPrecision
) -> tuple[Need, ...]:
    """The file beside the weights made from it, where they are converted while they load.

    Source: `safetensors` maps a file whole and lets it go with the last tensor that lies in it (resident
    size of a Llama of 300 MiB in fp32: 300 MiB more in nf4 for as long as it is there, its norms lie in the
    file; in bf16 while it loads). Weights that are used as they are stored are those pages, and not billed
    twice. A system short of memory takes the pages back, so the low value is 0.
    """
    checkpoint = architecture.checkpoint
    stored = SHORT_NAMES.get(architecture.dtype, "fp32")
    gguf = checkpoint is not None and checkpoint.format == "gguf"
    as_stored = stored == precision.storage and not gguf
    if resident.where != "device" or precision.quantization is not None or as_stored:
        return ()
    converted_all = gguf or precision.compute != stored
    loading = phase.work.activity == "load" and phase.running == resident.name
    if converted_all and not loading:
        return ()
    size = checkpoint.bytes if checkpoint is not None else architecture.parameters * ELEMENT_BYTES[stored]
    note = "pages of the checkpoint's file, from which the weights are converted"
    each = Interval(0, size, size)
    return (Need(resident.name, "load", phase.name, (0,), each, "derived", "once", "process", note=note),)
