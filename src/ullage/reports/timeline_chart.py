"""Memory of a run over time beside what was planned, as a chart."""

from __future__ import annotations

from collections.abc import Mapping

from ullage.records.timeline import Timeline
from ullage.reports.charts import Line, Lines
from ullage.units import GIB, MIB


def timeline_chart(found: Timeline, planned: Mapping[str, int], loads: bool = True) -> Lines | None:
    """A line for each device, and a dashed one where its plan ends: `planned` is the high value of what is
    alive at its peak, in bytes. A mark where a phase that loads begins, if `loads`. None for a run too short
    to have been sampled twice."""
    courses = [each for each in found.courses if len(each.points) > 1]
    if not courses:
        return None
    ends = [planned[each.device] for each in courses if each.level == "live" and planned.get(each.device)]
    most = max([*ends, *(size for each in courses for _, size in each.points)])
    unit, name = (GIB, "GiB") if most >= GIB else (MIB, "MiB")
    last = max(each.points[-1][0] for each in courses)
    lines = []
    for each in courses:
        said = "" if each.level == "live" else ", of the process"
        points = tuple((second, size / unit) for second, size in each.points)
        lines.append(Line(f"{each.device}{said}", points))
        if each.level == "live" and planned.get(each.device):
            high = planned[each.device] / unit
            lines.append(Line(f"{each.device}, planned at most", ((0.0, high), (last, high)), dashed=True))
    return Lines(
        title="Memory over time",
        description="Bytes in use by device from the start of the run, beside what the plan allows at most.",
        x="seconds",
        y=name,
        lines=tuple(lines),
        marks=tuple(each for each in found.starts if each[1].endswith("load")) if loads else (),
    )
