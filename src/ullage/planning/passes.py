"""How long one pass of a role takes where it is held."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ullage.facts.architecture import Architecture, Model
from ullage.facts.diffusion import Pipeline
from ullage.facts.dtypes import DTYPES, SHORT_NAMES
from ullage.facts.gpu import Gpu
from ullage.memory.forward.one_pass import FULL
from ullage.memory.needs import RECENT
from ullage.memory.weights.precision import comes_stored
from ullage.memory.weights.reading import dequantizing
from ullage.phases.phase import Work
from ullage.planning.counted import Counted, reading, updating, writing
from ullage.planning.pace import FAST, LIKELY, SLOW, Pace
from ullage.planning.phase_time import Bound
from ullage.planning.roofline import Seconds, Stage, Step, Unpacking, sum_seconds
from ullage.planning.scan_time import is_untimed
from ullage.planning.task import UNCHANGED, Held, Task
from ullage.spec.role import Role
from ullage.units import Estimate

BACKWARD_FACTOR: Final = 3.0
"""A backward pass through frozen weights costs once a forward pass, and layers are checkpointed always."""
SUMS: Final = 2
"""All-reduces of a layer whose matrices several cards share: after its mixer and after its feed-forward
(Shoeybi et al. 2019, arXiv 1909.08053)."""


def pass_time(task: Task, held: Held) -> tuple[Estimate, Bound] | None:
    """How long one pass takes, and what takes it; None where it is not known."""
    found = [one_pass(task, held, pace) for pace in (FAST, LIKELY, SLOW)]
    low, likely, high = found
    if low is None or likely is None or high is None:
        return None
    return Estimate(low.value, likely.value, high.value), likely.bound


def scans(model: Model | None, work: Work) -> bool:
    """Whether torch scans positions in a way of which no measurement says how long it takes."""
    several = work.activity in ("prefill", "train", "backward") and work.prompt_tokens > 1
    return several and isinstance(model, Architecture) and is_untimed(model)


@lru_cache(maxsize=256)
def expected_seconds(task: Task, held: Held) -> float | None:
    """What one pass is expected to take; None where it is not known."""
    found = one_pass(task, held, LIKELY)
    return None if found is None else found.value


def one_pass(task: Task, held: Held, pace: Pace) -> Seconds | None:
    """One pass with what crosses to the device in it; None where it is not known how long it takes."""
    if task.work.activity == "load":
        return _loading(task, held, pace)
    if task.role.runs_with.memory == "process" and scans(task.model, task.work):
        return None
    gpus = [device.gpu for device, _, _ in held.spans]
    if any(gpu.operations is None or gpu.bandwidth is None for gpu in gpus):
        return None
    if held.ranks > 1 and any(gpu.pcie is None and gpu.nvlink is None for gpu in gpus):
        return None
    crossing = _crossing(task, held, pace)
    if crossing is None:
        return None
    if isinstance(task.model, Pipeline):
        seconds, bound = _painting(task.model, task, held, pace)
    else:
        seconds, bound = _computing(task, held, pace)
    return Seconds(seconds + crossing, bound)


def _loading(task: Task, held: Held, pace: Pace) -> Seconds | None:
    """Weights from disk, all that is stored of them, or from host memory; and what an engine of its own takes
    to start."""
    weights, _ = task.read
    if task.from_disk or held.waits:
        whole = 0 if comes_stored(task.role, task.precision) else _stored(task.model)
        read = max(weights, whole or weights * held.ranks) / pace.disk
        return Seconds(read + _starting(task.role, pace), "load")
    bus = held.slowest.gpu.pcie
    return None if bus is None else Seconds(weights / (bus * pace.bus), "load")


def _starting(role: Role, pace: Pace) -> float:
    if role.runs_with.memory != "own cache":
        return 0.0
    return pace.start + (0.0 if role.settings.own_cache().enforce_eager else pace.compiled)


@lru_cache(maxsize=RECENT)
def _stored(model: Model) -> int:
    """Bytes that are read of a checkpoint whose weights are quantized while they load; 0 of one that is
    quantized already."""
    if isinstance(model, Architecture) and model.quantization is not None:
        return 0
    return model.parameters * DTYPES[SHORT_NAMES.get(model.dtype, "fp32")]


def _crossing(task: Task, held: Held, pace: Pace) -> float | None:
    """Seconds in which offloaded layers cross the bus from memory that is not pinned, as accelerate's hooks
    bring them, or come from disk, once per forward pass. None where the bus is not known."""
    if not held.waits:
        return 0.0
    weights, _ = task.read
    bus = held.slowest.gpu.pcie
    if bus is None:
        return None
    crossing = weights * held.host / held.blocks / min(bus * pace.bus, pace.pageable)
    crossing += weights * held.disk / held.blocks / pace.disk
    steps = task.work.new_tokens if task.work.activity == "decode" else 1
    return crossing * max(steps, 1)


def _painting(model: Pipeline, task: Task, held: Held, pace: Pace) -> Seconds:
    """Two operations a parameter of the transformer for each patch of 16 x 16 and step."""
    work, gpu = task.work, held.slowest.gpu
    assert gpu.operations is not None
    pixels = work.image_size[0] * work.image_size[1] // 256
    transformer = next((part for part in model.components if part.kind == "transformer"), None)
    need = 2 * (transformer.parameters if transformer else model.parameters)
    operations = need * pixels * work.steps * work.batch
    return Seconds(operations / (gpu.operations.per_second * pace.compute), "compute")


def _computing(task: Task, held: Held, pace: Pace) -> Seconds:
    """Reading a prompt, writing, or a step of training."""
    work, slowdown = task.work, task.slowdown_on(held) or pace.slowdown
    if work.activity == "update":
        from ullage.planning.training_time import updated

        stages = _stages(updating(task, pace), task, held)
        return updated(stages, task).seconds(pace, UNCHANGED)
    if work.activity == "decode":
        step = _in_full(_step(writing(task, pace), task, held, pace), task, held).seconds(pace, slowdown)
        return Seconds(step.value * work.new_tokens, step.bound)
    read = _step(reading(task, pace), task, held, pace)
    if work.activity == "train":
        from ullage.planning.training_time import trained

        return trained(read, task, held).seconds(pace, slowdown)
    whole = _in_full(read, task, held).seconds(pace, slowdown)
    if work.activity == "backward":
        return Seconds(whole.value * BACKWARD_FACTOR, whole.bound)
    if work.activity == "prefill" or not work.new_tokens:
        return whole
    step = _in_full(_step(writing(task, pace), task, held, pace), task, held).seconds(pace, slowdown)
    written = step.value * work.new_tokens
    return Seconds(whole.value + written, whole.bound if whole.value > written else step.bound)


def _step(counted: Counted, task: Task, held: Held, pace: Pace) -> Step:
    """The same on these cards."""
    split = held.several and task.role.runs_with.memory == "process"
    host = counted.reads * (counted.host * (pace.split if split else 1.0)) + counted.scans
    return Step(
        _stages(counted, task, held),
        host,
        counted.operations,
        counted.made,
        counted.reads,
        _summed(counted, task, held, pace),
        counted.beside,
        attended=counted.attended,
    )


def _in_full(step: Step, task: Task, held: Held) -> Step:
    """The same where a card computes without its tensor cores: in fp32 (torch's default), and in bf16 before
    Ampere, which is emulated in fp32."""
    full = task.precision.element_bytes >= FULL or held.emulates(task.precision.compute)
    return step.in_fp32() if full and not held.slowest.gpu.abilities.processor else step


def _stages(counted: Counted, task: Task, held: Held) -> tuple[Stage, ...]:
    """What each device does of it."""
    blocks = counted.blocks
    whole = sum(blocks)
    split = held.ranks == 1 and len(held.spans) > 1
    # The needs of a role that is split by tensors, and so its cache, are those of one rank.
    spans = held.spans if split else ((held.spans[0][0], 0, len(blocks)),)
    stages = []
    for device, start, stop in spans:
        gpu = device.gpu
        assert gpu.operations is not None
        assert gpu.bandwidth is not None
        weights = sum(blocks[start:stop]) if split else whole
        part = (stop - start) / held.blocks if split else 1.0
        rate = gpu.operations.per_second * held.ranks
        share = weights / whole if whole else part
        unpacking = _unpacking(task, held, start, stop, gpu) if counted.unpacks else None
        full = gpu.full_operations * held.ranks
        here = weights / held.ranks
        stages.append(Stage(gpu.bandwidth, rate, share, here, counted.cache * part, unpacking, full))
    return tuple(stages)


def _unpacking(task: Task, held: Held, start: int, stop: int, gpu: Gpu) -> Unpacking:
    """Of the blocks that such a card computes."""
    elements, moved = dequantizing(task.architecture, task.precision, start, stop)
    return Unpacking(elements / held.ranks, moved / held.ranks, gpu.clocks)


def _summed(counted: Counted, task: Task, held: Held, pace: Pace) -> float:
    """Seconds in which ranks add up the stream of all positions, layer by layer, in each of the passes."""
    if held.ranks == 1:
        return 0.0
    model = task.architecture
    sums = SUMS * len(model.layers)
    size = sums * counted.positions * model.hidden_size * task.precision.element_bytes
    return sum_seconds(size, sums * counted.reads, held.ranks, held.slowest.gpu, pace)
