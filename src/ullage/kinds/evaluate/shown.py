"""Single answers as the page of an evaluation shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from ullage.kinds.evaluate.gathered import RIGHT, UNSCORED, WRONG, Gathered
from ullage.reports.pages.page import Code, Entry, Facts, Fold, Listed, Part, Prose
from ullage.reports.pages.words import Span

if TYPE_CHECKING:
    from ullage.kinds.evaluate.outcomes import Outcome
    from ullage.workloads.judgement import Judgement

DARKEST: Final = 5.0
"""The negative log-likelihood, in nats, of the darkest token."""
CALLED: Final[Mapping[int, str]] = {RIGHT: "right", WRONG: "wrong", UNSCORED: "unscored"}
Fact = tuple[str, tuple[Part, ...]]
FILTERS: Final = ("all", "wrong", "disagree", "unscored", "failed")


def answers(gathered: Gathered, chosen: str) -> Listed:
    """To be looked through in the eyes of each label, at first of the `chosen` one; a single judge disagrees
    with the metrics."""
    judges = [name for name in gathered.labels if name in gathered.unscored]
    told = {"all": "All", "disagree": "Judges disagree" if len(judges) > 1 else "Labels disagree"}
    return Listed(
        tuple(_entry(worst, *each, judges) for worst, each in enumerate(gathered.shown)),
        tuple((key, told.get(key, key.capitalize())) for key in FILTERS),
        (("worst", "worst first"), ("doubt", "least certain first"), ("place", "as asked")),
        "In the eyes of",
        tuple(gathered.labels),
        chosen,
    )


def _entry(worst: int, place: int, one: Outcome, labels: Mapping[str, int], judges: list[str]) -> Entry:
    references = "; ".join(one.question.references)
    line = (
        Span(one.question.id, "note"),
        " ",
        Span(one.question.question),
        " ",
        Span(one.greedy.told or one.greedy.failed or "(nothing)", "strong"),
        " ",
        Span(references or "no reference", "note"),
    )
    compared = {label for name, label in labels.items() if len(judges) < 2 or name in judges}
    disagree = ("disagree",) if {RIGHT, WRONG} <= compared else ()
    failed = ("failed",) if one.greedy.failed else ()
    marks = tuple((CALLED[label], *disagree, *failed) for label in labels.values())
    doubt = -(one.uncertainty.get("G-NLL") or 0.0)
    return Entry(line, (Facts(tuple(_facts(one, labels, references))),), marks, (worst, doubt, place))


def _facts(one: Outcome, labels: Mapping[str, int], references: str) -> Iterator[Fact]:
    """All that is known of an answer."""
    if one.greedy.failed:
        yield "Failed", (Prose(Span(one.greedy.failed)),)
    if one.question.context:
        yield "Context", (Prose(Span(one.question.context)),)
    yield "References", (Prose(Span(references or "none")),)
    if shaded := tuple(_shaded(one)):
        yield "Answer", shaded
    yield "Called", (Prose("; ".join(f"{name}: {CALLED[label]}" for name, label in labels.items())),)
    for name, judged in one.judgements.items():
        prompt = _prompt(one, name)
        asked = (Fold(Span("prompt", "note"), (Code(prompt),)),) if prompt else ()
        reply = (Code(judged.reply),) if judged.reply else ()
        yield name, (Prose(Span(_said(judged))), *asked, *reply)
    if clusters := tuple(_clusters(one)):
        yield "Samples, by meaning", tuple(Prose(Span(each)) for each in clusters)


def _shaded(one: Outcome) -> Iterator[Prose]:
    """The tokens of an answer by how unlikely they were, and by how much of the meaning each carries."""
    texts, largest = _token_texts(one), max(one.relevance, default=0.0) or 1.0
    unlikely = tuple(
        Span(text, tip=f"NLL {-lp:.2f}", shade=min(-lp / DARKEST, 1.0))
        for text, lp in zip(texts, one.greedy.logprobs, strict=False)
    )
    relevant = tuple(
        Span(text, tip=f"relevance {share:.2f}", shade=share / largest, hue="blue")
        for text, share in zip(texts, one.relevance, strict=False)
    )
    yield from (Prose(line) for line in (unlikely, relevant) if line)


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


def _clusters(one: Outcome) -> Iterator[str]:
    """Samples of one meaning together, the most frequent meaning first."""
    by_meaning: dict[int, list[str]] = {}
    for meaning, sample in zip(one.meanings, one.samples, strict=True):
        by_meaning.setdefault(meaning, []).append(sample.told)
    for texts in sorted(by_meaning.values(), key=lambda texts: -len(texts)):
        yield f"{len(texts)}x {' / '.join(dict.fromkeys(texts))}"


def _token_texts(one: Outcome) -> list[str]:
    """What each token wrote, by its place in the text; pieces where places are not known."""
    if one.greedy.offsets:
        return [one.greedy.text[begin:end] for begin, end in one.greedy.offsets]
    return list(one.greedy.pieces)
