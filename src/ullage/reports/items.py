"""Line items as pages show them: those of one role, component and basis as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ullage.planning.bill import Bill, LineItem
    from ullage.planning.plan import DevicePlan, Plan

NOTES: Final = 6


def merged(plan: Plan, peaks: dict[str, str] | None) -> list[LineItem]:
    """Items of one role, component and basis on a device as one, largest first; of each device's phase in
    `peaks`, or of all phases."""
    return merged_in(plan.bill, peaks)


def merged_in(bill: Bill, peaks: dict[str, str] | None) -> list[LineItem]:
    """The same of a bill."""
    found: dict[tuple[str, ...], LineItem] = {}
    notes: dict[tuple[str, ...], dict[str, None]] = {}
    for item in bill.items:
        if peaks is not None and peaks.get(item.device) != item.phase:
            continue
        key = (item.device, item.phase, item.role, item.component, item.level, item.basis)
        notes.setdefault(key, {})[item.note] = None
        held = found.get(key)
        if held is None:
            found[key] = item
            continue
        layers = held.layers or item.layers
        if held.layers is not None and item.layers is not None:
            layers = min(held.layers[0], item.layers[0]), max(held.layers[1], item.layers[1])
        found[key] = held._replace(bytes=held.bytes + item.bytes, layers=layers)
    said = [item._replace(note=_listed(notes[key])) for key, item in found.items()]
    return sorted(said, key=lambda item: (item.device, item.phase, -item.bytes.high))


def _listed(notes: dict[str, None]) -> str:
    """What is said of items that stand as one, each once and the first few."""
    said = [note for note in notes if note]
    more = f"; and {len(said) - NOTES} more" if len(said) > NOTES else ""
    return "; ".join(said[:NOTES]) + more


def at_the_peak(plan: Plan, device: DevicePlan | None) -> list[LineItem]:
    """What is held on a device in its peak phase, largest first."""
    if device is None:
        return []
    return [item for item in merged(plan, {device.name: device.peak_phase}) if item.bytes.high]


def layers_of(item: LineItem) -> str:
    """`0-31`, the last one included; nothing for what is about no layers."""
    return "" if item.layers is None else f"{item.layers[0]}-{item.layers[1] - 1}"


def named(item: LineItem) -> str:
    """`weights of player`; what is of no role is of the process."""
    return f"{item.component.replace('_', ' ')} of {item.role or 'the process'}"
