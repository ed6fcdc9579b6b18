"""What the running role of a phase needs beyond its weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from ullage.facts.architecture import Architecture, Attention, LatentAttention, Model
from ullage.memory.captures.fitted import fit_need
from ullage.memory.captures.probed import probe_needs
from ullage.memory.captures.sites import AFTER_ATTENTION, matched_sites, needs_eager
from ullage.memory.captures.storage import capture_needs
from ullage.memory.forward.attention import falls_back, plain_in_fp32, resolve_kernel
from ullage.memory.forward.cache import CacheShape, layer_cache
from ullage.memory.forward.one_pass import Pass
from ullage.memory.forward.segments import scoring
from ullage.memory.forward.window import prompt_of, seen_tokens
from ullage.memory.fragmentation import (
    ACTIVATION_FRAGMENTATION,
    QUADRATIC_FRAGMENTATION,
    Around,
)
from ullage.memory.loaded import Loaded
from ullage.memory.needs import PASSES, Group, Need, group_of
from ullage.memory.resident import cache_needs
from ullage.memory.segments import is_replayed, segments_need
from ullage.memory.temporaries import Forward, forward, temporary
from ullage.memory.traced import Traced, forward_needs, traced_needs, training_needs
from ullage.memory.weights.loading import load_bytes, tied_head_bytes
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.tensors import distinct_layers
from ullage.phases.phase import TRAINING, Phase, Work
from ullage.spec.role import Cache, Role
from ullage.spec.training import Training
from ullage.units import Interval

NO_SIZE: Final = (0, 0)
"""The size of images where there are none: what is remembered then does not depend on it."""
DYNAMIC: Final = Cache()
"""The cache that grows with every token."""


class _Run(NamedTuple):
    """One running role: everything its needs are computed from."""

    loaded: Loaded
    architecture: Architecture
    work: Work
    one_pass: Pass
    seen: int

    @property
    def precision(self) -> ResolvedPrecision:
        return self.loaded.precision

    @property
    def head(self) -> int:
        return len(self.architecture.layers) + 1


def running_groups(
    loaded: Loaded, work: Work, traced: Traced | None = None, rough: bool = False
) -> tuple[Group, ...]:
    """Caches, temporaries, logits, captures, gradients: whatever `work` brings; where it was `traced`, what
    that says. `rough`: with what is usual of segments around a pass for what is expected of them.

    Raises BeyondWindowError, and SpecError for sites the model lacks.
    """
    if work.activity == "load":
        return (_load(loaded.architecture, loaded.precision, loaded.processor),)
    run = _run(loaded, work)
    on_processor = loaded.processor
    around = ACTIVATION_FRAGMENTATION
    if scoring(run.architecture, run.precision.element_bytes, run.one_pass):
        around = QUADRATIC_FRAGMENTATION
    if work.expandable_segments:
        around = None
    assert traced is not None or work.activity != "backward", "no formula says what it takes"
    groups: list[Group] = []
    if traced is not None:
        groups.append(_traced(loaded, work, traced, around))
    elif work.activity in TRAINING:
        groups.append(group_of(_training(run), on_processor, around))
    else:
        groups += _by_formula(run, loaded, work, around, rough)
    if work.captures:
        compute = loaded.precision.compute
        groups.append(
            _captures(run.architecture, loaded.numbered, compute, on_processor, work, run.seen, around)
        )
    if work.probed:
        new = run.one_pass.new
        found = probe_needs(loaded.numbered, loaded.precision.compute, on_processor, work, new, run.seen)
        groups.append(group_of(found, on_processor, around))
    if work.fitting is not None:
        need = fit_need(loaded.numbered, work.fitting, on_processor, work)
        groups.append(group_of([need], on_processor, around))
    return tuple(groups)


def _traced(loaded: Loaded, work: Work, traced: Traced, around: Around) -> Group:
    """A pass as its trace says."""
    on_processor, count = loaded.processor, len(loaded.architecture.layers)
    if work.activity in TRAINING:
        return group_of(training_needs(traced, count, on_processor), on_processor, None)
    if work.activity == "backward":
        return group_of(traced_needs(traced, count, on_processor), on_processor, around)
    found = forward_needs(traced, count, on_processor, work.logits != "none")
    return group_of(found, on_processor, None)


def _by_formula(run: _Run, loaded: Loaded, work: Work, around: Around, rough: bool) -> Iterator[Group]:
    """Caches and temporaries of reading or writing, and the segments around them."""
    on_processor, decode = loaded.processor, work.activity == "decode"
    width = loaded.precision.element_bytes
    passing, beside = _forward_of(run), around
    if around is not None and is_replayed(passing, loaded.cache):
        yield group_of([segments_need(passing, rough)], on_processor, None)
        beside = None
    if run.one_pass.caches and run.seen:
        # A dynamic cache is as long as what was seen, so nothing else of the work bears on it.
        more = work.read_back if loaded.cache.kind == "static" and not decode else 0
        shape = CacheShape(work.batch, run.seen, run.one_pass.new, run.seen + more)
        if decode and loaded.cache.kind == "dynamic":
            shape = _fullest(run.architecture, width, shape, _read(loaded, work))
        yield _caches(run.architecture, loaded.cache, width, shape, on_processor, beside)
    if decode and loaded.cache.kind != "static":
        unpacks = loaded.cache.kind == "quantized"
        yield _cache_growth(run.architecture, width, work.batch, run.seen, unpacks, on_processor, around)
    yield forward(passing, on_processor, beside)


@lru_cache(maxsize=PASSES)
def _captures(
    architecture: Architecture,
    whole: Architecture,
    compute: str,
    on_processor: bool,
    work: Work,
    seen: int,
    around: Around,
) -> Group:
    needs = capture_needs(architecture, whole, compute, on_processor, work, seen)
    return group_of(needs, on_processor, around)


@lru_cache(maxsize=PASSES)
def _caches(
    architecture: Architecture,
    cache: Cache,
    width: int,
    shape: CacheShape,
    on_processor: bool,
    around: Around,
) -> Group:
    return group_of(cache_needs(architecture, cache, width, shape), on_processor, around)


@lru_cache(maxsize=256)
def _load(architecture: Architecture, precision: ResolvedPrecision, on_processor: bool) -> Group:
    every = tuple(range(len(architecture.layers) + 2))
    size = load_bytes(architecture, precision, not on_processor)
    needs = [Need("load", every, size, "derived", "once", note="conversion")]
    if precision.scheme is not None and precision.scheme.by_transformers:
        holes = Interval(0, 0, size.high)
        note = "where tensors stood before they were quantized"
        needs.append(Need("fragmentation", every, holes, "derived", "once", "reserved", note=note))
    tied = tied_head_bytes(architecture, precision)
    if tied:
        note = "the checkpoint stores the tied output layer too"
        needs.append(Need("load", (0,), Interval.exactly(tied), "derived", note=note))
    return group_of(needs, on_processor, None)


def _run(loaded: Loaded, work: Work) -> _Run:
    prompt = prompt_of(loaded, work)
    decode = work.activity == "decode"
    seen = seen_tokens(loaded, work, prompt + (work.read_back if decode else 0))
    architecture = loaded.architecture
    kernel, _ = resolve_kernel(loaded.attention, *_bound(architecture))
    processor = loaded.processor
    if architecture.encodes:
        masked = work.batch > 1 and kernel != "flash"
        whole = Pass(work.batch, max(prompt, 1), 0, kernel, masked, False, processor)
        return _Run(loaded, architecture, work, whole, seen)
    patterns = any(needs_eager(matched_sites(capture, loaded.numbered)) for capture in work.captures)
    if patterns:
        kernel = "eager"
    new = 1 if decode else max(min(prompt, work.chunk_tokens or prompt), 1)
    # Sequences that only are read stand left-aligned, so causality hides their padding; those that are
    # continued stand right-aligned, and need masks.
    if kernel == "sdpa" and _falls_back(architecture, processor):
        kernel = "sdpa-math"
    streams = not work.caches and new < prompt
    if streams and not patterns:
        kernel = "blockwise"
    padded = work.caches and work.batch > 1
    masked = (padded or (not decode and _sees_ahead(architecture, work))) and kernel != "flash"
    if kernel == "sdpa" and work.activity in TRAINING and _trains_in_full(loaded, work, masked):
        kernel = "sdpa-math"
    caches = work.caches or streams
    one_pass = Pass(work.batch, new, max(seen - new, 0), kernel, masked, caches, processor)
    return _Run(loaded, architecture, work, one_pass, seen)


def _sees_ahead(architecture: Architecture, work: Work) -> bool:
    """Whether image tokens see those after them, which takes a mask of each sequence's own."""
    return work.images > 0 and architecture.vision is not None and architecture.vision.flow.sees_ahead


