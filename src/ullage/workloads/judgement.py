"""What a judge's answer counts as: one rule for every engine and every kind."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ullage.workloads.thoughts import after_thoughts

RIGHT, WRONG = "right", "wrong"
"""Names of the two groups of a pattern."""
LEAST_MASS: Final = 0.1
"""Of a judge that has understood what it is asked, both verdicts together have nearly all the probability; of
one that wants to say something else, little."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One judge's opinion of one answer.

    `verdict` is one of the offered words, None where the answer is unscored: then `reason` says why. It is
    never taken as the negative one. Where verdicts were weighed, `probability` is the positive one's, among
    those two, and `mass` that of both, in all their forms; `reply` is what the judge wrote, "" where it wrote
    nothing.
    """

    verdict: str | None
    probability: float | None = None
    reply: str = ""
    reason: str = ""
    mass: float | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """How replies become verdicts. `verdicts` are the positive and the negative word.

    Weighed, they need `least_mass` together. Written, the reply begins with one of them, or, where there is a
    `pattern`, one of its groups `right` and `wrong` is in it. A judge that thinks first is judged by what
    follows its thoughts.
    """

    verdicts: tuple[str, str] = ("yes", "no")
    least_mass: float = LEAST_MASS
    pattern: str | None = None

    def weighed(self, scores: Sequence[float]) -> Judgement:
        """The likelier verdict, from the log-probabilities of both; none where they are alike."""
        yes, no = scores
        if math.isnan(yes) or math.isnan(no) or math.inf in scores:
            return Judgement(None, reason="the judge gives a verdict no number for a probability")
        mass = mass_of(scores)
        if not mass or mass < self.least_mass:
            offered = " and ".join(self.verdicts)
            said = f"the judge did not answer: {offered} together have a probability of {mass:.2g}"
            return Judgement(None, reason=f"{said}, less than {self.least_mass:g}", mass=mass)
        probability = 1 / (1 + math.exp(min(no - yes, 700.0)))
        if yes == no:
            return Judgement(None, probability, reason="both verdicts are equally probable", mass=mass)
        return Judgement(self.verdicts[0 if yes > no else 1], probability, mass=mass)

    def written(self, reply: str) -> Judgement:
        """The verdict of a written reply; anything but exactly one of the offered is unscored."""
        seen = _seen(reply)
        told = after_thoughts(seen)
        if told is None:
            why = "the judge was still thinking when its reply ended; give it more new_tokens"
        elif not told.strip():
            why = "the judge said nothing" + (" after its thoughts" if seen.strip() else "")
        else:
            verdict, why = self._named(told) if self.pattern is None else self._matched(self.pattern, told)
            if verdict is not None:
                return Judgement(verdict, reply=reply)
        return Judgement(None, reply=reply, reason=why)

    def _named(self, told: str) -> tuple[str | None, str]:
        """The verdict that a text begins with, unless it names the other one too; else why there is none."""
        words = _words(told)
        for verdict, other in sorted(
            (self.verdicts, self.verdicts[::-1]), key=lambda both: -len(_words(both[0]))
        ):
            own, against = _words(verdict), _words(other)
            if own and words[: len(own)] == own:
                rest = words[len(own) :]
                both = any(rest[at : at + len(against)] == against for at in range(len(rest)))
                return (None, "the reply names both verdicts") if both else (verdict, "")
        return None, f"the reply does not begin with {' or '.join(self.verdicts)}"

    def _matched(self, pattern: str, told: str) -> tuple[str | None, str]:
        """The verdict whose group of the pattern is in a text, and not the other's too."""
        found = {name for one in re.finditer(pattern, told) for name, held in one.groupdict().items() if held}
        if len(found) == 1:
            return self.verdicts[0 if RIGHT in found else 1], ""
        return None, "the reply names both verdicts" if found else "the pattern is not in the reply"


def mass_of(scores: Sequence[float]) -> float:
    """The probability of all of several log-probabilities, 1 at most."""
    return min(math.fsum(math.exp(min(one, 0.0)) for one in scores), 1.0)


def wrong_pattern(pattern: str) -> str:
    """What is wrong with a pattern; "" for nothing."""
    try:
        groups = set(re.compile(pattern).groupindex)
    except re.error as error:
        return f"is no regular expression: {error}"
    if groups != {RIGHT, WRONG}:
        return r"needs two named groups, right and wrong, as in \bGRADE:\s*(?:(?P<right>C)|(?P<wrong>I))\b"
    return ""


def vote(judgements: Sequence[Judgement], verdicts: tuple[str, str]) -> str | None:
    """What most judges say; None when none of them, or as many for as against, gave a verdict."""
    positive = sum(one.verdict == verdicts[0] for one in judgements)
    negative = sum(one.verdict == verdicts[1] for one in judgements)
    if positive == negative:
        return None
    return verdicts[0] if positive > negative else verdicts[1]


def _seen(text: str) -> str:
    """A text without the characters that show nothing: one of them would hide a verdict from a pattern."""
    return "".join(each for each in text if unicodedata.category(each) != "Cf")


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())
