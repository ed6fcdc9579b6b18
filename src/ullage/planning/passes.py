"""How long one pass of a role takes where it is held."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from ullage.facts.architecture import Architecture, Experts, LatentAttention, Layer, Model, Recurrent
from ullage.facts.diffusion import Pipeline
from ullage.facts.dtypes import DTYPES, SHORT_NAMES
from ullage.facts.gpu import Gpu
from ullage.memory.forward.cache import unpacked_bytes
from ullage.memory.forward.one_pass import FULL
from ullage.memory.forward.window import image_tokens
from ullage.memory.needs import RECENT
from ullage.memory.weights.precision import comes_stored
from ullage.memory.weights.reading import (
    chosen_experts,
    dequantizes,
    dequantizing,
    quantized_layers,
    read_weights,
)
from ullage.memory.weights.tensors import distinct_layers
from ullage.phases.phase import Work
from ullage.planning.pace import FAST, LIKELY, SLOW, Pace
from ullage.planning.phase_time import Bound
from ullage.planning.roofline import (
    SCORE_BYTES,
    Seconds,
    Stage,
    Step,
    Unpacking,
    attention_operations,
    cache_traffic,
    products,
    scores,
    sum_seconds,
)
from ullage.planning.scan_time import is_untimed, scan_bytes, scan_seconds
from ullage.planning.task import UNCHANGED, Task
from ullage.spec.role import Role
from ullage.units import Estimate

BACKWARD_FACTOR: Final = 3.0
"""A backward pass through frozen weights costs once a forward pass, and layers are checkpointed always."""
EAGER_SECONDS: Final = 0.8e-3
"""Host time per layer and step of an engine that captures no graphs: 22 ms of 28 layers, 19 of 24, beside an
A800, where graphs took 13 and 6 (github.com/vllm-project/vllm-omni issue 7960)."""
LATENT_HOST: Final = 1.4
DELTA_HOST: Final = 2.8
"""How many times as long as of a usual layer the host takes to start a layer with latent attention, and one
with a gated delta net without its kernels: 6 layers of DeepSeek-V2-Lite, 4 of Qwen3-Next beside 8 of Llama on
an H200's machine (benchmarks/results/gpu-NVIDIA-H200.json)."""
SUMS: Final = 2
"""All-reduces of a layer whose matrices several cards share: after its mixer and after its feed-forward
(Shoeybi et al. 2019, arXiv 1909.08053)."""


def pass_time(task: Task) -> tuple[Estimate, Bound] | None:
    """How long one pass takes, and what takes it; None where it is not known."""
    found = [one_pass(task, pace) for pace in (FAST, LIKELY, SLOW)]
    low, likely, high = found
    if low is None or likely is None or high is None:
        return None
    return Estimate(low.value, likely.value, high.value), likely.bound


def scans(model: Model | None, work: Work) -> bool:
    """Whether torch scans positions in a way of which no measurement says how long it takes."""
    several = work.activity in ("prefill", "train", "backward") and work.prompt_tokens > 1
    return several and isinstance(model, Architecture) and is_untimed(model)


@lru_cache(maxsize=256)
def expected_seconds(task: Task) -> float | None:
    """What one pass is expected to take; None where it is not known."""
    found = one_pass(task, LIKELY)
    return None if found is None else found.value


def one_pass(task: Task, pace: Pace) -> Seconds | None:
    """One pass with what crosses to the device in it; None where it is not known how long it takes."""
    if task.work.activity == "load":
        return _loading(task, pace)
    if task.role.runs_with.memory == "process" and scans(task.model, task.work):
        return None
    gpus = [device.gpu for device, _, _ in task.held.spans]
    if any(gpu.operations is None or gpu.bandwidth is None for gpu in gpus):
        return None
    if task.held.ranks > 1 and any(gpu.pcie is None and gpu.nvlink is None for gpu in gpus):
        return None
    crossing = _crossing(task, pace)
    if crossing is None:
        return None
    if isinstance(task.model, Pipeline):
        seconds, bound = _painting(task.model, task, pace)
    else:
        seconds, bound = _computing(task.model, task, pace)
    return Seconds(seconds + crossing, bound)


