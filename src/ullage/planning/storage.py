"""What has to lie on disk: the checkpoints of all roles held here, and what the kind keeps beyond a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ullage.facts.architecture import Architecture, Model
from ullage.facts.dtypes import DTYPES, SHORT_NAMES
from ullage.planning.plan import Plan
from ullage.spec.stored import Stored
from ullage.spec.workload import Workload
from ullage.units import Interval, gib, parse_bytes

CHECKPOINT: Final = "checkpoint of "
"""How the line of a checkpoint begins; the roles follow."""


def stored(workload: Workload, models: Mapping[str, Model]) -> tuple[Stored, ...]:
    """Each model's checkpoint once, whoever runs it; then what the workload's kind keeps."""
    kept = () if workload.section is None else workload.section.stored(workload, models)
    return (*_checkpoints(workload, models), *kept)


def _checkpoints(workload: Workload, models: Mapping[str, Model]) -> Iterator[Stored]:
    for name, model in models.items():
        roles = [role for role, each in workload.roles.items() if each.model == name]
        what = CHECKPOINT + ", ".join(roles)
        if model.checkpoint is not None:
            yield Stored(what, Interval.exactly(model.checkpoint.bytes), "exact", "all tensors of its files")
            continue
        width = DTYPES[SHORT_NAMES.get(model.dtype, "fp32")]
        size = model.parameters * width
        if isinstance(model, Architecture) and model.quantization is not None:
            bits = min(model.quantization.bits, 8 * width)
            least = size * bits // (8 * width)
            note = f"quantized to {bits} bits; its scales, and what is not quantized, take more"
            yield Stored(what, Interval(least, least, size), "derived", note)
            continue
        yield Stored(what, Interval.exactly(size), "derived", f"its parameters in {model.dtype}")


def over_disk(plan: Plan) -> Iterator[str]:
    """A line where what lies on disk, and what the run writes, exceeds the budget that the file gives."""
    given = plan.workload.budget.disk
    if given is None:
        return
    written: dict[str, int] = {}
    for item in plan.bill.items:
        if item.device == "disk" and item.component != "weights":
            written[item.phase] = written.get(item.phase, 0) + item.bytes.high
    lies = sum(each.bytes.high for each in plan.stored)
    whole = lies + max(written.values(), default=0)
    if whole > parse_bytes(given):
        yield (
            f"budget.disk is {given}; checkpoints and what is kept beside them take {gib(lies)}, with what "
            f"the run writes {gib(whole)}"
        )
