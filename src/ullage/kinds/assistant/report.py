"""A run of requests on one page of HTML that needs nothing beside itself, and what it comes to as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import nsmallest
from pathlib import Path
from typing import Final

from ullage.errors import InputError
from ullage.fields import Fields
from ullage.files import placed
from ullage.kinds.assistant.development import SAID
from ullage.kinds.assistant.requests import Request, read_requests
from ullage.kinds.assistant.rows import PICTURES, WHOLE
from ullage.kinds.assistant.section import Section
from ullage.kinds.assistant.shown import FILTERS, SHOWN, Pictures, badness, notes_of, shown
from ullage.kinds.assistant.summary import BROUGHT, RESIDENT, lines, read_run, summarize
from ullage.phases.blocks import own_section
from ullage.records.atomic import write_json, write_text
from ullage.records.folder import RunFolder
from ullage.records.lines import read_lines
from ullage.records.notes import read_notes
from ullage.records.record import Record
from ullage.records.verification import verify
from ullage.reports.html_page import render_page
from ullage.spec.workload import Workload

SUMMARY: Final = "results.json"
PAGE: Final = "report.html"
TEMPLATE: Final = Path(__file__).with_name("report.html.jinja")
STAGES: Final = {WHOLE: "until it was answered", "switch": "switch, as waited for"}
LEFT, RIGHT, TOP, BOTTOM = 40, 630, 10, 160
"""Of a figure."""
POINTS: Final = 1000
"""Of a line of memory: of more the highest in turn."""


def report(run: RunFolder, workload: Workload, base: Path, record: Record) -> tuple[Path, ...]:
    """Writes a run's summary and page; their paths. Raises FormatError for rows that were changed."""
    found = summarize(run.path)
    write_json(run.path / SUMMARY, found)
    requests = _requests(workload, base)
    painted = {str(row["id"]): str(row["png"]) for row in read_lines(run.path / f"{PICTURES}.jsonl")}
    pictures = Pictures({each.id: each for each in requests}, painted)
    notes = notes_of(requests)
    worst = nsmallest(SHOWN, enumerate(read_run(run.path)), key=lambda each: (badness(each[1][0]), each[0]))
    switches = found["switches"]
    page = render_page(
        TEMPLATE,
        title=workload.name or "assistant",
        models={name: role.model for name, role in workload.roles.items()},
        found=found,
        headline=lines(found),
        remarks=[SAID] if own_section(workload, Section).development_mode else [],
        filters=[*FILTERS.items()],
        requests=[shown(place, *told, notes, pictures) for place, told in worst],
        stage_names=STAGES,
        switches=[
            (name, switches[how])
            for how, name in ((BROUGHT, "a specialist was brought"), (RESIDENT, "a specialist was there"))
            if how in switches
        ],
        memory_lines=_memory(run),
        memory=[one for one in verify(run.manifest().plan, record).comparisons if one.kind == "level"],
    )
    write_text(run.path / PAGE, page)
    return run.path / SUMMARY, run.path / PAGE


def _requests(workload: Workload, base: Path) -> list[Request]:
    """What was asked, for its pictures; nothing where the file is not there any more."""
    section = own_section(workload, Section)
    try:
        return [] if section.input is None else read_requests(placed(section.input, base), base)
    except InputError:
        return []


def _memory(run: RunFolder) -> list[Mapping[str, object]]:
    """Each device's memory over time beside what was planned at most, as a figure has it."""
    plan = Fields(run.manifest().plan, f"{run.path}: the plan in manifest.json")
    path = run.path / "timeline.jsonl"
    seen: dict[str, list[tuple[float, float, str]]] = {}
    for number, row in enumerate(read_notes(path), 1):
        line = Fields(row, f"{path}:{number}")
        level = "live" if row.get("live") is not None else "process"
        if row.get(level) is not None:
            each = line.number("seconds"), line.whole(level) / 2**20, level
            seen.setdefault(line.text("device"), []).append(each)
    planned = {each.text("name"): each for each in plan.each("devices")}
    return [
        _figure(device, points, planned.get(device)) for device, points in seen.items() if len(points) > 1
    ]


def _figure(device: str, points: list[tuple[float, float, str]], planned: Fields | None) -> dict[str, object]:
    level, last = points[-1][2], max(points[-1][0], 1e-9)
    most = None if planned is None else planned.inner(level).whole("high") / 2**20
    top = max([*(size for _, size, _ in points), most or 0.0]) or 1.0

    def height(size: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * size / top, 1)

    each = -(-len(points) // POINTS)
    highest = [max(points[at : at + each], key=lambda one: one[1]) for at in range(0, len(points), each)]
    placed_at = (f"{LEFT + (RIGHT - LEFT) * second / last:.1f},{height(size)}" for second, size, _ in highest)
    return {
        "device": device,
        "level": "alive" if level == "live" else f"of the {level}",
        "points": " ".join(placed_at),
        "planned": None if most is None else height(most),
        "top": f"{top:,.0f}",
        "seconds": f"{last:,.1f}",
    }
