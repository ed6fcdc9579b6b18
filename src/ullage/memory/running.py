"""What the running role of a phase needs beyond its weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ullage.facts.architecture import Architecture, Layer, Model
from ullage.memory.captures.sites import AFTER_ATTENTION, matched_sites, needs_eager
from ullage.memory.captures.storage import capture_needs
from ullage.memory.demand import ItemKind, Need
from ullage.memory.forward.activations import layer_peak, model_bytes
from ullage.memory.forward.attention import QUADRATIC, resolve_kernel
from ullage.memory.forward.cache import layer_cache
from ullage.memory.forward.logits import all_logits, loss_logits, sampled_logits
from ullage.memory.forward.one_pass import Pass
from ullage.memory.forward.window import prompt_of, seen_tokens
from ullage.memory.loaded import Loaded
from ullage.memory.resident import cache_needs
from ullage.memory.weights.loading import load_bytes, tied_head_bytes
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.tensors import distinct_layers, embedding_weights, head_weights
from ullage.phases.phase import Phase, Work
from ullage.spec.role import Role
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
CACHE_FRAGMENTATION = (2, 10)
ACTIVATION_FRAGMENTATION = (21, 30)
QUADRATIC_FRAGMENTATION = (21, 60)
"""Expected and high value of segments that stay cached around a growing cache, around temporaries, and around
those of kernels that hold all scores, percent: 20 to 26 around temporaries on an H200, at most 54 where
attention is eager (benchmarks/results/gpu-NVIDIA-H200.json)."""


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


def running_needs(loaded: Loaded, work: Work) -> list[Need]:
    """Caches, temporaries, logits, captures, gradients: whatever `work` brings.

    Raises BeyondWindowError, and SpecError for sites the model lacks.
    """
    if work.activity == "load":
        return _load(loaded)
    run = _run(loaded, work)
    needs: list[Need] = []
    if work.activity == "train":
        needs += _training(run)
    else:
        decode = work.activity == "decode"
        last_pass = 1 if decode else run.one_pass.new
        capacity = run.seen + (0 if decode else work.new_tokens)
        if run.one_pass.caches:
            needs += cache_needs(loaded, work.batch, run.seen, last_pass, capacity)
        if decode:
            needs += _cache_growth(run)
        needs += _forward(run)
    needs += capture_needs(loaded, work, run.seen)
    return needs + _fragmentation(run, needs)


def _load(loaded: Loaded) -> list[Need]:
    architecture, precision = loaded.architecture, loaded.precision
    every = tuple(range(len(architecture.layers) + 2))
    size = load_bytes(architecture, precision, not loaded.abilities.processor)
    needs = [Need("load", every, size, "derived", "once", note="conversion")]
    if precision.scheme is not None and precision.scheme.on_load is not None:
        holes = Interval(0, 0, size.high)
        note = "where tensors stood before they were quantized"
        needs.append(Need("fragmentation", every, holes, "derived", "once", "reserved", note=note))
    tied = tied_head_bytes(architecture, precision)
    if tied:
        note = "the checkpoint stores the tied output layer too"
        needs.append(Need("load", (0,), Interval.exactly(tied), "derived", note=note))
    return needs


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


def _cache_growth(run: _Run) -> list[Need]:
    """Appending a token holds one tensor of one layer's cache twice (DynamicLayer.update)."""
    cache = run.loaded.cache
    if cache.kind != "dynamic":
        return []
    needs = []
    for layer, blocks in distinct_layers(run.architecture):
        held = layer_cache(layer, run.work.batch, run.seen, 1, run.seen, cache, run.precision)
        if held.bytes:
            each = Interval.exactly(held.bytes)
            needs.append(_temporary("activations", blocks, each, "cache growth"))
    return needs


