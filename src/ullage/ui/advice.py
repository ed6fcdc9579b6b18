"""Advice as the page has it: what each entry changes."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from ullage.reports.advice_page import in_short

if TYPE_CHECKING:
    from ullage.planning.advice.entry import Advice
    from ullage.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class AdviceRow:
    """An entry of the advice: the `changes` that make it so, and how they are typed."""

    gpus: str
    verdict: str
    short: str
    note: str
    changes: tuple[str, ...]
    typed: str


def advice_of(plan: Plan) -> tuple[AdviceRow, ...]:
    """Every entry, in the order of the plan."""
    return tuple(_advice(plan, entry) for entry in plan.advice)


def _advice(plan: Plan, entry: Advice) -> AdviceRow:
    cards = () if entry.gpus == plan.gpus.name else (f"budget.gpus={entry.gpus}",)
    changes = (*cards, *(f"{path}={value}" for path, value in entry.changes))
    typed = " ".join(f"--set {quote(each)}" for each in changes) or "as it is"
    return AdviceRow(entry.gpus, entry.verdict, in_short(entry), entry.quality_note, changes, typed)
