"""What the running role of a phase needs beyond its weights."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from ullage.facts.architecture import Architecture, Layer, Model
from ullage.memory.captures.sites import AFTER_ATTENTION, matched_sites, needs_eager
from ullage.memory.captures.storage import capture_needs
from ullage.memory.demand import RECENT, Group, ItemKind, Need
from ullage.memory.forward.activations import layer_peak, model_bytes
from ullage.memory.forward.attention import resolve_kernel
from ullage.memory.forward.cache import CacheShape, layer_cache
from ullage.memory.forward.logits import all_logits, loss_logits, sampled_logits
from ullage.memory.forward.one_pass import Pass
from ullage.memory.forward.window import prompt_of, seen_tokens
from ullage.memory.loaded import Loaded
from ullage.memory.resident import cache_needs, group_of
from ullage.memory.weights.loading import load_bytes, tied_head_bytes
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.tensors import distinct_layers, embedding_weights, head_weights
from ullage.phases.phase import LogitsKept, Phase, Work
from ullage.spec.role import Cache, Role
from ullage.spec.workload import Training
from ullage.units import MIB, Interval

SPREAD = {
    "flash": (97, 108),
    "sdpa": (90, 115),
    "sdpa-math": (90, 115),
    "eager": (90, 115),
    "blockwise": (90, 115),
}
"""Low and high share of a layer's expected temporaries, in percent, by kernel: flash runs within 1 %
of measurement here; the others leave room for masks and copies that differ between releases."""
TEMPORARY_ROUNDING = 8 * MIB
"""A handful of live temporaries, each rounded up to at most 1 MiB beyond its size."""
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


def _temporary(component: ItemKind, blocks: tuple[int, ...], each: Interval, note: str = "") -> Need:
    return Need(component, blocks, each, "derived", "max", note=note)


def running_groups(loaded: Loaded, work: Work) -> tuple[Group, ...]:
    """Caches, temporaries, logits, captures, gradients: whatever `work` brings.

    Raises BeyondWindowError, and SpecError for sites the model lacks.
    """
    if work.activity == "load":
        return (_load(loaded.architecture, loaded.precision),)
    run = _run(loaded, work)
    on_processor, fragments = loaded.abilities.processor, not work.expandable_segments
    groups: list[Group] = []
    if work.activity == "train":
        groups.append(group_of(_training(run), on_processor, fragments))
    else:
        decode = work.activity == "decode"
        width = loaded.precision.element_bytes
        if run.one_pass.caches and run.seen:
            # A dynamic cache is as long as what was seen, so nothing else of the work bears on it.
            more = work.new_tokens if loaded.cache.kind == "static" and not decode else 0
            shape = CacheShape(work.batch, run.seen, run.one_pass.new, run.seen + more)
            groups.append(_caches(run.architecture, loaded.cache, width, shape, on_processor, fragments))
        if decode and loaded.cache.kind == "dynamic":
            groups.append(
                _cache_growth(run.architecture, width, work.batch, run.seen, on_processor, fragments)
            )
        groups.append(_forward(_forward_of(run), on_processor, fragments))
    if work.captures:
        compute = loaded.precision.compute
        groups.append(
            _captures(run.architecture, loaded.numbered, compute, on_processor, work, run.seen, fragments)
        )
    return tuple(groups)


@lru_cache(maxsize=RECENT)
def _captures(
    architecture: Architecture,
    whole: Architecture,
    compute: str,
    on_processor: bool,
    work: Work,
    seen: int,
    fragments: bool,
) -> Group:
    needs = capture_needs(architecture, whole, compute, on_processor, work, seen)
    return group_of(needs, on_processor, fragments)


@lru_cache(maxsize=RECENT)
def _caches(
    architecture: Architecture,
    cache: Cache,
    width: int,
    shape: CacheShape,
    on_processor: bool,
    fragments: bool,
) -> Group:
    return group_of(cache_needs(architecture, cache, width, shape), on_processor, fragments)


@lru_cache(maxsize=256)
def _load(architecture: Architecture, precision: ResolvedPrecision) -> Group:
    every = tuple(range(len(architecture.layers) + 2))
    size = load_bytes(architecture, precision)
    needs = [Need("load", every, size, "derived", "once", note="conversion")]
    tied = tied_head_bytes(architecture, precision)
    if tied:
        note = "the checkpoint stores the tied output layer too"
        needs.append(Need("load", (0,), Interval.exactly(tied), "derived", note=note))
    return Group(tuple(needs))


def _run(loaded: Loaded, work: Work) -> _Run:
    prompt = prompt_of(loaded, work)
    decode = work.activity == "decode"
    seen = seen_tokens(loaded, work, prompt + (work.new_tokens if decode else 0))
    architecture = loaded.architecture
    kernel, _ = resolve_kernel(loaded.attention, _soft_capped(architecture))
    patterns = any(needs_eager(matched_sites(capture, loaded.numbered)) for capture in work.captures)
    if patterns:
        kernel = "eager"
    new = 1 if decode else max(min(prompt, work.chunk_tokens or prompt), 1)
    # Sequences that only are read stand left-aligned, so causality hides their padding; those that are
    # continued stand right-aligned, and need masks.
    streams = not work.caches and new < prompt
    if streams and not patterns:
        kernel = "blockwise"
    masked = work.caches and work.batch > 1 and kernel != "flash"
    caches = work.caches or streams
    one_pass = Pass(work.batch, new, max(seen - new, 0), kernel, masked, caches)
    return _Run(loaded, architecture, work, one_pass, seen)


@lru_cache(maxsize=256)
def _soft_capped(architecture: Architecture) -> bool:
    return any(layer.flow.soft_capped for layer, _ in distinct_layers(architecture))


def kernel_of(name: str, role: Role, phases: Iterable[Phase], model: Model) -> tuple[str, str]:
    """The attention kernel that role `name`'s model is loaded with for all its phases, and why."""
    if role.runs_with.memory != "process" or not isinstance(model, Architecture):
        return role.attention, f"{role.engine} chooses its own"
    captures = [capture for phase in phases if phase.running == name for capture in phase.work.captures]
    if any(needs_eager(matched_sites(capture, model)) for capture in captures):
        return "eager", "attention patterns are captured, which no other kernel has"
    return resolve_kernel(role.attention, _soft_capped(model))


