"""What the running role of a phase needs beyond its weights."""

from __future__ import annotations

from dataclasses import dataclass

from ullage.facts.architecture import Architecture
from ullage.memory.activations import Pass, embedded_bytes, layer_peak
from ullage.memory.attention import resolve_kernel
from ullage.memory.cache import layer_cache
from ullage.memory.captures import Site, matched_sites, needs_eager, site_bytes
from ullage.memory.demand import Basis, ItemKind, Need
from ullage.memory.dtypes import ResolvedPrecision
from ullage.memory.loading import load_bytes, tied_head_bytes
from ullage.memory.logits import all_logits, loss_logits, sampled_logits
from ullage.memory.resident import cache_needs
from ullage.memory.weights import distinct_layers, embedding_weights, head_weights
from ullage.memory.window import prompt_of, seen_tokens
from ullage.spec.capture import Capture
from ullage.spec.phase import Phase, Resident, Work
from ullage.spec.workload import Training
from ullage.units import MIB, Interval

SPREAD = {"flash": (97, 108), "sdpa": (90, 115), "sdpa-math": (90, 115), "eager": (90, 115)}
"""Low and high share of a layer's expected temporaries, in percent, by kernel: flash runs within 1 %
of measurement here; the others leave room for masks and copies that differ between releases."""
TEMPORARY_ROUNDING = 8 * MIB
"""A handful of live temporaries, each rounded up to at most 1 MiB beyond its size."""
CACHE_FRAGMENTATION = 10
ACTIVATION_FRAGMENTATION = 25
"""High value of segments that stay cached around a growing cache and around temporaries, percent."""
STAGING_BUFFERS = 2
"""Device buffers through which captures travel while the next one is filled."""


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
        self, component: ItemKind, blocks: tuple[int, ...], each: Interval, basis: Basis = "derived"
    ) -> Need:
        return Need(self.name, component, self.phase, blocks, each, basis)

    def temporary(self, component: ItemKind, blocks: tuple[int, ...], each: Interval, note: str = "") -> Need:
        return Need(self.name, component, self.phase, blocks, each, "derived", "max", note=note)


def running_needs(
    resident: Resident,
    architecture: Architecture,
    phase: Phase,
    precision: ResolvedPrecision,
    whole: Architecture,
) -> list[Need]:
    """Caches, temporaries, logits, captures, gradients: whatever `phase.work` brings.

    `architecture` is the part that is loaded of the `whole` model, which sites are numbered by.
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
        needs += cache_needs(
            resident, architecture, phase.name, precision, work.batch, run.seen, last_pass, capacity
        )
        if decode:
            needs += _cache_growth(run, resident)
        needs += _forward(run)
    needs += _captures(run)
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
    kernel, _ = resolve_kernel(resident.role.attention)
    if any(needs_eager(matched_sites(capture, whole)) for capture in work.captures):
        kernel = "eager"
    new = 1 if decode else max(min(prompt, work.chunk_tokens or prompt), 1)
    masked = work.batch > 1 or new < prompt
    one_pass = Pass(work.batch, new, max(seen - new, 0), kernel, masked and kernel != "flash")
    return _Run(resident.name, phase.name, architecture, whole, work, precision, one_pass, seen)


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
    for layer, blocks in distinct_layers(run.architecture):
        peak = layer_peak(layer, hidden, run.one_pass, run.precision)
        low, high = SPREAD[run.one_pass.kernel]
        each = Interval(
            peak.bytes * low // 100,
            peak.bytes,
            peak.bytes * high // 100 + TEMPORARY_ROUNDING,
        )
        needs.append(run.temporary("activations", blocks, each, peak.moment))
    embedded = embedded_bytes(hidden, run.one_pass, width)
    needs.append(run.need("activations", (0,), Interval(0, embedded, embedded)))
    vision = run.architecture.vision
    if run.work.images and vision is not None and run.work.activity == "prefill":
        images = run.work.images * run.work.batch
        from ullage.memory.vision import tower_bytes

        size = tower_bytes(vision, images, run.one_pass.kernel, run.precision.compute)
        needs.append(run.temporary("vision", (0,), size, "tower"))
    needs += _logits(run)
    return needs


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


def _captures(run: _Run) -> list[Need]:
    needs: list[Need] = []
    staging = 0
    decode = run.work.activity == "decode"
    positions = run.work.new_tokens if decode else run.seen - run.work.cached_tokens
    for capture in run.work.captures:
        kept = positions
        if decode and capture.keep == "device" and capture.positions == "all":
            kept += run.work.prompt_tokens  # what the prefill captured is still there
        for site, size in _site_sizes(run, capture, kept):
            each = Interval.exactly(size)
            if capture.keep == "device":
                needs.append(run.need("captures", (site.block,), each))
                continue
            staging = max(staging, size)
            batches = -(-run.work.examples // run.work.batch) if run.work.examples else 1
            stored = each * batches if capture.keep == "disk" else each
            home = "disk" if capture.keep == "disk" else "host"
            needs.append(
                Need(
                    run.name,
                    "captures",
                    run.phase,
                    (site.block,),
                    stored,
                    "derived",
                    home="disk" if home == "disk" else "host",
                    note=site.hook,
                )
            )
    if staging:
        every = tuple(range(run.head + 1))
        each = Interval(staging, STAGING_BUFFERS * staging, STAGING_BUFFERS * staging)
        note = "buffers on their way to the host"
        needs.append(Need(run.name, "captures", run.phase, every, each, "derived", "once", note=note))
    return needs


def _site_sizes(run: _Run, capture: Capture, positions: int) -> list[tuple[Site, int]]:
    return [
        (
            site,
            site_bytes(
                site,
                capture,
                run.whole,
                run.work.batch,
                positions,
                run.seen,
                run.precision.compute,
            ),
        )
        for site in matched_sites(capture, run.whole)
    ]


def _training(run: _Run) -> list[Need]:
    """Gradients and optimizer state per block; activations kept for the backward pass."""
    from ullage.memory.training import (
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