def _loading(task: Task, pace: Pace) -> Seconds | None:
    """Weights from disk, all that is stored of them, or from host memory; and what an engine of its own takes
    to start."""
    weights, _ = task.needs.read
    if task.from_disk:
        whole = 0 if comes_stored(task.role, task.precision) else _stored(task.model)
        read = max(weights, whole or weights * task.held.ranks) / pace.disk
        return Seconds(read + _starting(task.role, pace), "load")
    bus = task.held.slowest.gpu.pcie
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


def _crossing(task: Task, pace: Pace) -> float | None:
    """Seconds in which offloaded layers cross the bus from memory that is not pinned, as accelerate's hooks
    bring them, or come from disk, once per forward pass. None where the bus is not known."""
    held, (weights, _) = task.held, task.needs.read
    if not held.host + held.disk:
        return 0.0
    bus = held.slowest.gpu.pcie
    if bus is None:
        return None
    crossing = weights * held.host / held.blocks / min(bus * pace.bus, pace.pageable)
    crossing += weights * held.disk / held.blocks / pace.disk
    steps = task.work.new_tokens if task.work.activity == "decode" else 1
    return crossing * max(steps, 1)


def _painting(model: Pipeline, task: Task, pace: Pace) -> Seconds:
    """Two operations a parameter of the transformer for each patch of 16 x 16 and step."""
    work, gpu = task.work, task.held.slowest.gpu
    assert gpu.operations is not None
    pixels = work.image_size[0] * work.image_size[1] // 256
    transformer = next((part for part in model.components if part.kind == "transformer"), None)
    need = 2 * (transformer.parameters if transformer else model.parameters)
    operations = need * pixels * work.steps * work.batch
    return Seconds(operations / (gpu.operations.per_second * pace.compute), "compute")


def _computing(model: Architecture, task: Task, pace: Pace) -> Seconds:
    """Reading a prompt, writing, or a step of training."""
    work, slowdown = task.work, task.slowdown or pace.slowdown
    if work.activity == "update":
        from ullage.planning.training_time import updated

        stages = _stages(model, task, work.batch, 0.0, pace)
        return updated(stages, model, task).seconds(pace, UNCHANGED)
    if work.activity == "decode":
        step = _in_full(_writing(model, task, pace), task).seconds(pace, slowdown)
        return Seconds(step.value * work.new_tokens, step.bound)
    reading = _reading(model, task, pace)
    if work.activity == "train":
        from ullage.planning.training_time import trained

        return trained(reading, model, task).seconds(pace, slowdown)
    read = _in_full(reading, task).seconds(pace, slowdown)
    if work.activity == "backward":
        return Seconds(read.value * BACKWARD_FACTOR, read.bound)
    if work.activity == "prefill" or not work.new_tokens:
        return read
    step = _in_full(_writing(model, task, pace), task).seconds(pace, slowdown)
    written = step.value * work.new_tokens
    return Seconds(read.value + written, read.bound if read.value > written else step.bound)


