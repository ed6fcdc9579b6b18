"""What captured states take while a phase runs: on the device, on their way, on the host, on disk."""

from __future__ import annotations

import math
from typing import Final

from ullage.facts.architecture import Architecture
from ullage.memory.captures.sites import (
    AFTER_ATTENTION,
    LOGITS,
    SEQUENCES_PER_PLANNED,
    Site,
    check_apart,
    matched_sites,
    row_bytes,
    site_bytes,
)
from ullage.memory.needs import Home, Need
from ullage.phases.phase import Work, whole_passes
from ullage.spec.capture import Capture
from ullage.spec.positions import awaited, most_rows
from ullage.units import ZERO, Interval

STAGING_BUFFERS: Final = 2
"""Device buffers through which captures travel while the next one is filled."""


def capture_needs(
    architecture: Architecture, whole: Architecture, compute: str, on_host: bool, work: Work, seen: int
) -> list[Need]:
    """One need a site where its states stay, and those of their way to host and disk.

    `architecture` is what is loaded of the `whole` one, which sites are numbered by; `seen` is the positions
    reached. `on_host`, where there is no GPU, states stay where they were computed. A backward pass brings a
    gradient with each state, and was traced with those that stay.
    """
    check_apart(work.captures, whole)
    backward = work.activity == "backward"
    decode = work.activity == "decode"
    positions = work.read_back if decode else seen - work.cached_tokens
    stores = work.shard_bytes > 0 and work.activity != "train"
    needs: list[Need] = []
    staging = unit = largest = 0
    for capture in work.captures:
        kept = positions
        # The span of a record that is stored lies in its prompt; where none is, it is of what is written.
        spoken = capture.positions == "span" and not stores
        if decode and capture.positions not in ("last", "mean") and not spoken:
            kept = seen - work.cached_tokens  # what the prefill captured is still there, pictures too
        for site in matched_sites(capture, whole):
            size = site_bytes(site, capture, whole, work.batch, kept, seen, compute)
            most = _most(capture, work, kept) * row_bytes(site, capture, whole, seen, compute)
            each = _states(site, capture, (size, most), architecture, work, on_host)
            stays = capture.keep == "device" or on_host
            if stays and not backward:
                needs.append(_staying(site, each, size, decode))
            elif not stays:
                moved = size
                if kept != positions:
                    moved = site_bytes(site, capture, whole, work.batch, positions, seen, compute)
                if site.hook == LOGITS:
                    needs.append(_logits_on_their_way(site, moved // work.batch))
                else:
                    staging = max(staging, moved)
                needs.append(Need("captures", (site.block,), each, "derived", home="host", note=site.hook))
            if capture.keep == "disk" or stores:
                stored = 2 * size if backward else size
                unit, largest = unit + stored, max(largest, size)
                widened = work.numpy_files and kept_dtype(capture, compute) == "bf16"
                needs.append(_on_disk(site, stored // work.batch * _sequences(work), widened))
    if staging:
        every = tuple(range(len(architecture.layers) + 2))
        each = Interval(staging, STAGING_BUFFERS * staging, STAGING_BUFFERS * staging)
        note = "buffers on their way to the host"
        needs.append(Need("captures", every, each, "derived", "once", note=note))
    if unit:
        needs += _joined(work, unit, largest, "gpu" if on_host else "host")
    return needs


def _staying(site: Site, each: Interval, size: int, decode: bool) -> Need:
    """States that stay where they were computed; logits, `size` bytes of a batch, are made when layers have
    run and their temporaries are gone."""
    if site.hook != LOGITS or decode:
        return Need("captures", (site.block,), each, "derived", note=site.hook)
    made = Interval(size, size, max(size, each.high))
    return Need("captures", (site.block,), made, "derived", "max", note="logits, made when layers have run")


def _logits_on_their_way(site: Site, size: int) -> Need:
    """Those of one sequence, made after the pass, one sequence's after another's (capture.listener)."""
    note = "logits of one sequence, on their way to the host"
    return Need("captures", (site.block,), Interval(size, size, 2 * size), "derived", "max", note=note)


def _on_disk(site: Site, size: int, widened: bool) -> Need:
    """States of all sequences, `widened` to fp32 where numpy is to read them."""
    note = f"{site.hook}, in fp32: numpy has no bf16" if widened else site.hook
    stored = Interval.exactly(size * (2 if widened else 1))
    return Need("captures", (site.block,), stored, "derived", home="disk", note=note)


def kept_dtype(capture: Capture, compute: str) -> str:
    """What a capture's states are kept in, of a model that computes in `compute`."""
    return compute if capture.precision == "compute" else capture.precision


def _sequences(work: Work) -> int:
    """Sequences whose states are stored: each pass of each example brings a batch of them."""
    found = math.ceil(round(work.examples * work.passes * work.batch, 6))
    return max(found, 1) if work.examples else work.batch


def _units(work: Work) -> int:
    """Batches whose states are stored: `passes` for each example."""
    return max(whole_passes(work.passes, work.examples), 1)


def _most(capture: Capture, work: Work, positions: int) -> int:
    """Rows of a batch of as many short sequences as it takes. While tokens are written, those that were the
    last ones stay until all that were read with them have gone."""
    texts = work.batch
    if capture.positions in ("last", "mean") or (capture.positions != "span" and not work.new_tokens):
        texts *= SEQUENCES_PER_PLANNED
    most = most_rows(capture.positions, texts, work.batch * positions, capture.span_tokens or 1)
    tail = awaited(capture.positions).tail
    return most * 2 if work.activity == "decode" and tail > 1 else most


def _states(
    site: Site,
    capture: Capture,
    sizes: tuple[int, int],
    architecture: Architecture,
    work: Work,
    on_host: bool,
) -> Interval:
    """Bytes of one batch's states at one site while the last layer runs, which is the fullest moment.

    The last layer's own output has not been taken by then, and the output of the layer before it is that
    layer's input. `sizes` are those of a planned batch and of one of many short sequences.
    """
    last = len(architecture.layers)
    size, most = sizes
    if work.activity == "backward":
        return Interval(0, 2 * size, 2 * size)
    if capture.positions != "all" or not (on_host or capture.keep == "device"):
        return Interval(0, size, most)
    taken = site.block < last or site.hook not in AFTER_ATTENTION
    stream = site.hook == "hook_resid_post" and site.block == last - 1
    stream = stream or (site.hook == "hook_resid_pre" and site.block == last)
    viewed = stream and capture.precision == "compute"
    if taken and not viewed:
        return Interval.exactly(size)
    # Of a sequence in chunks, only the last chunk's share is yet to come.
    coming = work.chunk_tokens / work.prompt_tokens if work.chunk_tokens and _streams(work) else 1.0
    return Interval(0, size - int(size * coming), size)


def _streams(work: Work) -> bool:
    return work.chunk_tokens is not None and work.chunk_tokens < work.prompt_tokens


def _joined(work: Work, unit: int, largest: int, home: Home) -> list[Need]:
    """What is put together before it is written, of states that are stored: `unit` bytes of a batch,
    `largest` of one site."""
    found = []
    if _streams(work):
        joined = Interval.exactly(largest // work.batch)
        note = "chunks of one sequence, joined"
        found.append(Need("captures", (0,), joined, "derived", "max", home=home, note=note))
    return found + (_buffered(work, unit, largest, home) if work.shard_bytes else [])


def _buffered(work: Work, unit: int, largest: int, home: Home) -> list[Need]:
    """Earlier batches that wait for their shard, and the joining of one site when it is written.

    The high values are a shard's size, or all there is: larger batches fill a shard in fewer, which at times
    take less than more of smaller ones, and no plan rests on that. Of shorter texts one site may be nearly
    all of a shard, as rows of one position are beside those of few.
    """
    per_shard = -(-work.shard_bytes // unit)
    waiting = min(_units(work), per_shard) - 1
    whole = math.ceil(round(work.examples * work.passes, 6) * unit) if work.examples else work.shard_bytes
    size = Interval(0, waiting * unit, max(min(work.shard_bytes, whole), waiting * unit))
    found = []
    if size != ZERO:
        note = "batches that wait for their shard"
        found.append(Need("captures", (0,), size, "derived", home=home, note=note))
    now = (waiting + 1) * largest
    joined = Interval(now, now, max(now, min(work.shard_bytes, whole) + largest))
    note = "one site of a shard, joined"
    found.append(Need("captures", (0,), joined, "derived", "max", home=home, note=note))
    return found