def _forward(run: _Run) -> list[Need]:
    """Temporaries of one forward pass, the image tower's and the logits'."""
    hidden, width = run.architecture.hidden_size, run.precision.element_bytes
    needs = []
    ends = _ends_in_attention(run)
    held, embedded = model_bytes(run.architecture, run.one_pass, width)
    count = len(run.architecture.layers)
    # The first layer's input is the embedding itself, which only later layers hold beside their own.
    alone = count - (1 if ends else 0) <= 1
    for layer, blocks in _passed_layers(run, ends):
        partly = ends and blocks[-1] == count
        peak = layer_peak(layer, hidden, run.one_pass, run.precision, partly)
        beside = embedded if alone and blocks[0] > 1 else 0
        size = peak.bytes + beside
        # Prompts of one length need no mask.
        plain = run.one_pass._replace(masked=False)
        least = min(size, layer_peak(layer, hidden, plain, run.precision, partly).bytes + beside)
        low, high = SPREAD[run.one_pass.kernel]
        each = Interval(least * low // 100, size, size * high // 100 + TEMPORARY_ROUNDING)
        needs.append(_temporary("activations", blocks, each, peak.moment))
    around = Interval(0, held + (0 if alone else embedded), held + embedded)
    needs.append(Need("activations", (0,), around, "derived", note="embeddings and masks"))
    vision = run.architecture.vision
    if run.work.images and vision is not None and run.work.activity == "prefill":
        images = run.work.images * run.work.batch
        from ullage.memory.forward.vision import tower_bytes

        tower = tower_bytes(vision, images, run.one_pass.kernel, run.precision.compute)
        needs.append(_temporary("vision", (0,), tower, "tower"))
    needs += _logits(run)
    return needs


def _ends_in_attention(run: _Run) -> bool:
    """Whether the pass is over before the last loaded layer's feed-forward part."""
    if run.architecture is run.loaded.numbered or run.work.logits != "none":
        return False
    last = len(run.architecture.layers)
    sites = [site for capture in run.work.captures for site in matched_sites(capture, run.loaded.numbered)]
    return all(site.block < last or site.hook not in AFTER_ATTENTION for site in sites)


def _passed_layers(run: _Run, ends: bool) -> list[tuple[Layer, tuple[int, ...]]]:
    """Distinct layers with their blocks; the last apart where the pass ends within it."""
    found = list(distinct_layers(run.architecture))
    last = len(run.architecture.layers)
    if not ends:
        return found
    parts = []
    for layer, blocks in found:
        before = tuple(block for block in blocks if block != last)
        parts += [(layer, before)] if before else []
        parts += [(layer, (last,))] if last in blocks else []
    return parts


def _logits(run: _Run) -> list[Need]:
    vocabulary, width = run.architecture.vocab_size, run.precision.element_bytes
    streams = Interval.exactly(2 * run.one_pass.rows * run.architecture.hidden_size * width)
    if run.work.logits == "none":
        return []
    if run.work.logits == "all":
        kept = all_logits(run.one_pass.rows, vocabulary, width)
    else:
        kept = sampled_logits(run.work.batch, vocabulary, width)
    note = f"{run.work.logits} position" + ("s" if run.work.logits == "all" else "")
    return [_temporary("logits", (run.head,), kept + streams, note)]


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


def _fragmentation(run: _Run, needs: list[Need]) -> list[Need]:
    """Cached but unused segments around caches and temporaries; none with expandable segments."""
    if run.work.expandable_segments:
        return []
    found = []
    for need in needs:
        percent = (0, 0)
        if need.component == "kv_cache":
            percent = CACHE_FRAGMENTATION
        if need.combine == "max":
            quadratic = run.one_pass.kernel in QUADRATIC
            percent = QUADRATIC_FRAGMENTATION if quadratic else ACTIVATION_FRAGMENTATION
        if not percent[1] or need.home != "gpu" or need.combine == "once":
            continue
        expected, most = percent
        unused = Interval(0, need.each.expected * expected // 100, need.each.high * most // 100)
        found.append(Need("fragmentation", need.blocks, unused, "assumed", need.combine, "reserved"))
    return found
