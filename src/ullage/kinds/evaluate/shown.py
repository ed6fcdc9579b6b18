"""Single answers as the page of an evaluation shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ullage.kinds.evaluate.gathered import RIGHT, UNSCORED, WRONG, Gathered

if TYPE_CHECKING:
    from ullage.kinds.evaluate.outcomes import Outcome
    from ullage.workloads.judgement import Judgement

DARKEST: Final = 5.0
"""The negative log-likelihood, in nats, of the darkest token."""
CALLED: Final[Mapping[int, str]] = {RIGHT: "right", WRONG: "wrong", UNSCORED: "unscored"}
FILTERS: Final = ("all", "wrong", "disagree", "unscored", "failed")


def filters(gathered: Gathered) -> list[tuple[str, str]]:
    """Each filter's key and what it is called; a single judge disagrees with the metrics."""
    several = sum(name in gathered.unscored for name in gathered.labels) > 1
    told = {"all": "All", "disagree": "Judges disagree" if several else "Labels disagree"}
    return [(key, told.get(key, key.capitalize())) for key in FILTERS]


def answers(gathered: Gathered) -> list[dict[str, object]]:
    """The worst first."""
    judges = [name for name in gathered.labels if name in gathered.unscored]
    return [_answer(place, one, labels, judges) for place, one, labels in gathered.shown]


def _answer(place: int, one: Outcome, labels: Mapping[str, int], judges: list[str]) -> dict[str, object]:
    texts, largest = _token_texts(one), max(one.relevance, default=0.0) or 1.0
    compared = {label for name, label in labels.items() if len(judges) < 2 or name in judges}
    return {
        "place": place,
        "id": one.question.id,
        "question": one.question.question,
        "context": one.question.context,
        "references": "; ".join(one.question.references),
        "text": one.greedy.told,
        "why": one.greedy.failed,
        "failed": int(bool(one.greedy.failed)),
        "doubt": f"{one.uncertainty.get('G-NLL') or 0.0:.6g}",
        "labels": "".join(map(str, labels.values())),
        "disagree": int({RIGHT, WRONG} <= compared),
        "verdicts": {name: CALLED[label] for name, label in labels.items()},
        "judges": [
            {"name": name, "said": _said(each), "prompt": _prompt(one, name), "reply": each.reply}
            for name, each in one.judgements.items()
        ],
        "clusters": _clusters(one),
        "tokens": [
            {"text": text, "nll": f"{-lp:.2f}", "weight": f"{min(-lp / DARKEST, 1):.2f}"}
            for text, lp in zip(texts, one.greedy.logprobs, strict=False)
        ],
        "relevant": [
            {"text": text, "share": f"{share:.2f}", "weight": f"{share / largest:.2f}"}
            for text, share in zip(texts, one.relevance, strict=False)
        ],
    }


def _said(judged: Judgement) -> str:
    """A judgement in a line."""
    parts = [judged.verdict or f"unscored: {judged.reason}"]
    if judged.probability is not None:
        parts.append(f"probability of the positive verdict {judged.probability:.3f}")
    if judged.mass is not None:
        parts.append(f"both verdicts together {judged.mass:.3f}")
    return ", ".join(parts)


def _prompt(one: Outcome, judge: str) -> str:
    return "\n\n".join(said["content"] for said in one.prompts.get(judge, ()))


def _clusters(one: Outcome) -> list[dict[str, object]]:
    """Samples of one meaning together, the most frequent meaning first."""
    by_meaning: dict[int, list[str]] = {}
    for meaning, sample in zip(one.meanings, one.samples, strict=True):
        by_meaning.setdefault(meaning, []).append(sample.told)
    ordered = sorted(by_meaning.values(), key=lambda texts: -len(texts))
    return [{"count": len(texts), "texts": " / ".join(dict.fromkeys(texts))} for texts in ordered]


def _token_texts(one: Outcome) -> list[str]:
    """What each token wrote, by its place in the text; pieces where places are not known."""
    if one.greedy.offsets:
        return [one.greedy.text[begin:end] for begin, end in one.greedy.offsets]
    return list(one.greedy.pieces)
