"""What the phases of a plan take, as a table, with how each time is known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ullage.reports.figures import durations, rates, spread
from ullage.reports.pages.table import Table

if TYPE_CHECKING:
    from ullage.planning.phase_time import PhaseTime

COLUMNS = ("phase", "seconds a pass", "tokens/s", "whole workload", "bound by", "basis")


def times_table(times: Iterable[PhaseTime]) -> Table:
    """A row for each phase; below it whose measurements and which ratios stand among them."""
    times = tuple(times)
    sources = dict.fromkeys(f"{each.basis}: {each.source}" for each in times if each.source)
    rows = tuple(
        (
            each.phase,
            spread(each.seconds),
            "" if each.tokens_per_second is None else rates(each.tokens_per_second),
            durations(each.total_seconds),
            each.bound,
            each.basis,
        )
        for each in times
    )
    return Table(COLUMNS, rows, frozenset(COLUMNS[1:4]), "; ".join(sources), "time")
