"""What each device of a plan holds in each phase, as stacked bars."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, get_args

from ullage.memory.needs import ItemKind
from ullage.reports.charts import Bar, Bars, Segment
from ullage.reports.plan_page import kinds_of
from ullage.units import GIB

if TYPE_CHECKING:
    from ullage.planning.plan import DevicePlan, Plan

KNOWN: Final = tuple(
    kind.replace("_", " ")
    for kind in dict.fromkeys(
        (
            "weights",
            "kv_cache",
            "activations",
            "context",
            "fragmentation",
            "captures",
            "workspace",
            *get_args(ItemKind),
        )
    )
)
"""Components look alike in every plan; the most frequent have a colour of their own."""
Sizes = dict[tuple[str, str], dict[str, float]]


def plan_chart(plan: Plan) -> Bars:
    """A bar for each phase of the fullest device of each kind, in GiB: expected bytes by component, up to
    where they may come, against what may be used. Host memory has bars where a role is there."""
    shown = [(kind.fullest, len(kind.devices)) for kind in kinds_of(plan)]
    known = {device.name for kind in kinds_of(plan) for device in kind.devices}
    shown += [(each, 1) for each in plan.devices if each.name not in known and each.peak.device.high]
    sizes = _sizes(plan)
    bars = [bar for device, count in shown for bar in _bars(plan, device, count, sizes)]
    return Bars(
        title=f"{plan.title} on {plan.gpus.name}: {plan.verdict}",
        description="GiB held by phase and component, expected; the thin line ends at the high value, the "
        "thick one stands where the device's usable memory ends.",
        unit="GiB",
        bars=tuple(bars),
        known=KNOWN,
    )


def _sizes(plan: Plan) -> Sizes:
    """Expected GiB of each component, by device and phase."""
    found: Sizes = {}
    for item in plan.bill.items:
        if item.bytes.expected:
            parts = found.setdefault((item.device, item.phase), {})
            part = item.component.replace("_", " ")
            parts[part] = parts.get(part, 0.0) + item.bytes.expected / GIB
    return found


def _bars(plan: Plan, device: DevicePlan, count: int, sizes: Sizes) -> Iterator[Bar]:
    name = device.name if count == 1 else f"{device.name} (fullest of {count})"
    limit = None if device.usable is None else device.usable / GIB
    for phase in plan.phases:
        if parts := sizes.get((device.name, phase.name)):
            most = plan.bill.totals[device.name][phase.name].device.high / GIB
            segments = tuple(Segment(part, size) for part, size in parts.items())
            yield Bar(f"{name}: {phase.name}", segments, most, limit)
