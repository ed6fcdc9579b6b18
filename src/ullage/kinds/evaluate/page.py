"""An evaluation as a page: the headline, single answers, accuracy, what uncertainty tells, cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ullage.kinds.evaluate.checked import told_of
from ullage.kinds.evaluate.curves import curves
from ullage.kinds.evaluate.headline import lines
from ullage.kinds.evaluate.shown import answers
from ullage.reports.counted import listing, share, three, within
from ullage.reports.figures import UNKNOWN
from ullage.reports.fits_section import fits_sections
from ullage.reports.pages.page import Beside, Figure, Fold, Page, Part, Prose, Section
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span, Words
from ullage.units import MIB

if TYPE_CHECKING:
    from ullage.kinds.evaluate.gathered import Gathered
    from ullage.kinds.evaluate.report import Spent
    from ullage.kinds.evaluate.summary import Reason, ScoreRow, Summary
    from ullage.reports.charts import Lines

CURVES: Final = 4
"""Measures drawn for a label beside answer length, the best by AUROC."""
MOST_REASONS: Final = 200
"""Answers without a verdict that are named."""


def page_of(
    title: str,
    models: Mapping[str, str],
    gathered: Gathered,
    found: Summary,
    run: Spent,
    course: Lines | None,
) -> Page:
    """`course` is memory over time."""
    told = found["headline"]
    chosen = "" if told is None else told["label"]
    doubts = tuple(_label(name, name == chosen, gathered, found) for name in gathered.labels)
    said = "95 % bootstrap intervals over answers. AUROC of 0.5 is chance; PRR of 1 is perfect rejection."
    sections = (
        Section("Answers", tuple(_answers(gathered, found, chosen))),
        Section("Accuracy", tuple(_accuracy(found))),
        *fits_sections(run.fits),
        Section("Does uncertainty predict mistakes?", (*doubts, Prose(said, "note"))),
        Section("Memory and cost", tuple(_spent(found, run, course))),
    )
    return Page(title, sections, tuple(_opening(found, models)))


def _opening(found: Summary, models: Mapping[str, str]) -> Iterator[Part]:
    told = found["headline"]
    for line in () if told is None else lines(told):
        yield Prose(line)
    for name, check in found["judge_checks"].items():
        yield Prose(f"{told_of(name, check)}.", "bad" if check["reliable"] is False else "")
    failed = f", {len(found['failed'])} without an answer" if found["failed"] else ""
    roles = "".join(f" {role}: {model}." for role, model in models.items())
    yield Prose(f"{found['questions']} questions{failed}.{roles}", "note")


def _answers(gathered: Gathered, found: Summary, chosen: str) -> Iterator[Part]:
    listed = answers(gathered, chosen)
    said = "Worst are answers that most call wrong, the surest of them first."
    if len(listed.entries) < found["questions"]:
        said += f" Here are the {len(listed.entries)} that fewest call right; all are in results.parquet."
    said += " In an answer darker is less likely: the token's negative log-likelihood"
    said += "; in the second line, darker carries more of the meaning." if gathered.relevance else "."
    yield Prose(said, "note")
    yield listed


def _accuracy(found: Summary) -> Iterator[Part]:
    names = ("right", "wrong", "unscored", "accuracy")
    rows = tuple(
        (name, str(one["right"]), str(one["wrong"]), str(one["unscored"]), share(one["accuracy"]))
        for name, one in found["labels"].items()
    )
    yield Table(("in the eyes of", *names), rows, frozenset(names))
    means = "".join(f" Mean {name} {three(mean)}." for name, mean in found["means"].items())
    said = "Judges and metrics are never merged. An unscored answer is neither right nor wrong."
    yield Prose(said + means, "note")
    if found["agreement"]:
        yield Fold(f"Agreement of {len(found['labels'])} labels", (_agreement(found),))


def _agreement(found: Summary) -> Table:
    names = (
        "answers",
        "agree",
        "Cohen's kappa",
        "both right",
        "only the first",
        "only the second",
        "both wrong",
    )
    rows = tuple(
        (
            *one["labels"],
            str(one["answers"]),
            share(one["agree"]),
            three(one["kappa"]),
            *(str(count) for row in one["table"] for count in row),
        )
        for one in found["agreement"]
    )
    return Table(("between", "and", *names), rows, frozenset(names))


def _label(name: str, chosen: bool, gathered: Gathered, found: Summary) -> Fold:
    return Fold(f"Mistakes as {name} sees them", tuple(_predicted(name, gathered, found)), chosen, view=name)


def _predicted(name: str, gathered: Gathered, found: Summary) -> Iterator[Part]:
    """How well each measure of uncertainty tells mistakes, or why none does."""
    rows = [row for row in found["scores"] if row["label"] == name]
    scored = [row for row in rows if row["scores"][0]["value"] is not None]
    if not scored:
        reason = rows[0]["scores"][0]["reason"] if rows else "no measure is known"
        yield Prose(f"{reason[0].upper()}{reason[1:]}.")
        return
    names = tuple(one["name"] for one in rows[0]["scores"])
    cells = tuple(
        (row["uncertainty"], str(row["scores"][0]["answers"]), *map(_score, row["scores"])) for row in rows
    )
    yield Table(("uncertainty", "answers", *names), cells, frozenset(("answers", *names)))
    best = sorted(scored, key=lambda row: -(row["scores"][0]["value"] or 0.0))
    drawn = [*[row["uncertainty"] for row in best if row["uncertainty"] != "length"][:CURVES], "length"]
    yield Beside(tuple(map(Figure, curves(gathered, name, drawn))))
    if errors := found["calibration"][name]:
        said = listing({each: three(value) for each, value in errors.items()}).replace(": ", " ")
        yield Prose(f"Expected calibration error: {said}.")
    if prefixes := found["prefixes"][name]:
        columns = ("first tokens", "AUROC of their NLL")
        early = tuple((str(one["tokens"]), _score(one)) for one in prefixes)
        yield Fold("How early likelihood tells", (Table(columns, early, frozenset(columns)),))


def _score(one: ScoreRow) -> Words:
    if one["value"] is None or one["low"] is None or one["high"] is None:
        return Span("none", tip=one["reason"])
    return within(three(one["value"]), (one["low"], one["high"]))


def _alive(size: int | None) -> str:
    return UNKNOWN if size is None else f"{size / MIB:,.1f}"


def _spent(found: Summary, run: Spent, course: Lines | None) -> Iterator[Part]:
    if course is not None:
        yield Figure(course)
    if run.freed:
        numbers = ("alive before, MiB", "after, MiB")
        rows = tuple((one.role, one.device, _alive(one.before), _alive(one.after)) for one in run.freed)
        yield Table(("freed", "on", *numbers), rows, frozenset(numbers))
    yield from map(Prose, run.costs(found["questions"]))
    for name, some in found["unscored"].items():
        if some:
            yield _reasons(f"{len(some)} unscored by {name}", some)
    if found["failed"]:
        yield _reasons(f"{len(found['failed'])} without an answer", found["failed"])
    yield Prose(run.made, "note")


def _reasons(title: str, found: Sequence[Reason]) -> Fold:
    rows = tuple((Span(one["id"]), Span(one["reason"])) for one in found[:MOST_REASONS])
    return Fold(title, (Table(("answer", "why"), rows),))
