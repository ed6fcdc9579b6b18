"""Advice as the page has it: what each entry changes."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from ullage.reports.advice_page import in_short
from ullage.reports.figures import number

if TYPE_CHECKING:
    from ullage.planning.advice.entry import Advice, Nearest
    from ullage.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class AdviceRow:
    """An entry of the advice: the `changes` that make it so, and how they are typed."""

    gpus: str
    verdict: str
    short: str
    note: str
    changes: tuple[str, ...]
    typed: tuple[str, ...]


def advice_of(plan: Plan) -> tuple[AdviceRow, ...]:
    """Every entry, in the order of the plan."""
    return tuple(_advice(plan, entry) for entry in plan.advice)


def nearest_of(plan: Plan) -> AdviceRow | None:
    """Where nothing fits: what comes nearest."""
    found = None if plan.search is None else plan.search.nearest
    if found is None:
        return None
    changes = _changes(plan, found)
    return AdviceRow(
        found.gpus, "does not fit", f"{number(found.over)} GiB too much", "", changes, _typed(changes)
    )


def _advice(plan: Plan, entry: Advice) -> AdviceRow:
    changes = _changes(plan, entry)
    return AdviceRow(entry.gpus, entry.verdict, in_short(entry), entry.quality_note, changes, _typed(changes))


def _changes(plan: Plan, entry: Advice | Nearest) -> tuple[str, ...]:
    cards = () if entry.gpus == plan.gpus.name else (f"budget.gpus={entry.gpus}",)
    return (*cards, *(f"{path}={value}" for path, value in entry.changes))


def _typed(changes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"--set {quote(each)}" for each in changes) or ("as it is",)
