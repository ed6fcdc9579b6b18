"""What an evaluation comes to in one sentence each: the first lines of its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

from ullage.measures.proportions import wilson
from ullage.measures.telling_apart import difference, measured_auroc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ullage.kinds.evaluate.checked import JudgeCheck
    from ullage.kinds.evaluate.gathered import Gathered

LENGTH: Final = "length"
"""The measure that any other has to beat: it costs nothing."""


class Headline(TypedDict):
    """By one label: accuracy with Wilson's interval of 95 %, the measure of largest AUROC, and by how much
    it is larger than that of the answer's length, with the bootstrap's interval of the difference.

    `why` says why it is that label; `measures` is of how many the best is the best, on the same answers.
    """

    label: str
    why: str
    scored: int
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    best: str
    measures: int
    auroc: float | None
    low: float | None
    high: float | None
    length: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None


def headline(found: Gathered, checks: Mapping[str, JudgeCheck]) -> Headline | None:
    """By the label that can best be trusted; None where there is no label at all."""
    chosen = _label(found, checks)
    if chosen is None:
        return None
    label, why = chosen
    right, wrong = found.counts(label)
    scored = right + wrong
    low, high = wilson(right, scored) or (None, None)
    told: Headline = {
        "label": label,
        "why": why,
        "scored": scored,
        "accuracy": right / scored if scored else None,
        "accuracy_low": low,
        "accuracy_high": high,
        "best": "",
        "measures": 0,
        "auroc": None,
        "low": None,
        "high": None,
        "length": None,
        "gain": None,
        "gain_low": None,
        "gain_high": None,
    }
    return _with_best(told, found, label)


def _with_best(told: Headline, found: Gathered, label: str) -> Headline:
    columns = found.uncertainty
    aurocs = {name: measured_auroc(*found.scored(label, columns[name])) for name in columns.names}
    known = {name: each for name, each in aurocs.items() if each.value is not None}
    others = {name: each.value for name, each in known.items() if name != LENGTH and each.value is not None}
    if not others:
        return told
    best = max(others, key=lambda name: others[name])
    told["best"], told["measures"] = best, len(others)
    told["auroc"], told["low"], told["high"] = known[best].value, known[best].low, known[best].high
    if LENGTH in known:
        told["length"] = known[LENGTH].value
        gain = difference(*found.scored_by_both(label, columns[best], columns[LENGTH]))
        told["gain"], told["gain_low"], told["gain_high"] = gain.value, gain.low, gain.high
    return told


def _label(found: Gathered, checks: Mapping[str, JudgeCheck]) -> tuple[str, str] | None:
    """A judge that has been found reliable, else the first metric, else the first judge; and why."""
    trusted = [name for name in found.labels if name in checks and checks[name]["reliable"]]
    if trusted:
        return trusted[0], "a judge that was found reliable"
    metrics = [name for name in found.section.metrics if name in found.labels]
    if metrics:
        why = "no judge was found reliable" if checks else "there is no judge"
        return metrics[0], f"a metric, since {why}"
    judged = next(iter(found.labels), None)
    return None if judged is None else (judged, "a judge that was not found reliable: there is no metric")


def lines(told: Headline) -> list[str]:
    """The same in words."""
    if told["accuracy"] is None:
        return [f"No answer is scored by {told['label']}."]
    said = [
        f"{told['accuracy']:.1%} of {told['scored']:,} answers are right ({told['accuracy_low']:.1%} to "
        f"{told['accuracy_high']:.1%}) in the eyes of {told['label']}, {told['why']}."
    ]
    if told["auroc"] is None:
        return [*said, "No measure of uncertainty can be held against that: see below why."]
    best = f"The best of {told['measures']} measures of uncertainty is {told['best']}: AUROC "
    said.append(best + f"{told['auroc']:.3f} ({told['low']:.3f} to {told['high']:.3f}).")
    if told["gain"] is not None and told["gain_low"] is not None:
        beats = "beats" if told["gain_low"] > 0 else "does not beat"
        few = " Even chosen on these answers, it" if told["gain_low"] <= 0 else " Chosen on these answers, it"
        said[-1] += (
            f"{few} {beats} the answer's length ({told['length']:.3f}): by {told['gain']:+.3f} "
            f"({told['gain_low']:+.3f} to {told['gain_high']:+.3f})."
        )
    return said
