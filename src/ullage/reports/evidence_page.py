"""Evidence of past runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Final

from ullage.records.evidence import RULE, Evidence, Learned, learned
from ullage.records.timing import RULE as TIME_RULE
from ullage.records.timing import LearnedTime, learned_times
from ullage.reports.pages.page import Part, Prose, Section
from ullage.reports.pages.table import Table
from ullage.units import MIB

ENDS: Final = ("at least", "expected", "at most")


def evidence_page(found: Evidence) -> Iterator[Part]:
    """Each observation, what plans take from them by key and workload, and the rule."""
    if found.warning:
        yield Prose(found.warning, "warning")
    if not found.observations and not found.timings:
        yield Prose(f"no run has left evidence in {found.file}; plans use what is usual")
        return
    memory, times = learned(found), learned_times(found.timings, version("ullage"))
    if found.observations:
        yield _observations(found)
    for key in dict.fromkeys((*(each.key for each in memory), *(each.key for each in times))):
        of_memory = [each for each in memory if each.key == key]
        of_times = [each for each in times if each.key == key]
        held = (*([_learned(of_memory)] if of_memory else []), *([_times(of_times)] if of_times else []))
        yield Section(str(key), held)
    rules = [f"memory: {RULE}; a run also counts what its process holds before any model"]
    if found.timings:
        others = len(found.timings) - sum(each.software.split(",")[0] == _ours() for each in found.timings)
        older = f"; {_count(others, 'time')} of other versions of Ullage not counted" if others else ""
        rules.append(f"{TIME_RULE}{older}")
    yield Section("How", tuple(map(Prose, rules)))


def _ours() -> str:
    return f"ullage {version('ullage')}"


def _times(times: Sequence[LearnedTime]) -> Table:
    rows = tuple(
        (
            one.phase,
            one.manner,
            one.workload,
            *(f"{value:,.3g}" if value < 1000 else f"{value:,.0f}" for value in one.time.seconds),
            one.time.source.partition(" of this workload")[0],
        )
        for one in times
    )
    columns = ("phase", "how", "workload", *ENDS, "from")
    return Table(columns, rows, frozenset(ENDS), title="seconds planned for one pass, by what runs took")


def _observations(found: Evidence) -> Table:
    rows = tuple(
        (
            *(one.date[:10], one.run, one.phase, one.workload, str(one.key.threads)),
            *(f"{size / MIB:,.0f}" for size in (one.overhead, one.held)),
        )
        for one in found.observations
    )
    title = f"MiB a process took beside its tensors, of them held before any model ({found.file})"
    columns = ("date", "run", "phase", "workload", "threads", "taken", "held")
    return Table(columns, rows, frozenset(columns[4:]), title=title)


def _learned(found: Sequence[Learned]) -> Table:
    rows = []
    for one in found:
        size = one.overhead.bytes
        sizes = (f"{value / MIB:,.0f}" for value in (size.low, size.expected, size.high))
        source = one.overhead.source.partition(" measured here")[0]
        rows.append((one.workload, str(one.runs), *sizes, source))
    columns = ("workload", "runs", *ENDS, "from")
    return Table(columns, tuple(rows), frozenset(columns[1:5]), title="MiB planned")


def cleared_page(found: Evidence) -> Iterator[Part]:
    """What was removed."""
    aside = sum(count for _, count in found.set_aside)
    runs = len(
        {(each.run, each.date) for each in found.observations}
        | {(each.run, each.date) for each in found.timings}
    )
    measured = len(found.observations) + len(found.timings)
    if not measured and not aside and not found.damage:
        yield Prose(f"nothing to remove: {found.file} holds no evidence")
        return
    yield Prose(
        f"removed {found.file}: {_count(measured, 'observation')} of {_count(runs, 'run')}"
        + (f", {_count(aside, 'line')} not counted" if aside else "")
        + (f"; it {found.damage}" if found.damage else "")
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
