"""What an evaluation took, and its page as one file of HTML that needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ullage.kinds.evaluate.gathered import Gathered
from ullage.kinds.evaluate.page import page_of
from ullage.records.atomic import write_text
from ullage.records.fits import Fitted
from ullage.records.timeline import FILE as TIMELINE
from ullage.records.timeline import read_timeline
from ullage.reports.pages.html import html
from ullage.reports.timeline_chart import timeline_chart
from ullage.spec.workload import Workload

if TYPE_CHECKING:
    from ullage.kinds.evaluate.summary import Summary

PAGE: Final = "report.html"


class Freed(NamedTuple):
    """A role that was let go of between phases: bytes alive on a device before and after; None where nobody
    counts them, as where an engine holds a model in a process of its own."""

    role: str
    device: str
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run took: time, money, what each remote role was asked (`Turns.usage`), and what was freed
    between phases. `planned` is the high value of what is alive at the peak of each device; `made` says with
    what and when; `fits` are probes that the run fitted."""

    seconds: float
    usd_per_hour: float | None
    usage: Mapping[str, Mapping[str, float]]
    freed: Sequence[Freed]
    planned: Mapping[str, int]
    made: str
    fits: Sequence[Fitted] = ()

    def costs(self, questions: int) -> Iterator[str]:
        """Time and money, for a thousand examples."""
        seconds, hourly = self.seconds, self.usd_per_hour
        if seconds and questions:
            said = (
                f"{seconds:,.1f} s for {questions} questions, "
                f"{1000 * seconds / questions / 60:,.1f} min for 1000"
            )
            if hourly:
                said += (
                    f": {hourly * seconds / 3600 / questions * 1000:,.2f} USD at {hourly:,.2f} USD an hour"
                )
            yield f"{said}."
        for role, usage in self.usage.items():
            said = (
                f"{role}: {usage['requests']:,} requests, {usage['prompt_tokens']:,} prompt tokens, "
                f"{usage['new_tokens']:,} new tokens"
            )
            if usage.get("usd") is not None and questions:
                said += f", {usage['usd']:,.2f} USD: {usage['usd'] / questions * 1000:,.2f} for 1000 examples"
            yield f"{said}."


def write_report(folder: Path, workload: Workload, gathered: Gathered, found: Summary, run: Spent) -> Path:
    """Writes report.html from a run's outcomes and summary, and what it spent."""
    models = {name: role.model for name, role in workload.roles.items()}
    course = timeline_chart(read_timeline(folder / TIMELINE), run.planned)
    page = page_of(workload.name or "evaluation", models, gathered, found, run, course)
    path = folder / PAGE
    write_text(path, html(page))
    return path
