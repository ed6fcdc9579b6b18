"""A timeline as `torch.cuda.memory._snapshot` has it, for PyTorch's viewer (pytorch.org/memory_viz)."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Final

from ullage.memory.allocator.caching import Act
from ullage.memory.timeline import Lived, Timeline

SMALL: Final = 2 * 2**20
"""Bytes of a segment of the small pool."""
Frames = list[dict[str, object]]


def snapshot(found: Timeline) -> dict[str, object]:
    """Plain dicts and lists: the history of every block, and the segments as they are in the end.

    Frames are the module that made a tensor, under its operation; an event's time is its place.
    """
    entries: list[dict[str, object]] = []
    segments: dict[int, tuple[int, bool]] = {}
    blocks: dict[int, tuple[int, Frames]] = {}
    for at, (act, number) in enumerate(found.acts):
        frames = _frames(found.tensors[number] if number >= 0 else None)
        entries.append(_entry(act, frames, at))
        if act.action == "segment_alloc" or act.action == "segment_map":
            segments[act.address] = act.bytes, act.action == "segment_map"
        elif act.action == "segment_free" or act.action == "segment_unmap":
            _without(segments, act)
        elif act.action == "alloc":
            blocks[act.address] = act.bytes, frames
        elif act.action == "free_completed":
            del blocks[act.address]
    found_segments = [_segment(*each, blocks) for each in _joined(segments)]
    return {
        "segments": found_segments,
        "device_traces": [entries],
        "allocator_settings": {},
        "external_annotations": [],
    }


def write_snapshot(found: Timeline, path: Path) -> None:
    """The same as a pickle of plain values, the form that the viewer takes; nothing here reads one."""
    from ullage.records.atomic import write_with

    held = pickle.dumps(snapshot(found), protocol=4)
    write_with(path, lambda temporary: temporary.write_bytes(held))


def _frames(tensor: Lived | None) -> Frames:
    if tensor is None:
        return [{"name": "before the weights", "filename": "allocator", "line": 0}]
    made = " x ".join(map(str, tensor.shape))
    found: Frames = [
        {
            "name": f"{tensor.operation} {made} {tensor.dtype} ({tensor.component})",
            "filename": "tensor",
            "line": 0,
        }
    ]
    path = tensor.module.split(".") if tensor.module else []
    found += [
        {"name": ".".join(path[:end]), "filename": "module", "line": 0} for end in range(len(path), 0, -1)
    ]
    return found


def _entry(act: Act, frames: Frames, at: int) -> dict[str, object]:
    where = "device_free" if act.action == "oom" else "addr"
    return {
        "action": act.action,
        where: act.address,
        "size": act.bytes,
        "stream": 0,
        "time_us": at,
        "frames": frames,
    }


def _without(segments: dict[int, tuple[int, bool]], act: Act) -> None:
    """What remains of ranges once some of their bytes are gone."""
    begin, end = act.address, act.address + act.bytes
    for address, (size, mapped) in list(segments.items()):
        if address < end and begin < address + size:
            del segments[address]
            if address < begin:
                segments[address] = begin - address, mapped
            if end < address + size:
                segments[end] = address + size - end, mapped


def _joined(segments: dict[int, tuple[int, bool]]) -> list[tuple[int, int, bool]]:
    """By address; pages that were mapped one after another are one range."""
    found: list[tuple[int, int, bool]] = []
    for address, (size, mapped) in sorted(segments.items()):
        if mapped and found and found[-1][2] and found[-1][0] + found[-1][1] == address:
            found[-1] = found[-1][0], found[-1][1] + size, True
        else:
            found.append((address, size, mapped))
    return found


def _segment(
    address: int, size: int, mapped: bool, blocks: dict[int, tuple[int, Frames]]
) -> dict[str, object]:
    """One segment with its blocks, in use and free, by address."""
    inside = sorted((at, held) for at, held in blocks.items() if address <= at < address + size)
    found: list[dict[str, object]] = []
    at = address
    for begin, (requested, frames) in inside:
        if begin > at:
            found.append(_block(at, begin - at, 0, "inactive", []))
        taken = min(-(-requested // 512) * 512, address + size - begin)
        found.append(_block(begin, taken, requested, "active_allocated", frames))
        at = begin + taken
    if at < address + size:
        found.append(_block(at, address + size - at, 0, "inactive", []))
    active = sum(each["size"] for each in found if each["state"] != "inactive")  # type: ignore[misc]
    return {
        "device": 0,
        "address": address,
        "total_size": size,
        "allocated_size": active,
        "active_size": active,
        "requested_size": sum(requested for _, (requested, _) in inside),
        "stream": 0,
        "segment_type": "small" if size <= SMALL else "large",
        "segment_pool_id": (0, 0),
        "is_expandable": mapped,
        "frames": [],
        "blocks": found,
    }


def _block(address: int, size: int, requested: int, state: str, frames: Frames) -> dict[str, object]:
    return {"address": address, "size": size, "requested_size": requested, "state": state, "frames": frames}
