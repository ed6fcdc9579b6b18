"""What the running role of a phase needs beyond its weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ullage.facts.architecture import Architecture, Layer, Model
from ullage.memory.captures.sites import AFTER_ATTENTION, matched_sites, needs_eager
from ullage.memory.captures.storage import capture_needs
from ullage.memory.demand import Basis, ItemKind, Need
from ullage.memory.forward.activations import layer_peak, model_bytes
from ullage.memory.forward.attention import resolve_kernel
from ullage.memory.forward.cache import layer_cache
from ullage.memory.forward.logits import all_logits, loss_logits, sampled_logits
from ullage.memory.forward.one_pass import Pass
from ullage.memory.forward.window import prompt_of, seen_tokens
from ullage.memory.resident import cache_needs
from ullage.memory.weights.loading import load_bytes, tied_head_bytes
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.tensors import distinct_layers, embedding_weights, head_weights
from ullage.phases.phase import Phase, Resident, Work
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
CACHE_FRAGMENTATION = 10
ACTIVATION_FRAGMENTATION = 25
"""High value of segments that stay cached around a growing cache and around temporaries, percent."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One running role: everything its needs are computed from."""

    name: str
    phase: str
    architecture: Architecture
    whole: Architecture
    work: Work
    precision: ResolvedPrecision
    one_pass: Pass
    seen: int

    @property
    def head(self) -> int:
        return len(self.architecture.layers) + 1

    def need(
        self,
        component: ItemKind,
        blocks: tuple[int, ...],
        each: Interval,
        basis: Basis = "derived",
        note: str = "",
    ) -> Need:
        return Need(self.name, component, self.phase, blocks, each, basis, note=note)

    def temporary(self, component: ItemKind, blocks: tuple[int, ...], each: Interval, note: str = "") -> Need:
        return Need(self.name, component, self.phase, blocks, each, "derived", "max", note=note)


def running_needs(
    resident: Resident,
    architecture: Architecture,
    phase: Phase,
    precision: ResolvedPrecision,
    whole: Architecture,
    on_host: bool,
) -> list[Need]:
    """Caches, temporaries, logits, captures, gradients: whatever `phase.work` brings.

    `architecture` is the part that is loaded of the `whole` model, which sites are numbered by; `on_host`
    where there is no GPU, and nothing travels to the host.
    """
    work = phase.work
    if work.activity == "load":
        return _load(resident.name, architecture, phase.name, precision)
    run = _run(resident, architecture, whole, phase, precision)
    needs: list[Need] = []
    if work.activity == "train":
        needs += _training(run)
    else:
        decode = work.activity == "decode"
        last_pass = 1 if decode else run.one_pass.new
        capacity = run.seen + (0 if decode else work.new_tokens)
        if run.one_pass.caches:
            needs += cache_needs(
                resident, architecture, phase.name, precision, work.batch, run.seen, last_pass, capacity
            )
        if decode:
            needs += _cache_growth(run, resident)
        needs += _forward(run)
    needs += capture_needs(
        run.name,
        run.phase,
        run.architecture,
        run.whole,
        run.work,
        run.precision,
        run.seen,
        on_host,
    )
    return needs + _fragmentation(run, needs)


def _load(role: str, architecture: Architecture, phase: str, precision: ResolvedPrecision) -> list[Need]:
    every = tuple(range(len(architecture.layers) + 2))
    size = load_bytes(architecture, precision)
    needs = [Need(role, "load", phase, every, size, "derived", "once", note="conversion")]
    tied = tied_head_bytes(architecture, precision)
    if tied:
        note = "the checkpoint stores the tied output layer too"
        needs.append(Need(role, "load", phase, (0,), Interval.exactly(tied), "derived", note=note))
    return needs


def _run(
    resident: Resident,
    architecture: Architecture,
    whole: Architecture,
    phase: Phase,
    precision: ResolvedPrecision,
) -> _Run:
    work = phase.work
    prompt = prompt_of(resident, architecture, work)
    decode = work.activity == "decode"
    seen = seen_tokens(resident, architecture, phase, prompt + (work.new_tokens if decode else 0))
    kernel, _ = resolve_kernel(resident.role.attention, _soft_capped(architecture))
    patterns = any(needs_eager(matched_sites(capture, whole)) for capture in work.captures)
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
    return _Run(resident.name, phase.name, architecture, whole, work, precision, one_pass, seen)


