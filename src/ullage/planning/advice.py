"""The smallest changes that make a workload fit, and the cards that would hold it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from ullage.errors import InputError
from ullage.facts.dtypes import DTYPES
from ullage.facts.gpu import GpuSet
from ullage.facts.price import Prices
from ullage.facts.quantization.known import on_the_fly
from ullage.planning.plan import Advice, Verdict
from ullage.spec.engine import EngineDescription
from ullage.spec.role import Role
from ullage.spec.section import Section
from ullage.spec.training import Training
from ullage.spec.workload import Workload
from ullage.units import ZERO, Interval

CONTEXT_LOSS = 0.25
"""Assumed loss of halving a prompt: what is cut is gone."""
LOSS_FLOOR = 0.002
"""Loss at which a harmless change and a lossy one of equal effect are weighed: harmless ones come first
unless they free five hundred times less."""
SETS_TRIED = 24
HARMLESS = ("schedule", "captures", "chunk", "checkpoint", "batch", "attention", "optimizer")
LOWER = ("precision", "trained")
"""Fewer bits, or fewer parameters that are trained."""
Changes = tuple[tuple[str, str], ...]


class Outcome(NamedTuple):
    """What a candidate comes to: the lean result of planning it."""

    verdict: Verdict
    peak: Interval
    over: int
    seconds_per_1000: float | None
    usd_per_1000: float | None


IMPOSSIBLE = Outcome("does not fit", ZERO, 2**62, 0.0, None)
"""What a combination comes to that the engine or a card refuses."""
Evaluate = Callable[[Workload, GpuSet], Outcome]


class _Step(NamedTuple):
    """One change to one part of a workload, with what it loses."""

    axis: str
    path: str
    value: str
    loss: float
    note: str


def advise(
    workload: Workload,
    gpus: GpuSet,
    outcome: Outcome,
    evaluate: Evaluate,
    apply: Callable[[Workload, Changes], Workload],
    prices: Prices,
) -> tuple[Advice, ...]:
    """Entries that no other of their group beats in both quality loss and dollars per 1000 examples.

    Changes on the same GPUs where the workload does not fit them; other GPU sets for the unchanged
    workload, cheapest per hour first. `apply` makes the changes.
    """
    found: list[Advice] = []
    if outcome.verdict != "fits":
        found += _on_same_gpus(workload, gpus, outcome, evaluate, apply)
    for candidate in islice(_cheaper_sets(gpus, outcome, prices), SETS_TRIED):
        result = _tried(evaluate, workload, candidate)
        if result is not None and result.verdict == "fits":
            found.append(_advice((), candidate, result, outcome, 0.0, "unchanged"))
            if sum(not entry.changes for entry in found) >= 3:
                break
    same = [entry for entry in found if entry.gpus == gpus.name]
    other = [entry for entry in found if entry.gpus != gpus.name]
    return (*_front(same), *_front(other))


def _advice(
    changes: Changes, gpus: GpuSet, result: Outcome, before: Outcome, loss: float, note: str
) -> Advice:
    return Advice(
        changes,
        gpus.name,
        result.verdict,
        round(loss, 4),
        note,
        result.seconds_per_1000,
        result.usd_per_1000,
        before.peak.high - result.peak.high,
        result.peak,
    )


def _on_same_gpus(
    workload: Workload,
    gpus: GpuSet,
    before: Outcome,
    evaluate: Evaluate,
    apply: Callable[[Workload, Changes], Workload],
) -> Iterator[Advice]:
    """The first way to fit: harmless changes alone, then lower precision too, then offloading to
    the CPU, and a shorter context as the last resort."""
    axes = _axes(workload)
    search = _Search(workload, gpus, evaluate, apply)
    allowed: list[tuple[_Step, ...]] = []
    for kinds in (HARMLESS, LOWER, ("offload",), ("context",)):
        allowed = allowed + [axis for axis in axes if axis[0].axis in kinds]
        steps = search.descend(allowed, before)
        if steps is None:
            continue
        changes = tuple((step.path, step.value) for step in steps)
        loss = sum(step.loss for step in steps)
        note = "; ".join(dict.fromkeys(step.note for step in steps))
        yield _advice(changes, gpus, search.outcome(steps), before, loss, note)
        return


class _Search:
    """Greedy descent: the change that frees most per loss, until it fits; then whatever turned out
    not to be needed is taken back. Each set of changes is planned once."""

    def __init__(
        self,
        workload: Workload,
        gpus: GpuSet,
        evaluate: Evaluate,
        apply: Callable[[Workload, Changes], Workload],
    ) -> None:
        self._workload, self._gpus = workload, gpus
        self._evaluate, self._apply = evaluate, apply
        self._seen: dict[frozenset[_Step], Outcome] = {}

    def outcome(self, steps: tuple[_Step, ...]) -> Outcome:
        key = frozenset(steps)
        if key not in self._seen:
            changes = tuple((step.path, step.value) for step in steps)
            result = _tried(self._evaluate, self._apply(self._workload, changes), self._gpus)
            self._seen[key] = IMPOSSIBLE if result is None else result
        return self._seen[key]

    def descend(self, axes: list[tuple[_Step, ...]], before: Outcome) -> tuple[_Step, ...] | None:
        """Steps after which the workload fits, one per axis at most; None when it never does."""
        levels = [0] * len(axes)
        at = before
        while at.verdict != "fits":
            moves = []
            for index, axis in enumerate(axes):
                if levels[index] < len(axis):
                    further = [*levels[:index], levels[index] + 1, *levels[index + 1 :]]
                    result = self.outcome(_steps(axes, further))
                    lost = axis[levels[index]].loss + LOSS_FLOOR
                    moves.append(((at.over - result.over) / lost, -index, further, result))
            gains = [move for move in moves if move[0] > 0]
            if not gains:
                return None
            _, _, levels, at = max(gains, key=lambda move: move[:2])
        return _steps(axes, self._undo(axes, levels))

    def _undo(self, axes: list[tuple[_Step, ...]], levels: list[int]) -> list[int]:
        """Takes back, most lossy first, what the rest fits without."""
        by_loss = sorted(range(len(axes)), key=lambda i: -max(step.loss for step in axes[i]))
        for index in by_loss:
            while levels[index]:
                less = [*levels[:index], levels[index] - 1, *levels[index + 1 :]]
                if self.outcome(_steps(axes, less)).verdict != "fits":
                    break
                levels = less
        return levels


def _steps(axes: list[tuple[_Step, ...]], levels: list[int]) -> tuple[_Step, ...]:
    return tuple(axis[level - 1] for axis, level in zip(axes, levels, strict=True) if level)


def _axes(workload: Workload) -> list[tuple[_Step, ...]]:
    """What can be changed: harmless things first, then precision role by role, context last."""
    axes: list[tuple[_Step, ...]] = []
    if workload.schedule in ("simultaneous", "persistent", "auto") and len(workload.roles) > 1:
        turns = (workload.section or Section).taking_turns
        axes.append((_Step("schedule", "schedule", turns, 0.0, "roles take turns: slower"),))
    for index, capture in enumerate(workload.captures):
        if capture.keep == "device":
            path = f"captures.{index}.keep"
            axes.append((_Step("captures", path, "host", 0.0, "captures leave the GPU"),))
    chunked = workload.memory.streaming_chunk_size is not None
    if not chunked and workload.training is None and workload.prompt_tokens > 1024:
        path = "memory.streaming_chunk_size"
        axes.append((_Step("chunk", path, "512", 0.0, "prefill in chunks: slower"),))
    if workload.training is not None:
        axes += _axes_of_training(workload, workload.training)
    for name, role in workload.roles.items():
        axes += _axes_of(name, role, role.batch or workload.batch)
    for name, role in workload.roles.items():
        held = role.max_memory is not None or role.device_map is not None
        if role.runs_with.splits_layers and not held and workload.training is None:
            step = _Step(
                "offload",
                f"roles.{name}.max_memory",
                "{cpu: 4TiB}",
                0.0,
                f"{name} partly in host memory: far slower",
            )
            axes.append((step,))
    shortened = "shorter prompts"
    if workload.training is not None:
        shortened = "shorter texts: what is cut off is not learned"
    shorter = [workload.prompt_tokens >> shift for shift in (1, 2, 3)]
    axes.append(
        tuple(
            _Step("context", "prompt_tokens", str(tokens), CONTEXT_LOSS * n, shortened)
            for n, tokens in enumerate(shorter, 1)
            if tokens >= 1
        )
    )
    return [axis for axis in axes if axis]


def _axes_of_training(workload: Workload, training: Training) -> Iterator[tuple[_Step, ...]]:
    """What can be changed of a training step. Layers are not offloaded: Trainer takes no such model."""
    if not workload.memory.enable_gradient_checkpointing:
        path = "memory.enable_gradient_checkpointing"
        yield (_Step("checkpoint", path, "true", 0.0, "a third more computation"),)
    if training.optimizer == "adamw":
        yield (_Step("optimizer", "training.optimizer", "adamw-8bit", 0.002, "optimizer state in 8 bits"),)
    if training.whole:
        note = "adapters of rank 16 are trained instead of all weights"
        yield (_Step("trained", "training.lora", "{r: 16}", 0.02, note),)
    elif training.lora is not None and training.lora.prepare_model_for_kbit_training:
        path = "training.lora.prepare_model_for_kbit_training"
        yield (_Step("trained", path, "false", 0.005, "embedding, norms and output layer stay in 16 bits"),)


def _axes_of(name: str, role: Role, batch: int) -> Iterator[tuple[_Step, ...]]:
    """What can be changed of one role by itself, where it runs here."""
    if not role.runs_with.local:
        return
    smaller = [batch >> shift for shift in range(1, 11) if batch >> shift >= 1]
    yield tuple(_Step("batch", f"roles.{name}.batch", str(b), 0.0, "smaller batches") for b in smaller)
    if role.runs_with.memory == "process" and role.attention in ("eager", "sdpa-math"):
        yield (_Step("attention", f"roles.{name}.attention", "sdpa", 0.0, "same result, other kernel"),)
    path = f"roles.{name}.precision"
    yield tuple(
        _Step("precision", path, lower, loss, f"{name} in {lower}")
        for lower, loss in _lower(role.precision, role.runs_with)
    )


def _lower(precision: str, engine: EngineDescription) -> tuple[tuple[str, float], ...]:
    """Precisions below the present one with their losses, where the engine can make every one of them."""
    schemes = on_the_fly()
    if not all(engine.quantizes(each) for each in schemes.values()):
        return ()
    made = tuple((name, each.loss) for name, each in schemes.items())
    if precision == "auto" or precision in DTYPES:
        return (("bf16", 0.0), *made) if precision == "fp32" else made
    return tuple(each for each in made if each[1] > dict(made).get(precision, math.inf))


def _cheaper_sets(gpus: GpuSet, outcome: Outcome, prices: Prices) -> Iterator[GpuSet]:
    """Priced sets other than `gpus`, cheapest first, whose memory could hold the peak at all and that torch
    has kernels for; while the workload fits, only those that cost less per hour."""
    current = prices.of(gpus)
    bound = current.usd_per_hour if current is not None and outcome.verdict == "fits" else None
    for usd, candidate in prices.sets():
        if bound is not None and usd >= bound:
            return
        room = sum(gpu.usable.low for gpu in candidate.gpus)
        runs = candidate.abilities.has_kernels
        if runs and candidate.name != gpus.name and room >= outcome.peak.low:
            yield candidate


def _tried(evaluate: Evaluate, workload: Workload, gpus: GpuSet) -> Outcome | None:
    """The outcome, or None for a combination that the engine or a card refuses."""
    try:
        return evaluate(workload, gpus)
    except InputError:
        return None


def _front(entries: list[Advice]) -> tuple[Advice, ...]:
    """Entries not beaten in both loss and dollars; smallest loss, then cheapest, first."""

    def beats(one: Advice, other: Advice) -> bool:
        if one.usd_per_1000_examples is None or other.usd_per_1000_examples is None:
            return False
        no_worse = (
            one.quality_loss <= other.quality_loss
            and one.usd_per_1000_examples <= other.usd_per_1000_examples
        )
        return no_worse and (
            one.quality_loss < other.quality_loss or one.usd_per_1000_examples < other.usd_per_1000_examples
        )

    def order(entry: Advice) -> tuple[float, float, int]:
        return entry.quality_loss, dearest_last(entry.usd_per_1000_examples), len(entry.changes)

    kept = [e for e in entries if not any(beats(other, e) for other in entries)]
    return tuple(sorted(kept, key=order))


def dearest_last(usd: float | None) -> float:
    return math.inf if usd is None else usd
