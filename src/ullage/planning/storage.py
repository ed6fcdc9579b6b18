"""What has to lie on disk: the checkpoints of all roles held here, and what the kind keeps beyond a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from ullage.facts.architecture import Architecture, Model
from ullage.facts.bundled import local_path
from ullage.facts.dtypes import DTYPES, SHORT_NAMES
from ullage.facts.headers_only import SIZES
from ullage.memory.weights.precision import ResolvedPrecision, comes_stored
from ullage.memory.weights.tensors import block_bytes, distinct_layers
from ullage.phases.blocks import base_work
from ullage.planning.device import DISK
from ullage.planning.plan import Plan
from ullage.spec.stored import Stored
from ullage.units import ZERO, Estimate, Interval, gib, parse_bytes, peak
from ullage.urls import is_url

CHECKPOINT: Final = "checkpoint of "
"""How the line of a checkpoint begins; the roles follow."""
COPY: Final = "copy of "
"""How the line of an input in a store begins; its URL follows."""
TOKEN_BYTES: Final = Estimate(2.0, 5.0, 12.0)
"""Of text and what a file says around it, assumed: four to five letters a token in English, fewer elsewhere,
and up to three bytes a letter."""


def stored(plan: Plan, base: Path | None = None) -> tuple[Stored, ...]:
    """Each model's checkpoint once, whoever runs it, and once more in each scheme that it has to be stored in
    for a role; then what the workload's kind keeps. Paths are relative to `base`."""
    workload = plan.workload
    kept = () if workload.section is None else workload.section.stored(workload, plan.models)
    return (*_checkpoints(plan, base), *kept)


def _checkpoints(plan: Plan, base: Path | None) -> Iterator[Stored]:
    every = plan.workload.roles
    for name, model in plan.models.items():
        whose: dict[ResolvedPrecision | None, list[str]] = {None: []}  # first those of the model's own
        for role, each in every.items():
            if each.model == name and role in plan.roles:
                precision = plan.roles[role].precision
                apart = precision.unexplained if comes_stored(each, precision) else None
                whose.setdefault(apart, []).append(role)
        drafting = (role for role, each in every.items() if each.settings.drafts() == name)
        whose[None] += [f"the drafts of {role}" for role in drafting]
        path = local_path(name, base)
        fetched = not path.exists() or (path / SIZES).exists()
        for stored_in, these in whose.items():
            if these:
                size, basis, note = _checkpoint(model, stored_in)
                yield Stored(CHECKPOINT + ", ".join(these), size, basis, note, fetched=fetched)


def _checkpoint(
    model: Model, stored_in: ResolvedPrecision | None
) -> tuple[Interval, Literal["exact", "derived"], str]:
    """Bytes of a model's files, or of such as are `stored_in` a scheme, how they are known, and what is to be
    said of them."""
    if stored_in is not None:
        assert isinstance(model, Architecture)
        note = f"one stored in {stored_in.storage}, which a run has to name"
        return Interval.exactly(_bytes_in(model, stored_in)), "derived", note
    if model.checkpoint is not None:
        return Interval.exactly(model.checkpoint.bytes), "exact", "all tensors of its files"
    width = DTYPES[SHORT_NAMES.get(model.dtype, "fp32")]
    size = model.parameters * width
    if isinstance(model, Architecture) and model.quantization is not None:
        half = SHORT_NAMES.get(model.dtype, "bf16")
        held = _bytes_in(model, ResolvedPrecision(model.quantization.method, half, "", model.quantization))
        bits = model.quantization.bits
        note = f"quantized to {bits} bits, its scales counted; what else it holds is not known"
        return Interval(held, held, max(size, held)), "derived", note
    return Interval.exactly(size), "derived", f"its parameters in {model.dtype}"


def _bytes_in(model: Architecture, precision: ResolvedPrecision) -> int:
    """Of all tensors, as they are stored in a scheme."""
    parts = [(layer.weights, len(blocks)) for layer, blocks in distinct_layers(model)]
    parts += [(model.embeddings, 1), (model.final, 1), (model.head, 1)]
    return sum(block_bytes(weights, precision).bytes * count for weights, count in parts)


def copied(plan: Plan) -> Iterator[Stored]:
    """The copy that each machine has of an input in a store, whole, whichever part of it is done there. The
    store is not asked: its bytes are those that the planned lengths come to."""
    files = plan.workload.section.files() if plan.workload.section is not None else ()
    if not files or not is_url(files[0]):
        return
    read, _ = texts(plan)
    size = TOKEN_BYTES * (read * plan.workload.examples)
    note = "2 to 12 bytes a token, assumed; every machine that does some of it copies all of it first"
    yield Stored(COPY + files[0], Interval(*map(round, size)), "derived", note)


def texts(plan: Plan) -> tuple[float, float]:
    """Tokens of a record's own prompt, as the role reads it that is first asked, and of all that is written
    for it."""
    steady = [phase for phase in plan.phases if not phase.once]
    read = base_work(steady[0].running, plan.workload).prompt_tokens if steady else 0
    works = [phase.work for phase in steady if phase.activity != "prefill"]
    return read, sum(work.batch * work.passes * work.new_tokens for work in works)


def written(plan: Plan) -> Interval:
    """What a run writes beside its texts: states that are kept on disk, in the phase that leaves most."""
    phases: dict[str, Interval] = {}
    for item in plan.bill.items:
        if item.device == DISK and item.component != "weights":
            phases[item.phase] = phases.get(item.phase, ZERO) + item.bytes
    return peak(phases.values())


def over_disk(plan: Plan) -> Iterator[str]:
    """A line where what lies on disk, and what the run writes, exceeds the budget that the file gives."""
    given = plan.workload.budget.disk
    if given is None:
        return
    lies = sum(each.bytes.high for each in plan.stored)
    whole = lies + written(plan).high
    if whole > parse_bytes(given):
        yield (
            f"budget.disk is {given}; checkpoints and what is kept beside them take {gib(lies)}, with what "
            f"the run writes {gib(whole)}"
        )