def _soft_capped(architecture: Architecture) -> bool:
    return any(layer.flow.soft_capped for layer, _ in distinct_layers(architecture))


def kernel_of(name: str, role: Role, phases: Iterable[Phase], model: Model) -> tuple[str, str]:
    """The attention kernel that role `name`'s model is loaded with for all its phases, and why."""
    if role.engine != "transformers" or not isinstance(model, Architecture):
        return role.attention, f"{role.engine} chooses its own"
    captures = [capture for phase in phases if phase.running == name for capture in phase.work.captures]
    if any(needs_eager(matched_sites(capture, model)) for capture in captures):
        return "eager", "attention patterns are captured, which no other kernel has"
    return resolve_kernel(role.attention, _soft_capped(model))


def _cache_growth(run: _Run, resident: Resident) -> list[Need]:
    """Appending a token holds one tensor of one layer's cache twice (DynamicLayer.update)."""
    if resident.role.cache.kind != "dynamic":
        return []
    needs = []
    for layer, blocks in distinct_layers(run.architecture):
        held = layer_cache(layer, run.work.batch, run.seen, 1, run.seen, resident.role.cache, run.precision)
        if held.bytes:
            each = Interval.exactly(held.bytes)
            needs.append(run.temporary("activations", blocks, each, "cache growth"))
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
        size = peak.bytes + (embedded if alone and blocks[0] > 1 else 0)
        low, high = SPREAD[run.one_pass.kernel]
        each = Interval(size * low // 100, size, size * high // 100 + TEMPORARY_ROUNDING)
        needs.append(run.temporary("activations", blocks, each, peak.moment))
    beside = Interval(0, held + (0 if alone else embedded), held + embedded)
    needs.append(run.need("activations", (0,), beside, note="embeddings and masks"))
    vision = run.architecture.vision
    if run.work.images and vision is not None and run.work.activity == "prefill":
        images = run.work.images * run.work.batch
        from ullage.memory.forward.vision import tower_bytes

        tower = tower_bytes(vision, images, run.one_pass.kernel, run.precision.compute)
        needs.append(run.temporary("vision", (0,), tower, "tower"))
    needs += _logits(run)
    return needs


def _ends_in_attention(run: _Run) -> bool:
    """Whether the pass is over before the last loaded layer's feed-forward part."""
    if run.architecture is run.whole or run.work.logits != "none":
        return False
    last = len(run.architecture.layers)
    sites = [site for capture in run.work.captures for site in matched_sites(capture, run.whole)]
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
    return [run.temporary("logits", (run.head,), kept + streams, note)]


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
        needs.append(run.need("gradients", blocks, gradient))
        adapters = adapter_bytes(elements, training, run.precision)
        if adapters:
            needs.append(run.need("weights", blocks, Interval.exactly(adapters)))
        state = optimizer_bytes(elements, training, run.precision)
        if state:
            needs.append(run.need("optimizer", blocks, Interval.exactly(state)))
    for layer, blocks in distinct_layers(run.architecture):
        saved = saved_bytes(layer, hidden, run.one_pass, run.precision)
        spread = Interval(saved * 8 // 10, saved, saved * 125 // 100)
        if run.work.gradient_checkpointing:
            kept = Interval.exactly(checkpoint_bytes(hidden, run.one_pass, run.precision))
            needs.append(run.need("activations", blocks, kept))
            needs.append(run.temporary("activations", blocks, spread, "recomputed layer"))
        else:
            needs.append(run.need("activations", blocks, spread))
    loss = loss_logits(rows, run.architecture.vocab_size, run.precision.element_bytes)
    needs.append(run.temporary("logits", (run.head,), loss, "loss"))
    return needs


def _fragmentation(run: _Run, needs: list[Need]) -> list[Need]:
    """Cached but unused segments around caches and temporaries; none with expandable segments."""
    if run.work.expandable_segments:
        return []
    found = []
    for need in needs:
        percent = {"kv_cache": CACHE_FRAGMENTATION}.get(need.component, 0)
        if need.combine == "max":
            percent = ACTIVATION_FRAGMENTATION
        if not percent or need.home != "gpu" or need.combine == "once":
            continue
        size = need.each.high * percent // 100
        found.append(
            Need(
                run.name,
                "fragmentation",
                run.phase,
                need.blocks,
                Interval(0, size // 4, size),
                "assumed",
                need.combine,
                "reserved",
            )
        )
    return found
