"""Claims held against what is computed: right, rounded, wrong, or not decidable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from ullage.planning.verdict import Verdict
from ullage.shown import Shown
from ullage.spec.amount import FITS, Amount
from ullage.spec.claim import Claim
from ullage.units import GIB, Estimate

Ruling = Literal["right", "rounded", "wrong", "not decidable", "unconfirmed"]
RULINGS: Final[tuple[Ruling, ...]] = ("wrong", "rounded", "right", "not decidable", "unconfirmed")
ROUNDING: Final = GIB / 10**9
"""How far a claim may lie beside what is computed and pass for rounded: as far as GiB and GB lie apart,
7.4 %, whichever of the two was meant."""
SHARE_ROUNDING: Final = 0.05
"""The same of shares of a whole: five percent of it, since they are given as halves and quarters."""


class Judged(NamedTuple):
    """A ruling; `off` is the claim's nearest end over the computed one's, less 1; of shares their difference.
    None where nothing is between them."""

    ruling: Ruling
    off: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim, the line of its file, and what became of it.

    `computed` is bytes, a share, seconds or tokens a second as the claim is; `verdict` and `ullage` (bytes
    left on the fullest card) are of what was claimed to fit. `said` is what is missing where it cannot be
    decided; `stated` where the claim itself says that.
    """

    line: int
    claim: Claim | None
    ruling: Ruling
    amount: Amount | None = None
    computed: Estimate | None = None
    off: float | None = None
    verdict: Verdict | None = None
    ullage: int | None = None
    said: str = ""
    stated: bool = False


@dataclass(frozen=True, slots=True)
class Audit(Shown):
    """What became of the claims of one document."""

    path: str
    document: str
    source: str
    note: str
    findings: tuple[Finding, ...]

    def of(self, ruling: Ruling) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.ruling == ruling)

    @property
    def counts(self) -> Mapping[Ruling, int]:
        """How many there are of each ruling, the worst first."""
        found = Counter(each.ruling for each in self.findings)
        return {ruling: found[ruling] for ruling in RULINGS}

    @property
    def units(self) -> Mapping[str, int]:
        """The units that sizes are claimed in, and how often."""
        said = (each.amount.unit for each in self.findings if each.amount and each.amount.measure == "bytes")
        return dict(sorted(Counter(said).items()))

    @property
    def undecided(self) -> bool:
        """Whether a claim could not be decided that does not say so itself."""
        return any(not each.stated for each in self.of("not decidable"))

    def __repr__(self) -> str:
        said = ", ".join(f"{count} {ruling}" for ruling, count in self.counts.items() if count)
        return f"<Audit of {self.document}: {said or 'no claims'}>"


def judge(amount: Amount, computed: Estimate) -> Judged:
    """A size, a time or a share against the interval that is computed.

    Right where the two have a value in common, rounded where a unit mistaken for the other would explain
    what lies between them, else wrong. The same bytes are judged alike whatever unit they are written in.
    """
    if amount.low <= computed.high and computed.low <= amount.high:
        return Judged("right")
    above = amount.low > computed.high
    claimed, known = (amount.low, computed.high) if above else (amount.high, computed.low)
    if amount.measure == "share":
        off = claimed - known
        return Judged("rounded" if abs(off) <= SHARE_ROUNDING else "wrong", off)
    if not known or not claimed:
        return Judged("wrong", None if not known else -1.0)
    ratio = claimed / known
    near = 1 / ROUNDING <= ratio <= ROUNDING
    return Judged("rounded" if near else "wrong", ratio - 1)


def judge_verdict(amount: Amount, verdict: Verdict) -> Judged:
    """`fits` for what is tight, and `tight` for what fits, is rounded."""
    assert amount.fits is not None
    if amount.fits == verdict:
        return Judged("right")
    both_fit = "does not fit" not in (amount.fits, verdict)
    assert {amount.fits, verdict} <= set(FITS)
    return Judged("rounded" if both_fit else "wrong")
