"""A run of requests on one page of HTML that needs nothing beside itself, and what it comes to as JSON."""

from __future__ import annotations

from heapq import nsmallest
from pathlib import Path
from typing import Final

from ullage.errors import InputError
from ullage.fields import Fields
from ullage.files import placed
from ullage.kinds.assistant.development import SAID
from ullage.kinds.assistant.page import page_of
from ullage.kinds.assistant.requests import Request, read_requests
from ullage.kinds.assistant.rows import PICTURES
from ullage.kinds.assistant.section import Section
from ullage.kinds.assistant.shown import SHOWN, Pictures, badness, listed, notes_of
from ullage.kinds.assistant.summary import read_run, summarize
from ullage.phases.blocks import own_section
from ullage.records.atomic import write_json, write_text
from ullage.records.folder import RunFolder
from ullage.records.lines import read_lines
from ullage.records.record import Record
from ullage.records.timeline import FILE as TIMELINE
from ullage.records.timeline import planned_live, read_timeline
from ullage.records.verification import verify
from ullage.reports.charts import Lines
from ullage.reports.pages.html import html
from ullage.reports.timeline_chart import timeline_chart
from ullage.spec.workload import Workload

SUMMARY: Final = "results.json"
PAGE: Final = "report.html"


def report(run: RunFolder, workload: Workload, base: Path, record: Record) -> tuple[Path, ...]:
    """Writes a run's summary and page; their paths. Raises FormatError for rows that were changed."""
    found = summarize(run.path)
    write_json(run.path / SUMMARY, found)
    requests = _requests(workload, base)
    painted = {str(row["id"]): str(row["png"]) for row in read_lines(run.path / f"{PICTURES}.jsonl")}
    pictures = Pictures({each.id: each for each in requests}, painted)
    notes = notes_of(requests)
    worst = nsmallest(SHOWN, enumerate(read_run(run.path)), key=lambda each: (badness(each[1][0]), each[0]))
    looked_through = listed(worst, found["specialists"], notes, pictures)
    models = {name: role.model for name, role in workload.roles.items()}
    memory = [one for one in verify(run.manifest().plan, record).comparisons if one.kind == "level"]
    remarks = [SAID] if own_section(workload, Section).development_mode else []
    title = workload.name or "assistant"
    page = page_of(title, models, found, looked_through, _course(run), memory, remarks)
    write_text(run.path / PAGE, html(page))
    return run.path / SUMMARY, run.path / PAGE


def _requests(workload: Workload, base: Path) -> list[Request]:
    """What was asked, for its pictures; nothing where the file is not there any more."""
    section = own_section(workload, Section)
    try:
        return [] if section.input is None else read_requests(placed(section.input, base), base)
    except InputError:
        return []


def _course(run: RunFolder) -> Lines | None:
    """Memory over time beside what was planned at most."""
    plan = Fields(run.manifest().plan, f"{run.path}: the plan in manifest.json")
    return timeline_chart(read_timeline(run.path / TIMELINE), planned_live(plan), loads=False)
