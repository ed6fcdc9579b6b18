"""An evaluation on one page of HTML that needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.kinds.evaluate.checked import told_of
from ullage.kinds.evaluate.gathered import Gathered
from ullage.kinds.evaluate.headline import lines
from ullage.kinds.evaluate.shown import answers, filters
from ullage.records.atomic import write_text
from ullage.records.fits import Fitted
from ullage.records.timeline import FILE as TIMELINE
from ullage.records.timeline import read_timeline
from ullage.reports.charts import Line, Lines
from ullage.reports.html_page import render_page
from ullage.reports.timeline_chart import timeline_chart
from ullage.spec.workload import Workload

if TYPE_CHECKING:
    from ullage.kinds.evaluate.summary import Summary

PAGE: Final = "report.html"
TEMPLATE: Final = Path(__file__).with_name("report.html.jinja")
CURVES: Final = 4
"""Measures drawn for a label beside answer length, the best by AUROC."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run took: time, money, what each remote role was asked (`Turns.usage`), and what was freed
    between phases, each a row of role, bytes before and bytes after by device. `planned` is the high value of
    what is alive at the peak of each device; `made` says with what and when; `fits` are probes that the run
    fitted."""

    seconds: float
    usd_per_hour: float | None
    usage: Mapping[str, Mapping[str, float]]
    freed: Sequence[Mapping[str, object]]
    planned: Mapping[str, int]
    made: str
    fits: Sequence[Fitted] = ()


def write_report(folder: Path, workload: Workload, gathered: Gathered, found: Summary, run: Spent) -> Path:
    """Writes report.html from a run's outcomes and summary, and what it spent."""
    told = found["headline"]
    page = render_page(
        TEMPLATE,
        title=workload.name or "evaluation",
        models={name: role.model for name, role in workload.roles.items()},
        tables=[_label(name, gathered, found) for name in gathered.labels],
        score_names=[one["name"] for one in found["scores"][0]["scores"]] if found["scores"] else [],
        answers=answers(gathered),
        filters=filters(gathered),
        headline=[] if told is None else lines(told),
        chosen=None if told is None else told["label"],
        judged=[
            {"text": told_of(name, check), "bad": check["reliable"] is False}
            for name, check in found["judge_checks"].items()
        ],
        made=run.made,
        relevance=gathered.relevance,
        timeline=timeline_chart(read_timeline(folder / TIMELINE), run.planned),
        freed=run.freed,
        fits=run.fits,
        costs=_costs(run, gathered.questions),
        questions=found["questions"],
        failed=found["failed"],
        labels=found["labels"],
        means=found["means"],
        agreement=found["agreement"],
        unscored=found["unscored"],
    )
    path = folder / PAGE
    write_text(path, page)
    return path


def _label(name: str, gathered: Gathered, found: Summary) -> dict[str, object]:
    rows = [row for row in found["scores"] if row["label"] == name]
    scored = [row for row in rows if row["scores"][0]["value"] is not None]
    if not scored:
        reason = rows[0]["scores"][0]["reason"] if rows else "no measure is known"
        return {"name": name, "reason": reason[0].upper() + reason[1:]}
    best = sorted(scored, key=lambda row: -(row["scores"][0]["value"] or 0.0))
    drawn = [*[row["uncertainty"] for row in best if row["uncertainty"] != "length"][:CURVES], "length"]
    return {
        "name": name,
        "reason": "",
        "rows": rows,
        "curves": _curves(gathered, name, drawn),
        "calibration": found["calibration"][name],
        "prefixes": found["prefixes"][name],
    }


def _curves(gathered: Gathered, label: str, names: Sequence[str]) -> tuple[Lines, Lines]:
    """ROC curves, and accuracy over the share of answers kept."""
    from sklearn.metrics import roc_curve

    from ullage.measures.telling_apart import alike, kept_accuracy

    roc, kept = [], []
    for name in names:
        wrong, values = gathered.scored(label, gathered.uncertainty[name])
        if wrong.all() or not wrong.any():
            continue
        labels, values, counts = alike(wrong.astype(float), values)
        false, true, _ = roc_curve(labels, values, sample_weight=counts)
        roc.append(Line(name, tuple(zip(false.tolist(), true.tolist(), strict=True))))
        share, accuracy = kept_accuracy(labels, values, counts)
        kept.append(Line(name, tuple(zip(share.tolist(), accuracy.tolist(), strict=True))))
    return (
        Lines(
            title="ROC",
            description="Mistakes found over right answers flagged, by measure; the grey line is chance.",
            x="right answers flagged",
            y="mistakes flagged",
            lines=tuple(roc),
            across=(0.0, 1.0),
            up=(0.0, 1.0),
            diagonal=True,
        ),
        Lines(
            title="Rejection",
            description="Accuracy of the answers that are kept, over the share of them, by measure.",
            x="share of answers kept, most certain first",
            y="accuracy",
            lines=tuple(kept),
            across=(0.0, 1.0),
            up=(0.0, 1.0),
        ),
    )


def _costs(run: Spent, questions: int) -> list[str]:
    """Time and money, for a thousand examples."""
    found = []
    seconds, hourly = run.seconds, run.usd_per_hour
    if seconds and questions:
        said = (
            f"{seconds:,.1f} s for {questions} questions, {1000 * seconds / questions / 60:,.1f} min for 1000"
        )
        if hourly:
            said += f": {hourly * seconds / 3600 / questions * 1000:,.2f} USD at {hourly:,.2f} USD an hour"
        found.append(said + ".")
    for role, usage in run.usage.items():
        said = (
            f"{role}: {usage['requests']:,} requests, {usage['prompt_tokens']:,} prompt tokens, "
            f"{usage['new_tokens']:,} new tokens"
        )
        if usage.get("usd") is not None and questions:
            said += f", {usage['usd']:,.2f} USD: {usage['usd'] / questions * 1000:,.2f} for 1000 examples"
        found.append(said + ".")
    return found
