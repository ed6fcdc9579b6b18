"""What to do, on a plan's first screen: the first advice as it is typed, and what own cards take."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ullage.planning.cost import per_1000
from ullage.reports.advice_page import before_own, first_own, in_all, in_short, typed
from ullage.reports.figures import number
from ullage.reports.pages.page import Code, Facts, Part, Prose, Share
from ullage.reports.pages.shell import BREAK, SHELL
from ullage.spec.workload import ONE_MODEL

if TYPE_CHECKING:
    from ullage.planning.advice.entry import Advice, Nearest, Search
    from ullage.planning.plan import Plan
    from ullage.planning.verdict import Verdict

MORE: Final = "--details"


def to_do(plan: Plan) -> Iterator[Share]:
    """The first advice as it can be typed, and what it comes to; where a search found none, how near it
    came."""
    if plan.advice:
        best = plan.advice[0]
        said = in_short(best) + in_all(best, plan.workload.examples) + before_own(plan, best)
        yield Share(_said(_why(plan, best), said), 3)
        yield _typed(plan, best, "")
        own = first_own(plan)
        if own is not None and own is not best and own.changes:
            yield _typed(plan, own, f"on {'these cards' if plan.verdict != 'fits' else plan.gpus.name}:")
        elif own is None and plan.verdict == "does not fit" and _unquantized(plan):
            said = "not searched: checkpoints stored in awq or gptq (precision: awq)"
            if plan.workload.kind != ONE_MODEL:
                said += ", caches in int8 (no run keeps one)"
            yield Share(_said("", said), 1)
    elif plan.search is not None:
        yield Share(_said("to do", _none(plan.search, plan.verdict)), 3)
        if (nearest := plan.search.nearest) is not None:
            yield _typed(plan, nearest, f"the nearest is {number(nearest.over)} GiB too much:")


def _unquantized(plan: Plan) -> bool:
    """Whether a role's own checkpoint is in none of the schemes."""
    return any(each.precision.scheme is None for each in plan.roles.values())


def _typed(plan: Plan, entry: Advice | Nearest, said: str) -> Share:
    """What an entry is typed as, under what is `said` of it: whole; else of the first where that is, and of
    others nothing: what they come to is said before."""
    options = typed(entry, plan)
    lines: tuple[Part, ...] = (Prose(said),) if said else ()
    instead = () if said else (("", (Prose(f"{len(options)} options, all in {MORE}"),)),)
    return Share((Facts((("", (*lines, Code(BREAK.join(options), SHELL))),)),), 0, Facts(instead))


def _none(search: Search, verdict: Verdict) -> str:
    left = f", {search.left:,} were left: a search ends by their number" if search.left else ""
    if verdict == "fits":
        return f"nothing: none of {search.tried:,} settings that were tried is cheaper or faster{left}"
    return f"none of {search.tried:,} settings that were tried fits{left}"


def _why(plan: Plan, entry: Advice) -> str:
    """What an entry is for: to fit at all, else what it is better at."""
    if plan.verdict != "fits":
        return "to do"
    now = None if plan.cost is None else plan.cost.usd_per_1000_examples
    usd, seconds = entry.usd_per_1000_examples, entry.seconds_per_1000_examples
    is_cheaper = now is not None and usd is not None and usd < now.expected
    took = math.inf if plan.total_seconds is None else plan.total_seconds.expected
    took *= per_1000(plan.workload.examples)
    is_faster = seconds is not None and seconds < took < math.inf
    for_time = plan.search is not None and plan.search.for_ == "time"
    return "faster" if is_faster and (for_time or not is_cheaper) else "cheaper" if is_cheaper else "also"


def _said(word: str, text: str) -> tuple[Part, ...]:
    return (Facts(((word, (Prose(text),)),)),)
