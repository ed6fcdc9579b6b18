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
PHASES: Final = 8
"""Of a device, as many as are taken in at a look."""
LEAST: Final = 0.005
"""Of what is drawn most; less is no bar that is seen."""
Sizes = dict[tuple[str, str], dict[str, float]]
Group = tuple[Bar, ...]
"""Of one device."""


def plan_chart(plan: Plan, *, everything: bool = False) -> Bars:
    """A bar for each phase of the fullest device of each kind, in GiB: expected bytes by component, up to
    where they may come, against what may be used. Host memory has bars where a role is there.

    Unless `everything` is wanted, of each device as many phases as are taken in at a look, the fullest, and
    no device that next to nothing is on.
    """
    shown = [(kind.fullest, len(kind.devices)) for kind in kinds_of(plan)]
    known = {device.name for kind in kinds_of(plan) for device in kind.devices}
    shown += [(each, 1) for each in plan.devices if each.name not in known and each.peak.device.high]
    sizes = _sizes(plan)
    devices = [tuple(_bars(plan, device, count, sizes)) for device, count in shown]
    drawn, note = (devices, "") if everything else _in_a_look(devices)
    return Bars(
        title=f"{plan.title} on {plan.gpus.name}: {plan.verdict}",
        description="GiB held by phase and component, expected; the thin line ends at the high value, the "
        "thick one stands where the device's usable memory ends.",
        unit="GiB",
        bars=tuple(bar for bars in drawn for bar in bars),
        known=KNOWN,
        note=note,
    )


def _in_a_look(devices: list[Group]) -> tuple[list[Group], str]:
    """What is drawn, in the order of time, and what is not."""
    reach = max((bar.reach for bars in devices for bar in bars), default=0.0)
    large = [bars for bars in devices if any(max(bar.size, bar.most or 0.0) > LEAST * reach for bar in bars)]
    drawn = []
    for bars in large:
        fullest = sorted(bars, key=lambda bar: -(bar.most or bar.size))[:PHASES]
        drawn.append(tuple(bar for bar in bars if bar in fullest))
    said = []
    if most := max((len(bars) for bars in large if len(bars) > PHASES), default=0):
        said.append(f"the fullest {PHASES} of up to {most} phases of each device")
    said += [f"{bars[0].group}: next to nothing" for bars in devices if bars and bars not in large]
    return drawn, "; ".join(said)


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
            yield Bar(phase.name, segments, most, limit, name)