@lru_cache(maxsize=256)
def _falls_back(architecture: Architecture, processor: bool) -> bool:
    found = ((layer.mixer, layer.flow) for layer, _ in distinct_layers(architecture))
    return any(
        isinstance(mixer, Attention | LatentAttention) and falls_back(mixer, flow, processor)
        for mixer, flow in found
    )


def _trains_in_full(loaded: Loaded, work: Work, masked: bool) -> bool:
    """Whether a step's attention is in fp32, and no kernel of the card takes it."""
    from ullage.memory.training.recipe import Recipe

    if not Recipe(work.training or Training(), loaded.precision).full:
        return False
    return any(
        isinstance(layer.mixer, Attention) and plain_in_fp32(layer.mixer, masked, loaded.processor)
        for layer, _ in distinct_layers(loaded.architecture)
    )


@lru_cache(maxsize=256)
def _bound(architecture: Architecture) -> tuple[bool, bool]:
    """Whether scores are capped, and whether attention is written out: what kernels there are."""
    flows = [layer.flow for layer, _ in distinct_layers(architecture)]
    return any(flow.soft_capped for flow in flows), any(flow.scores != "library" for flow in flows)


def kernel_of(name: str, role: Role, phases: Iterable[Phase], model: Model) -> tuple[str, str]:
    """The attention kernel that role `name`'s model is loaded with for all its phases, and why."""
    if role.runs_with.memory != "process" or not isinstance(model, Architecture):
        return role.attention, f"{role.engine} chooses its own"
    captures = [capture for phase in phases if phase.running == name for capture in phase.work.captures]
    if any(needs_eager(matched_sites(capture, model)) for capture in captures):
        return "eager", "attention patterns are captured, which no other kernel has"
    return resolve_kernel(role.attention, *_bound(model))


