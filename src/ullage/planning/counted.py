"""What a forward pass does, whichever cards do it: counted once for all that a search holds a role on."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from ullage.facts.architecture import Architecture, Experts, LatentAttention, Layer, Recurrent
from ullage.memory.forward.cache import unpacked_bytes
from ullage.memory.forward.window import image_tokens
from ullage.memory.needs import RECENT
from ullage.memory.weights.reading import chosen_experts, dequantizes, quantized_layers, read_weights
from ullage.memory.weights.tensors import distinct_layers
from ullage.phases.phase import Work
from ullage.planning.pace import Pace
from ullage.planning.roofline import SCORE_BYTES, attention_operations, cache_traffic, products, scores
from ullage.planning.scan_time import scan_bytes, scan_seconds
from ullage.planning.task import Task

EAGER_SECONDS: Final = 0.8e-3
"""Host time per layer and step of an engine that captures no graphs: 22 ms of 28 layers, 19 of 24, beside an
A800, where graphs took 13 and 6 (github.com/vllm-project/vllm-omni issue 7960)."""
LATENT_HOST: Final = 1.4
DELTA_HOST: Final = 2.8
"""How many times as long as of a usual layer the host takes to start a layer with latent attention, and one
with a gated delta net without its kernels: 6 layers of DeepSeek-V2-Lite, 4 of Qwen3-Next beside 8 of Llama on
an H200's machine (benchmarks/results/gpu-NVIDIA-H200.json)."""


class Counted(NamedTuple):
    """What `reads` passes over so many `positions`, of all sequences together, come to.

    `blocks` are the bytes of each block's weights, which each pass reads, and which are dequantized first
    where it `unpacks`; `cache` the bytes of caches that are moved, `made` those of scores. `operations` are
    of matrix products, `attended` of attention. Host seconds: of the layers of one pass, expected where all
    are on one device (`host`), of all `scans`, and `beside` the model.
    """

    blocks: tuple[float, ...]
    unpacks: bool
    positions: int
    cache: float
    host: float
    operations: float
    attended: float = 0.0
    made: float = 0.0
    reads: int = 1
    scans: float = 0.0
    beside: float = 0.0


@lru_cache(maxsize=RECENT)
def reading(task: Task, pace: Pace) -> Counted:
    """The prompts of a batch, in as many passes as there are chunks."""
    model, work = task.architecture, task.work
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
    before = float(task.read[1]) * new / max(new + work.new_tokens, 1) * (chunks - 1) / 2
    unpacks = _dequantizes(task, positions, pace)
    return Counted(
        _weights(task, positions, unpacks),
        unpacks,
        work.batch * new,
        before * _traffic(model, task, pace, new),
        _host(model, task, positions, pace),
        work.batch * operations,
        _attended(model, task, pace, new),
        made,
        chunks,
        chunks * scan_seconds(model, -(-new // chunks)) * own,
        chunks * _beside(model, task, pace),
    )


@lru_cache(maxsize=RECENT)
def writing(task: Task, pace: Pace) -> Counted:
    """One token of each sequence of a batch, when half of the new ones are there."""
    model, work = task.architecture, task.work
    cache = float(task.read[1])
    before = work.cached_tokens + work.prompt_tokens + image_tokens(model, work)
    cache *= (before + work.new_tokens / 2) / max(before + work.new_tokens, 1)
    unpacks = _dequantizes(task, work.batch, pace)
    return Counted(
        _weights(task, work.batch, unpacks),
        unpacks,
        work.batch,
        cache * _traffic(model, task, pace, before + work.new_tokens),
        _host(model, task, work.batch, pace),
        products(model, work.batch, work.batch, _weighed(task, pace)),
        beside=_beside(model, task, pace),
    )


def updating(task: Task, pace: Pace) -> Counted:
    """The weights of a step of training, once."""
    positions = task.work.batch
    unpacks = _dequantizes(task, positions, pace)
    return Counted(_weights(task, positions, unpacks), unpacks, positions, 0.0, 0.0, 0.0)


def _weights(task: Task, positions: int, unpacks: bool) -> tuple[float, ...]:
    """Bytes of each block's, or of what they become."""
    precision = task.precision.unquantized if unpacks else task.precision
    return read_weights(task.architecture, precision, positions)


def _dequantizes(task: Task, positions: int, pace: Pace) -> bool:
    """Whether whole matrices are dequantized before they are multiplied."""
    return not task.own_kernels and dequantizes(task.precision, positions, pace.fused)


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
    return seconds


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
