"""The tables of a guide about cards and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ullage.planning.guide import COUNTS
from ullage.reports.advice_page import in_short, typed
from ullage.reports.figures import UNKNOWN, dollars, durations, number
from ullage.reports.guide.amounts import in_a_cell
from ullage.reports.pages.page import Part, Prose
from ullage.reports.pages.table import Table

if TYPE_CHECKING:
    from ullage.planning.guide import Guide, Tier


def tiers(guide: Guide) -> Table:
    """What to do with a card of each size."""
    rows = tuple((each.name, each.gpus, *_tier(each)) for each in guide.tiers)
    columns = ("size", "card", "as it is", "GiB free", "what to change", "then")
    return Table(
        columns,
        rows,
        frozenset({"GiB free"}),
        "GiB free: on the fullest card, as it is; changes are as `ullage plan` takes them.",
    )


def _tier(tier: Tier) -> tuple[str, str, str, str]:
    plan = tier.plan
    if plan is None:
        return "refused", "", tier.refused, ""
    left = min((each.ullage for each in plan.devices if each.ullage is not None), default=None)
    free = "" if left is None else number(left)
    if plan.verdict != "does not fit":
        known = plan.total_seconds is not None
        time = f"{durations(plan.total_seconds)} for all" if known else "time unknown; a note says why"
        return plan.verdict, free, "nothing", time
    if not plan.advice:
        nearest = None if plan.search is None else plan.search.nearest
        over = "" if nearest is None else f"; the nearest is {number(nearest.over)} GiB too much"
        return "no", free, f"nothing that was tried fits{over}", ""
    best = plan.advice[0]
    options = " ".join(typed(best, plan))
    return "no", free, options, f"{best.verdict}, {in_short(best)}"


def fits(guide: Guide) -> Table:
    """Fits, tight or no for common cards, by one and by several."""
    heads = tuple(f"{count}x" for count in COUNTS)
    rows = tuple((each.card, number(each.usable), *map(in_a_cell, each.verdicts)) for each in guide.fits)
    caption = (
        "Usable GiB of one card, what torch can take at least. refused: the card cannot do what is asked for."
    )
    return Table(("card", "usable GiB", *heads), rows, frozenset({"usable GiB"}), caption)


def costs(guide: Guide) -> tuple[Part, ...]:
    """Dollars an hour and for 1000 examples, each with its list and day."""
    found = guide.renting
    if not found.rentals:
        return (Prose(f"No set of cards with a known {found.label} price holds this workload."),)
    share = 1000 / max(found.examples, 1)
    rows = tuple(
        (
            each.gpus.name,
            each.verdict,
            UNKNOWN if each.cost is None else f"{each.cost.usd_per_hour:,.2f}",
            dollars(None if each.usd is None else each.usd * share).removeprefix("$"),
            dollars(each.usd).removeprefix("$"),
            durations(each.seconds),
            "" if each.cost is None else f"{each.cost.provider}, {each.cost.as_of}",
        )
        for each in found.rentals
    )
    columns = (
        "cards",
        "verdict",
        "$ an hour",
        "$ per 1000 examples",
        f"$ for all {found.examples:,}",
        "time",
        "price of",
    )
    more = f"; {found.more} more sets hold it" if found.more else ""
    first = "for the whole" if any(each.usd is not None for each in found.rentals) else "by the hour"
    caption = f"{found.label} prices in US dollars, cheapest {first} first{more}; each of its day"
    return (Table(columns, rows, frozenset(columns[2:5]), caption),)
