"""An evaluation on one page of HTML that needs nothing beside itself."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import MissingExtraError
from ullage.fields import Fields
from ullage.kinds.evaluate.checked import told_of
from ullage.kinds.evaluate.gathered import Gathered
from ullage.kinds.evaluate.headline import lines
from ullage.kinds.evaluate.shown import answers, filters
from ullage.records.atomic import write_text
from ullage.records.fits import Fitted
from ullage.records.notes import read_notes
from ullage.reports.html_page import render_page
from ullage.spec.workload import Workload

if TYPE_CHECKING:
    import numpy as np
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from ullage.kinds.evaluate.summary import Summary

    Floats = NDArray[np.float64]

PAGE: Final = "report.html"
TEMPLATE: Final = Path(__file__).with_name("report.html.jinja")
MOST_POINTS: Final = 10_000
"""Of a curve."""
CURVES: Final = 4
"""Measures drawn for a label beside answer length, the best by AUROC."""
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8A8A8A")
"""Colours that differ for every kind of colour vision (Okabe and Ito 2008)."""


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
        timeline=_safe(_timeline(folder / "timeline.jsonl", run.planned)),
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
        "curves": _safe(_curves(gathered, name, drawn)),
        "calibration": found["calibration"][name],
        "prefixes": found["prefixes"][name],
    }


def _curves(gathered: Gathered, label: str, names: Sequence[str]) -> str:
    """ROC curves and accuracy over the share of answers kept, as SVG."""
    from sklearn.metrics import roc_curve

    from ullage.measures.telling_apart import alike, kept_accuracy

    figure, (roc, kept) = _figure(2)
    for name, colour in zip(names, COLOURS, strict=False):
        wrong, values = gathered.scored(label, gathered.uncertainty[name])
        if wrong.all() or not wrong.any():
            continue
        labels, values, counts = alike(wrong.astype(float), values)
        false, true, _ = roc_curve(labels, values, sample_weight=counts)
        roc.plot(*_thinned(false, true), color=colour, label=name)
        share, accuracy = kept_accuracy(labels, values, counts)
        kept.plot(*_thinned(share, accuracy), color=colour)
    roc.plot([0, 1], [0, 1], color="#bbb", linewidth=0.8)
    roc.set(xlabel="right answers flagged", ylabel="mistakes flagged", title="ROC")
    roc.legend(frameon=False, fontsize=8, loc="lower right")
    kept.set(xlabel="share of answers kept, most certain first", ylabel="accuracy", title="Rejection")
    return _svg(figure)


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """A curve of more points than can be seen, by some of them, the ends among those."""
    import numpy as np

    if len(x) <= MOST_POINTS:
        return x, y
    some = np.linspace(0, len(x) - 1, MOST_POINTS).astype(int)
    return x[some], y[some]


def _timeline(path: Path, planned: Mapping[str, int]) -> str:
    """Memory over time by device beside the planned peak, as SVG; nothing for a run too short to have been
    sampled."""
    by_device: dict[str, list[tuple[float, float]]] = {}
    starts: list[tuple[float, str]] = []
    for number, row in enumerate(read_notes(path) if path.is_file() else (), 1):
        line = Fields(row, f"{path}:{number}")
        seconds, phase = line.number("seconds"), line.text("phase")
        level = "live" if row.get("live") is not None else "process"
        if row.get(level) is not None:
            by_device.setdefault(line.text("device"), []).append((seconds, line.whole(level) / 2**30))
        if not starts or starts[-1][1] != phase:
            starts.append((seconds, phase))
    if sum(map(len, by_device.values())) < 2:
        return ""
    figure, (axes,) = _figure(1)
    for (device, points), colour in zip(by_device.items(), COLOURS, strict=False):
        axes.plot(*zip(*points, strict=True), color=colour, label=device)
        if level == "live" and planned.get(device):
            axes.axhline(planned[device] / 2**30, color=colour, linestyle="--", label=f"{device}, planned")
    for second, phase in starts:
        if phase.endswith("load"):
            axes.axvline(second, color="#bbb", linewidth=0.8)
            axes.annotate(phase, (second, 1), xycoords=("data", "axes fraction"), fontsize=8, va="top")
    axes.set(xlabel="seconds", ylabel="GiB alive", title="Memory over time")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def _figure(columns: int) -> tuple[Figure, Sequence[Axes]]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "evaluate", "the report's curves") from error
    figure = Figure(figsize=(4.6 * columns, 3.6) if columns > 1 else (8, 3), layout="constrained")
    axes = [figure.add_subplot(1, columns, place + 1) for place in range(columns)]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> str:
    """The figure as an element of a page; the same figure is the same text."""
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "ullage", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]


def _safe(svg: str) -> Markup:
    from markupsafe import Markup

    return Markup(svg)


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