def _reading(model: Architecture, task: Task, pace: Pace) -> Step:
    """The prompts of a batch, in as many passes as there are chunks."""
    work = task.work
    new = work.prompt_tokens + image_tokens(model, work)
    every = work.logits == "all" or work.activity in ("train", "backward")
    chosen = new if every else int(work.logits == "last")
    operations = products(model, new, chosen, _weighed(task, pace)) + _tower_operations(model, work)
    chunks = max(-(-new // work.chunk_tokens) if work.chunk_tokens else 1, 1)
    own = task.role.runs_with.memory == "process"  # an engine with kernels of its own makes no scores
    keys, width = new + work.cached_tokens, _width(task)
    score_bytes = scores(model, task.kernel, width, _masked(task), new, keys) * SCORE_BYTES
    made = (score_bytes + chunks * scan_bytes(model, -(-new // chunks))) * work.batch * own
    positions = work.batch * -(-new // chunks)
    # Each chunk reads what those before it left: of all of it, half on average.
    before = float(task.needs.read[1]) * new / max(new + work.new_tokens, 1) * (chunks - 1) / 2
    stages = _stages(model, task, positions, before * _traffic(model, task, pace, new), pace)
    host = chunks * _host(model, task, positions, pace)
    host += chunks * scan_seconds(model, -(-new // chunks)) * own
    summed = _summed(model, task, work.batch * new, chunks, pace)
    step = Step(
        stages, host, work.batch * operations, made, chunks, summed, chunks * _beside(model, task, pace)
    )
    return step._replace(attended=_attended(model, task, pace, new))


def _width(task: Task) -> int:
    """Bytes of an element that attention is given."""
    if task.work.training is None:
        return task.precision.element_bytes
    from ullage.memory.training.recipe import Recipe

    return Recipe(task.work.training, task.precision).autocast or task.precision.element_bytes


def _attended(model: Architecture, task: Task, pace: Pace, new: int) -> float:
    """Operations of attention over the prompts of a batch, as its fastest kernel would do them: one that
    takes a mask multiplies what is masked too, and more slowly."""
    own = task.role.runs_with.memory == "process"
    slower = pace.masked if own and _masked(task) and task.kernel == "sdpa" else 1.0
    return task.work.batch * attention_operations(model, new, task.work.cached_tokens) * slower


def _weighed(task: Task, pace: Pace) -> float:
    """How much longer than others products of experts take, for an operation."""
    return pace.grouped if task.role.runs_with.memory == "process" else 1.0


def _in_full(step: Step, task: Task) -> Step:
    """The same where a card computes without its tensor cores: in fp32 (torch's default), and in bf16 before
    Ampere, which is emulated in fp32."""
    abilities = task.held.slowest.gpu.abilities
    emulated = task.precision.compute == "bf16" and not abilities.bf16
    if abilities.processor or not (task.precision.element_bytes >= FULL or emulated):
        return step
    return step.in_fp32()


def _writing(model: Architecture, task: Task, pace: Pace) -> Step:
    """One token of each sequence of a batch, when half of the new ones are there."""
    work = task.work
    cache = float(task.needs.read[1])
    before = work.cached_tokens + work.prompt_tokens + image_tokens(model, work)
    cache *= (before + work.new_tokens / 2) / max(before + work.new_tokens, 1)
    traffic = _traffic(model, task, pace, before + work.new_tokens)
    stages = _stages(model, task, work.batch, cache * traffic, pace)
    return Step(
        stages,
        _host(model, task, work.batch, pace),
        products(model, work.batch, work.batch, _weighed(task, pace)),
        summed=_summed(model, task, work.batch, 1, pace),
        beside=_beside(model, task, pace),
    )


def _traffic(model: Architecture, task: Task, pace: Pace, tokens: int) -> float:
    """How often the bytes of a cache of so many tokens are moved by a pass that reads it; sequences of one
    length have no mask, and their heads stay grouped, but in a static cache, which has room behind them."""
    if task.role.runs_with.memory != "process":
        return 1.0
    kind, width = task.role.cache.kind, task.precision.element_bytes
    padded = _masked(task) and (pace.masked > 1 or kind == "static")
    expands = task.repeats or padded or task.kernel not in ("flash", "sdpa")
    unpacked = unpacked_bytes(task.role.cache, width, tokens) if kind == "quantized" else 0.0
    return cache_traffic(model, expands, kind != "static", unpacked)


def _masked(task: Task) -> bool:
    """Whether sequences that are continued have a mask of padding."""
    return task.work.caches and task.work.batch > 1 and task.kernel != "flash"


def _stages(model: Architecture, task: Task, positions: int, cache: float, pace: Pace) -> tuple[Stage, ...]:
    """What each device does of a pass over `positions` positions, which moves `cache` bytes of caches."""
    held, precision = task.held, task.precision
    unpacks = _dequantizes(task, positions, pace)
    blocks = read_weights(model, precision.unquantized if unpacks else precision, positions)
    whole = sum(blocks)
    split = held.ranks == 1 and len(held.spans) > 1
    # The needs of a role that is split by tensors, and so its cache, are those of one rank.
    spans = held.spans if split else ((held.spans[0][0], 0, len(blocks)),)
    stages = []
    for device, start, stop in spans:
        gpu = device.gpu
        assert gpu.operations is not None
        assert gpu.bandwidth is not None
        weights = sum(blocks[start:stop])
        part = (stop - start) / held.blocks if split else 1.0
        rate = gpu.operations.per_second * held.ranks
        share = weights / whole if whole else part
        unpacking = _unpacking(model, task, start, stop, gpu) if unpacks else None
        full = gpu.full_operations * held.ranks
        held_here = weights / held.ranks
        stages.append(Stage(gpu.bandwidth, rate, share, held_here, cache * part, unpacking, full))
    return tuple(stages)


def _dequantizes(task: Task, positions: int, pace: Pace) -> bool:
    """Whether whole matrices are dequantized before they are multiplied."""
    return not task.own_kernels and dequantizes(task.precision, positions, pace.fused)


def _unpacking(model: Architecture, task: Task, start: int, stop: int, gpu: Gpu) -> Unpacking:
    """Of the blocks that such a card computes."""
    elements, moved = dequantizing(model, task.precision, start, stop)
    ranks = task.held.ranks
    return Unpacking(elements / ranks, moved / ranks, gpu.clocks)


def _summed(model: Architecture, task: Task, positions: int, passes: int, pace: Pace) -> float:
    """Seconds in which ranks add up the stream of so many positions, layer by layer, in so many passes."""
    if task.held.ranks == 1:
        return 0.0
    sums = SUMS * len(model.layers)
    size = sums * positions * model.hidden_size * task.precision.element_bytes
    return sum_seconds(size, sums * passes, task.held.ranks, task.held.slowest.gpu, pace)


def _host(model: Architecture, task: Task, positions: int, pace: Pace) -> float:
    """Seconds in which a host at its usual pace starts all operations of one pass."""
    engine = task.role.runs_with
    if engine.memory != "process":
        eager = task.role.settings.own_cache().enforce_eager
        return len(model.layers) * (EAGER_SECONDS if eager else engine.layer_seconds)
    layer = engine.layer_seconds
    seconds = len(model.layers) * layer
    if task.precision.scheme is not None:
        slowdown = task.slowdown or pace.slowdown
        more = slowdown.host - 1 + slowdown.unpacking * _dequantizes(task, positions, pace)
        seconds += layer * more * quantized_layers(model, task.precision)
    for each, blocks in distinct_layers(model):
        seconds += len(blocks) * layer * (_longer(each) - 1)
        if isinstance(each.feed_forward, Experts):
            chosen = chosen_experts(each.feed_forward, positions)
            seconds += len(blocks) * (pace.mixture + pace.expert * chosen)
    return seconds * (pace.split if task.held.several else 1.0)


def _longer(layer: Layer) -> float:
    """How many times as long as a usual layer's it takes to start all of one's operations."""
    if isinstance(layer.mixer, LatentAttention):
        return LATENT_HOST
    if isinstance(layer.mixer, Recurrent) and layer.mixer.kind == "gated_delta":
        return DELTA_HOST
    return 1.0


def _beside(model: Architecture, task: Task, pace: Pace) -> float:
    """Seconds of a pass that an engine of its own takes beside the model: it chooses what comes next, and
    tokens; and the experts of a position are looked up and sorted."""
    if task.role.runs_with.memory != "own cache":
        return 0.0
    return pace.step + pace.routed * _routed_layers(model)


@lru_cache(maxsize=RECENT)
def _routed_layers(model: Architecture) -> int:
    """How many layers have experts."""
    return sum(isinstance(layer.feed_forward, Experts) for layer in model.layers)


@lru_cache(maxsize=RECENT)
def _tower_operations(model: Architecture, work: Work) -> int:
    """Matrix products of the image tower over one sequence's images; its attention scores are not counted."""
    if not work.images or model.vision is None:
        return 0
    weights = sum(weight.elements for weight in model.vision.weights if weight.role == "linear")
    return 2 * weights * work.images * model.vision.lay(work.image_size).patches
