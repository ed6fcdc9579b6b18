"""What goes wrong, by what one sees of it, with this workload's own figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ullage.errors import InputError
from ullage.planning.claimed import amount_in
from ullage.reports.advice_page import in_short
from ullage.reports.pages.page import Code, Items, Part
from ullage.units import GIB, gib

if TYPE_CHECKING:
    from ullage.planning.plan import Plan

LEAST: Final = GIB // 100
"""Bytes below which a component is no reason for anything."""


def symptoms(plan: Plan) -> Iterator[tuple[str, tuple[Part, ...]]]:
    """A title and what to do for each; those that this workload cannot have are left out."""
    if not plan.roles:
        return
    yield '"CUDA out of memory" while a model is loaded', (Items(tuple(_loading(plan))),)
    yield '"CUDA out of memory" while it works', (Items(tuple(_working(plan))),)
    if plan.workload.captures:
        yield '"CUDA out of memory" while states are kept', (Items(tuple(_capturing(plan))),)
    yield "Memory is free and cannot be had (fragmentation)", tuple(_fragmented(plan))
    yield (
        "Other processes hold the card",
        (
            Items(
                (
                    "A plan counts with a card that nothing else uses; budget.reserve keeps some of it free.",
                    "`nvidia-smi` names who holds memory, `ullage doctor` says what this machine has free.",
                )
            ),
        ),
    )
    yield "bf16 or flash attention is refused", (Items(tuple(_able(plan))),)
    yield "It is slow", (Items(tuple(_slow(plan))),)
    if len(plan.gpus.gpus) > 1:
        yield "A model is on one card, the others are empty", (Items(tuple(_split(plan))),)


def _size(plan: Plan, metric: str) -> float:
    try:
        return amount_in(plan, metric).high
    except InputError:
        return 0.0


def _loading(plan: Plan) -> Iterator[str]:
    yield f"Weights take {gib(_size(plan, 'weights'))} in all."
    smaller = [
        name for name, role in plan.roles.items() if role.precision.storage in ("fp32", "bf16", "fp16")
    ]
    if smaller:
        yield f"Fewer bits: `--set roles.{smaller[0]}.precision=int8`, or nf4; see the table by precision."
    if len(plan.roles) > 1:
        yield "One model at a time: `--set schedule=sequential`, if not so already."
    yield from (f"Advice: {entry.gpus}, {in_short(entry)}" for entry in plan.advice[:1])


def _working(plan: Plan) -> Iterator[str]:
    cache = _size(plan, "kv_cache")
    if cache >= LEAST:
        yield f"The cache takes {gib(cache)}, and grows with batch and context; see the tables of both."
    moving = _size(plan, "activations") + _size(plan, "logits")
    if moving >= LEAST:
        yield f"Activations and logits take {gib(moving)} at most."
    halved = _halved(plan)
    if halved:
        yield f"`{halved}` halves most of both."
    yield "A run splits a batch that does not fit, and says so in its record: `ullage verify RUN`."
    yield "Shorter prompts: `--set prompt_tokens=N`; a run cuts or refuses longer ones as its kind says."


def _halved(plan: Plan) -> str:
    """Every batch that is more than one, by half, as it is typed."""
    workload = plan.workload
    batches = {f"roles.{name}.batch": role.batch for name, role in workload.roles.items() if role.batch}
    if len(batches) < len(workload.roles):
        batches["batch"] = workload.batch
    return " ".join(f"--set {path}={size // 2}" for path, size in batches.items() if size > 1)


def _capturing(plan: Plan) -> Iterator[str]:
    yield f"Kept states take {gib(_size(plan, 'captures'))} of the cards."
    yield "Fewer layers or positions, or `--set captures.0.keep=disk`."
    yield "`--set memory.streaming_chunk_size=512` reads a long text in pieces."


def _fragmented(plan: Plan) -> Iterator[Part]:
    reserved = _size(plan, "reserved") - _size(plan, "live")
    yield Items(
        (f"The plan counts with {gib(max(reserved, 0.0))} that the allocator holds beside what is alive.",)
    )
    yield Code("export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True", "bash")


def _able(plan: Plan) -> Iterator[str]:
    can = plan.gpus.abilities
    names = [
        name
        for name, able in (("bf16", can.bf16), ("fp16", can.fp16), ("flash attention", can.flash))
        if able
    ]
    yield f"{plan.gpus.name} can: {', '.join(names) or 'none of bf16, fp16 and flash attention'}."
    yield "`precision: auto` takes the first that a card can do, and says which."


def _slow(plan: Plan) -> Iterator[str]:
    known = [each for each in plan.times if each.total_seconds is not None]
    longest = max(
        known, key=lambda each: each.total_seconds.expected if each.total_seconds else 0.0, default=None
    )
    if longest is not None:
        yield f"Most of the time is planned for {longest.phase}, bound by {longest.bound}."
        if longest.bound == "memory":
            yield "Larger batches help most there: see the table of batches."
    yield "`ullage verify RUN` shows planned beside measured times."


def _split(plan: Plan) -> Iterator[str]:
    for name, role in plan.roles.items():
        yield f"{name} is planned on {role.placement.where}"
    yield "`ullage check FILE` loads every model and prints where its blocks are."
