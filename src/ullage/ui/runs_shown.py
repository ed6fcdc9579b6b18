"""Runs as parts of a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from ullage.reports.charts import table
from ullage.reports.pages.page import Facts, Figure, Fold, Items, Part, Prose, Section
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span, Words

if TYPE_CHECKING:
    from ullage.records.pool import PoolSeen
    from ullage.ui.runs import Course, Run


def listed(runs: Sequence[Run], folder: str, root: str) -> Iterator[Part]:
    """All of a folder, or how to give one."""
    if not folder:
        yield Prose("No folder of runs was given: begin with `ullage ui --runs FOLDER`.")
    elif not runs:
        yield Prose("There is none.")
    else:
        columns = (
            "run",
            "state",
            "workload",
            "kind",
            "GPUs",
            "planned",
            "pieces done",
            "what cannot be read",
        )
        yield Table(columns, tuple(_row(run, root) for run in runs), frozenset({"pieces done"}))


def _row(run: Run, root: str) -> tuple[Words, ...]:
    name = Span(run.id, to=f"{root}/runs/{quote(run.id)}")
    wrong = Span("; ".join(run.wrong), "bad")
    told = (run.state, run.title, run.kind, run.gpus, run.verdict, str(run.done))
    return name, *map(Span, told), wrong


def facts(run: Run) -> Facts:
    """What ran where."""
    pairs = (("workload", run.title), ("kind", run.kind), ("GPUs", run.gpus), ("planned", run.verdict))
    return Facts(tuple((name, (Prose(Span(said)),)) for name, said in pairs))


def now(run: Run, course: Course) -> Iterator[Part]:
    """How far it is, and what of it cannot be read."""
    ended = ""
    if run.examples is not None and run.seconds is not None:
        ended = f"; {run.examples:,} examples in {run.seconds:,.1f} s"
    yield Prose(f"{run.state}: {run.done} pieces done{ended}")
    for line in (*run.wrong, *course.wrong):
        yield Prose(Span(line), "bad")


def figure(course: Course) -> tuple[Part, ...]:
    """Memory over time."""
    return () if course.chart is None else (Figure(course.chart),)


def in_figures(course: Course) -> Iterator[Part]:
    """The same as a table, and the pool."""
    if course.last is None:
        yield Prose("Its memory was not sampled twice.")
    else:
        yield Fold("Memory over time as a table", (table(course.last),), opened=True)
    if course.pool is not None:
        yield Section("Pool", tuple(_pool(course.pool)))


def _pool(pool: PoolSeen) -> Iterator[Part]:
    numbers = ("lent", "loads")
    rows = tuple(
        (
            role.name,
            role.where,
            ", ".join(f"{size:,} on {place}" for place, size in role.bytes.items()),
            str(role.leases),
            str(role.loads),
        )
        for role in pool.roles
    )
    yield Table(("role", "where", "bytes", *numbers), rows, frozenset(numbers))
    yield Items(
        tuple(
            f"{each.place}: {each.used:,} of {each.budget:,} bytes taken, at most {each.most:,}"
            for each in pool.places
        )
    )
