"""What advice says: its entries, what came nearest where there is none, and how they were looked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from ullage.documents import ByName
from ullage.planning.verdict import Verdict
from ullage.units import ZERO, Estimate, Interval

Order = Literal["cost", "time", "quality"]
"""What advice is ordered by."""
LossBasis = Literal["unchanged", "assumed", "measured"]
"""How a loss of quality is known: there is none, by the order of published ones, or by runs of the user's."""


class Advice(NamedTuple):
    """One way to make the workload fit, cheaper, or faster: what changes, and what it comes to.

    `changes` are `--set` paths and values that reproduce it; `gpus` the set it is meant for, `own_cards`
    where that is the one that was asked for. `quality_loss` is a rank-like score (0: results unchanged),
    known by `quality_basis`; `quality_note` says what changes. Seconds and dollars are for 1000 examples,
    None where a phase's time or the price is not known; `seconds` and `usd` are the same with their low and
    high values; `known_seconds` are of the phases whose time is, `unknown` the roles of the others.
    `saves` is bytes off the fullest device's high value, `peak` all cards' together; `host` the bytes of
    host memory it takes, and `host_usd_per_hour` what these cost: 0 where they come with the cards, None
    where no price list says it.
    """

    changes: tuple[tuple[str, str], ...]
    gpus: str
    verdict: Verdict
    quality_loss: float
    quality_note: str
    seconds_per_1000_examples: float | None
    usd_per_1000_examples: float | None
    saves: int
    peak: Interval
    quality_basis: LossBasis = "unchanged"
    own_cards: bool = True
    known_seconds: float = 0.0
    usd_per_hour: float | None = None
    host: Interval = ZERO
    host_usd_per_hour: float | None = None
    unknown: tuple[str, ...] = ()
    seconds: Estimate | None = None
    usd: Estimate | None = None


class Nearest(NamedTuple):
    """What came nearest to fitting: changes, on which cards, and the bytes it exceeds them by."""

    changes: tuple[tuple[str, str], ...]
    gpus: str
    over: int


@dataclass(frozen=True, slots=True)
class Search:
    """How advice was searched for: in which order (`for_`) and what was `kept`; `tried` settings were
    planned, `left` were not, for it ends by their number. `nearest` where nothing fits."""

    for_: Order
    kept: tuple[str, ...]
    tried: int
    left: int
    nearest: Annotated[Nearest, ByName()] | None = None