@lru_cache(maxsize=RECENT)
def _cache_growth(
    architecture: Architecture, width: int, batch: int, seen: int, on_processor: bool, fragments: bool
) -> Group:
    """Appending a token holds one tensor of one layer's cache twice (DynamicLayer.update)."""
    shape = CacheShape(batch, seen, 1, seen)
    needs = []
    for layer, blocks in distinct_layers(architecture):
        held = layer_cache(layer, shape, DYNAMIC, width)
        if held.bytes:
            each = Interval.exactly(held.bytes)
            needs.append(_temporary("activations", blocks, each, "cache growth"))
    return group_of(needs, on_processor, fragments)


class _Forward(NamedTuple):
    """All that the temporaries of a forward pass depend on; `ends` within the last layer, which is then
    `whole` no longer."""

    architecture: Architecture
    precision: ResolvedPrecision
    one_pass: Pass
    ends: bool
    logits: LogitsKept
    images: int


def _forward_of(run: _Run) -> _Forward:
    images = run.work.images if run.work.activity == "prefill" else 0
    ends = _ends_in_attention(run)
    return _Forward(run.architecture, run.precision, run.one_pass, ends, run.work.logits, images)


@lru_cache(maxsize=RECENT)
def _forward(run: _Forward, on_processor: bool, fragments: bool) -> Group:
    """Temporaries of one forward pass, the image tower's and the logits'."""
    architecture, precision, one_pass, ends, logits, images = run
    hidden, width = architecture.hidden_size, precision.element_bytes
    needs = []
    held, embedded = model_bytes(architecture, one_pass, width)
    count = len(architecture.layers)
    # The first layer's input is the embedding itself, which only later layers hold beside their own.
    alone = count - (1 if ends else 0) <= 1
    low, high = SPREAD[one_pass.kernel]
    for layer, blocks in _passed_layers(architecture, ends):
        partly = ends and blocks[-1] == count
        peak = layer_peak(layer, hidden, one_pass, precision, partly)
        size = peak.bytes + (embedded if alone and blocks[0] > 1 else 0)
        each = Interval(size * low // 100, size, size * high // 100 + TEMPORARY_ROUNDING)
        needs.append(_temporary("activations", blocks, each, peak.moment))
    beside = Interval(0, held + (0 if alone else embedded), held + embedded)
    needs.append(Need("activations", (0,), beside, "derived", note="embeddings and masks"))
    if images and architecture.vision is not None:
        from ullage.memory.forward.vision import tower_bytes

        tower = tower_bytes(architecture.vision, images * one_pass.batch, one_pass.kernel, precision.compute)
        needs.append(_temporary("vision", (0,), tower, "tower"))
    if logits != "none":
        needs.append(_logits(architecture, one_pass, logits, width))
    return group_of(needs, on_processor, fragments)


def _ends_in_attention(run: _Run) -> bool:
    """Whether the pass is over before the last loaded layer's feed-forward part."""
    if run.architecture is run.loaded.numbered or run.work.logits != "none":
        return False
    last = len(run.architecture.layers)
    sites = [site for capture in run.work.captures for site in matched_sites(capture, run.loaded.numbered)]
    return all(site.block < last or site.hook not in AFTER_ATTENTION for site in sites)


@lru_cache(maxsize=256)
def _passed_layers(architecture: Architecture, ends: bool) -> tuple[tuple[Layer, tuple[int, ...]], ...]:
    """Distinct layers with their blocks; the last apart where the pass ends within it."""
    found = distinct_layers(architecture)
    last = len(architecture.layers)
    if not ends:
        return found
    parts: list[tuple[Layer, tuple[int, ...]]] = []
    for layer, blocks in found:
        before = tuple(block for block in blocks if block != last)
        parts += [(layer, before)] if before else []
        parts += [(layer, (last,))] if last in blocks else []
    return tuple(parts)


def _logits(architecture: Architecture, one_pass: Pass, kept: LogitsKept, width: int) -> Need:
    vocabulary, head = architecture.vocab_size, len(architecture.layers) + 1
    streams = Interval.exactly(2 * one_pass.rows * architecture.hidden_size * width)
    if kept == "all":
        held = all_logits(one_pass.rows, vocabulary, width)
        return _temporary("logits", (head,), held + streams, "all positions")
    held = sampled_logits(one_pass.batch, vocabulary, width)
    return _temporary("logits", (head,), held + streams, f"{kept} position")


def _training(run: _Run) -> list[Need]:
    """Gradients and optimizer state per block; activations kept for the backward pass."""
    from ullage.memory.forward.training import (
        adapter_bytes,
        checkpoint_bytes,
        gradient_bytes,
        optimizer_bytes,
        saved_bytes,
    )

    training = run.work.training or Training()
    hidden, rows = run.architecture.hidden_size, run.one_pass.rows
    needs = []
    parts = [(layer.elements, blocks) for layer, blocks in distinct_layers(run.architecture)]
    for block, weights in (
        (0, embedding_weights(run.architecture)),
        (run.head, head_weights(run.architecture)),
    ):
        parts.append((sum(weight.elements for weight in weights), (block,)))
    for elements, blocks in parts:
        gradient = Interval.exactly(gradient_bytes(elements, training, run.precision))
        needs.append(Need("gradients", blocks, gradient, "derived"))
        adapters = adapter_bytes(elements, training, run.precision)
        if adapters:
            needs.append(Need("weights", blocks, Interval.exactly(adapters), "derived"))
        state = optimizer_bytes(elements, training, run.precision)
        if state:
            needs.append(Need("optimizer", blocks, Interval.exactly(state), "derived"))
    for layer, blocks in distinct_layers(run.architecture):
        saved = saved_bytes(layer, hidden, run.one_pass, run.precision)
        spread = Interval(saved * 8 // 10, saved, saved * 125 // 100)
        if run.work.gradient_checkpointing:
            kept = Interval.exactly(checkpoint_bytes(hidden, run.one_pass, run.precision))
            needs.append(Need("activations", blocks, kept, "derived"))
            needs.append(_temporary("activations", blocks, spread, "recomputed layer"))
        else:
            needs.append(Need("activations", blocks, spread, "derived"))
    loss = loss_logits(rows, run.architecture.vocab_size, run.precision.element_bytes)
    needs.append(_temporary("logits", (run.head,), loss, "loss"))
    return needs
