"""A run of requests as a page: what came of each, who answered, how long it took, memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ullage.kinds.assistant.rows import WHOLE
from ullage.kinds.assistant.summary import BROUGHT, RESIDENT, lines
from ullage.reports.counted import counts
from ullage.reports.pages.page import Figure, Fold, Listed, Page, Part, Prose, Section
from ullage.reports.pages.table import Table
from ullage.reports.verification_page import comparison_table

if TYPE_CHECKING:
    from ullage.kinds.assistant.summary import Summary
    from ullage.records.verification import Comparison
    from ullage.reports.charts import Lines

STAGES: Final = {WHOLE: "until it was answered", "switch": "switch, as waited for"}
SWITCHES: Final = {BROUGHT: "a specialist was brought", RESIDENT: "a specialist was there"}


def page_of(
    title: str,
    models: Mapping[str, str],
    found: Summary,
    listed: Listed,
    course: Lines | None,
    memory: Sequence[Comparison],
    remarks: Sequence[str] = (),
) -> Page:
    """`course` is memory over time, `memory` its levels, planned and measured; `remarks` come first."""
    said = (
        "Worst are those without an answer, then those that had problems, then those with the least sure "
        "route."
    )
    if len(listed.entries) < found["requests"]:
        said += (
            f" Here are the {len(listed.entries)} worst of {found['requests']:,}; all are in answers.jsonl."
        )
    said += " Switched are those whose specialist had to be brought."
    sections = (
        Section("Requests", (Prose(said, "note"), listed)),
        Section("Who answered", tuple(_who(found))),
        Section("How long it took", tuple(_times(found))),
        Section("Memory", tuple(_memory(course, memory))),
    )
    return Page(title, sections, tuple(_opening(models, found, remarks)))


def _opening(models: Mapping[str, str], found: Summary, remarks: Sequence[str]) -> Iterator[Part]:
    for line in remarks:
        yield Prose(line, "bad")
    for at, line in enumerate(lines(found)):
        yield Prose(line, "bad" if not at and found["failed"] else "")
    yield Prose(" ".join(f"{role}: {model}." for role, model in models.items()), "note")


def _who(found: Summary) -> Iterator[Part]:
    rows = tuple((name, f"{count:,}") for name, count in found["specialists"].items())
    yield Table(("specialist", "requests"), rows, frozenset({"requests"}))
    for title, reasons in (
        ("Why requests failed", found["failed"]),
        ("Why routes fell back", found["fell_back"]),
        ("Specialists that were replaced", found["replaced"]),
    ):
        if reasons:
            yield Section(title, (counts("why", reasons),), 3)
    vain = f", {found['calls_failed']} in vain" if found["calls_failed"] else ""
    yield Prose(
        f"Requests with notes before them: {found['remembered']}; tools called: {found['calls']}{vain}; "
        f"pictures painted: {found['pictures']}.",
        "note",
    )


def _times(found: Summary) -> Iterator[Part]:
    switches = {SWITCHES[how]: each for how, each in found["switches"].items() if how in SWITCHES}
    rows = tuple(
        (STAGES.get(name, name), f"{each['count']:,}", f"{each['median']:.3f}", f"{each['p95']:.3f}")
        for name, each in {**found["stages"], **switches}.items()
    )
    numbers = ("times", "median, s", "95 % within, s")
    yield Table(("stage", *numbers), rows, frozenset(numbers))
    yield Prose(
        "Of what was answered side by side each request was in a stage as long as all together. A switch is "
        "until a specialist was there, whoever waited.",
        "note",
    )


def _memory(course: Lines | None, memory: Sequence[Comparison]) -> Iterator[Part]:
    if course is None:
        yield Prose("The run was too short for memory to be looked at over time.", "note")
    else:
        yield Figure(course)
    yield Fold("Planned and measured, by phase", (comparison_table(memory),))