def _read(loaded: Loaded, work: Work) -> CacheShape:
    """The cache once the prompt is read, at the first step of a reply."""
    prompt = prompt_of(loaded, work)
    seen = seen_tokens(loaded, work, prompt)
    return CacheShape(work.batch, seen, max(min(prompt, work.chunk_tokens or prompt), 1), seen)


@lru_cache(maxsize=PASSES)
def _fullest(architecture: Architecture, width: int, last: CacheShape, first: CacheShape) -> CacheShape:
    """The larger cache of the `last` step and the `first`, in which layers with a window still hold all of
    the prompt that was read at once (`held_tokens`)."""

    def total(shape: CacheShape) -> int:
        layers = distinct_layers(architecture)
        return sum(layer_cache(each, shape, DYNAMIC, width).total * len(at) for each, at in layers)

    return max(last, first, key=total)


@lru_cache(maxsize=PASSES)
def _cache_growth(
    architecture: Architecture,
    width: int,
    batch: int,
    seen: int,
    unpacks: bool,
    on_processor: bool,
    around: Around,
) -> Group:
    """Appending a token holds one tensor of one layer's cache twice (DynamicLayer.update), or both where a
    window slides (DynamicSlidingWindowLayer.update). A cache that `unpacks` stands there as what it becomes,
    and once more with the token (QuantizedLayer.update); what quantizing it anew takes beside that, every 128
    tokens, is in the high value: as much again."""
    shape = CacheShape(batch, seen, 1, seen)
    needs = []
    for layer, blocks in distinct_layers(architecture):
        held = layer_cache(layer, shape, DYNAMIC, width)
        if held.bytes:
            slides = isinstance(layer.mixer, Attention) and layer.mixer.window is not None
            both = held.bytes * held.count
            each = Interval.exactly(both if slides else held.bytes)
            if unpacks:
                each = Interval(2 * both, 2 * both, 4 * both)
            needs.append(temporary("activations", blocks, each, "cache growth"))
    return group_of(needs, on_processor, around)


def _forward_of(run: _Run) -> Forward:
    images = run.work.images if run.work.activity == "prefill" else 0
    ends = _ends_in_attention(run)
    size = run.work.image_size if images else NO_SIZE
    return Forward(run.architecture, run.precision, run.one_pass, ends, run.work.logits, images, size)


def _ends_in_attention(run: _Run) -> bool:
    """Whether the pass is over before the last loaded layer's feed-forward part."""
    if run.architecture is run.loaded.numbered or run.work.logits != "none":
        return False
    last = len(run.architecture.layers)
    sites = [site for capture in run.work.captures for site in matched_sites(capture, run.loaded.numbered)]
    return all(site.block < last or site.hook not in AFTER_ATTENTION for site in sites)


def _training(run: _Run) -> tuple[Need, ...]:
    """The span of a training step that the work is."""
    from ullage.memory.training.needs import Step, step_needs
    from ullage.memory.training.recipe import Recipe

    recipe = Recipe(run.work.training or Training(), run.precision)
    step = Step(run.architecture, recipe, run.one_pass, run.work.gradient_checkpointing)
    return step_needs(step, run.work.activity == "update")
