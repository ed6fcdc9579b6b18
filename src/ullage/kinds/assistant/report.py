"""A run of requests on one page of HTML that needs nothing beside itself, and what it comes to as JSON."""

from __future__ import annotations

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
from ullage.records.record import Record
from ullage.records.timeline import FILE as TIMELINE
from ullage.records.timeline import planned_live, read_timeline
from ullage.records.verification import verify
from ullage.reports.charts import Lines
from ullage.reports.html_page import render_page
from ullage.reports.timeline_chart import timeline_chart
from ullage.spec.workload import Workload

SUMMARY: Final = "results.json"
PAGE: Final = "report.html"
TEMPLATE: Final = Path(__file__).with_name("report.html.jinja")
STAGES: Final = {WHOLE: "until it was answered", "switch": "switch, as waited for"}


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
        timeline=_memory(run),
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


def _memory(run: RunFolder) -> Lines | None:
    """Memory over time beside what was planned at most."""
    plan = Fields(run.manifest().plan, f"{run.path}: the plan in manifest.json")
    return timeline_chart(read_timeline(run.path / TIMELINE), planned_live(plan), loads=False)
