"""Runs as parts of a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from ullage.reports.charts import table
from ullage.reports.pages.page import Facts, Figure, Fold, Items, Part, Prose, Section
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span, Words
from ullage.reports.status_page import status_page

if TYPE_CHECKING:
    from ullage.records.pool import PoolSeen
    from ullage.records.status import RunStatus
    from ullage.ui.runs import Course, Run


def listed(runs: Sequence[Run], folder: str, root: str) -> Iterator[Part]:
    """All of a folder, or how to give one."""
    if not folder:
        yield Prose("No folder of runs was given: begin with `ullage ui --runs FOLDER`.")
    elif not runs:
        yield Prose("There is none.")
    else:
        wrong = any(run.wrong for run in runs)
        columns = ("run", "state", "workload", "kind", "GPUs", "planned", "done")
        last = ("what cannot be read",) if wrong else ()
        yield Table((*columns, *last), tuple(_row(run, root, wrong) for run in runs), frozenset({"done"}))


def _row(run: Run, root: str, wrong: bool) -> tuple[Words, ...]:
    name = Span(run.id, to=f"{root}/runs/{quote(run.id)}")
    done = f"{run.done:,} pieces" if run.records is None else f"{run.records:,} records"
    told = (run.state, run.title, run.kind, run.gpus, run.verdict, done)
    return name, *map(Span, told), *((Span("; ".join(run.wrong), "bad"),) if wrong else ())


def facts(run: Run) -> Facts:
    """What ran where."""
    pairs = (("workload", run.title), ("kind", run.kind), ("GPUs", run.gpus), ("planned", run.verdict))
    return Facts(tuple((name, (Prose(Span(said)),)) for name, said in pairs))


def now(run: Run, course: Course, far: RunStatus | None, elsewhere: bool) -> Iterator[Part]:
    """How far it is and who does it, and what of it cannot be read."""
    yield Prose(Span(run.state, "strong") if far else f"{run.state}: {run.done} pieces done")
    if far is not None:
        page = status_page(replace(far, wrong=tuple(line for line in far.wrong if line not in run.wrong)))
        yield from page.opening
        yield from page.sections
    if elsewhere:
        yield Prose("What is done of it lies in a store, which `ullage status` asks.")
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
            if each.budget or each.used or each.most
        )
    )
