"""Evidence of past runs on the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from rich.console import Console
from rich.table import Table

from ullage.records.evidence import RULE, Evidence, Learned, learned
from ullage.records.timing import RULE as TIME_RULE
from ullage.records.timing import LearnedTime, learned_times
from ullage.units import MIB


def show_evidence(found: Evidence, console: Console) -> None:
    """Each observation, what plans take from them by key and workload, and the rule."""
    if found.warning:
        console.print(found.warning, style="yellow")
    if not found.observations and not found.timings:
        console.print(f"no run has left evidence in {found.file}; plans use what is usual")
        return
    memory, times = learned(found), learned_times(found.timings, version("ullage"))
    if found.observations:
        console.print(_observations(found))
    for key in dict.fromkeys((*(each.key for each in memory), *(each.key for each in times))):
        console.print()
        console.print(str(key))
        if any(each.key == key for each in memory):
            console.print(_learned([each for each in memory if each.key == key]))
        if any(each.key == key for each in times):
            console.print(_times([each for each in times if each.key == key]))
    console.print()
    console.print(f"memory: {RULE}; a run also counts what its process holds before any model")
    if found.timings:
        others = len(found.timings) - sum(each.software.split(",")[0] == _ours() for each in found.timings)
        older = f"; {_count(others, 'time')} of other versions of Ullage not counted" if others else ""
        console.print(f"{TIME_RULE}{older}")


def _ours() -> str:
    return f"ullage {version('ullage')}"


def _times(times: Sequence[LearnedTime]) -> Table:
    title = "seconds planned for one pass, by what runs took"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("phase", "how", "workload", "at least", "expected", "at most", "from"):
        figures = name in ("at least", "expected", "at most")
        table.add_column(name, justify="right" if figures else "left", no_wrap=figures, overflow="fold")
    for one in times:
        sizes = (f"{value:,.3g}" if value < 1000 else f"{value:,.0f}" for value in one.time.seconds)
        runs = one.time.source.partition(" of this workload")[0]
        table.add_row(one.phase, one.manner, one.workload, *sizes, runs)
    return table


def _observations(found: Evidence) -> Table:
    title = f"MiB a process took beside its tensors, of them held before any model ({found.file})"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("date", no_wrap=True)
    for name in ("run", "phase", "workload", "threads"):
        table.add_column(name, overflow="fold")
    for name in ("taken", "held"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.observations:
        sizes = (f"{one.overhead / MIB:,.0f}", f"{one.held / MIB:,.0f}")
        table.add_row(one.date[:10], one.run, one.phase, one.workload, str(one.key.threads), *sizes)
    return table


def _learned(found: list[Learned]) -> Table:
    table = Table(title="MiB planned", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("workload", "runs", "at least", "expected", "at most", "from"):
        table.add_column(name, justify="left" if name in ("workload", "from") else "right", overflow="fold")
    for one in found:
        size = one.overhead.bytes
        sizes = (f"{value / MIB:,.0f}" for value in (size.low, size.expected, size.high))
        table.add_row(one.workload, str(one.runs), *sizes, one.overhead.source.partition(" measured here")[0])
    return table


def show_cleared(found: Evidence, console: Console) -> None:
    """What was removed."""
    aside = sum(count for _, count in found.set_aside)
    runs = len(
        {(each.run, each.date) for each in found.observations}
        | {(each.run, each.date) for each in found.timings}
    )
    measured = len(found.observations) + len(found.timings)
    if not measured and not aside and not found.damage:
        console.print(f"nothing to remove: {found.file} holds no evidence")
        return
    console.print(
        f"removed {found.file}: {_count(measured, 'observation')} of {_count(runs, 'run')}"
        + (f", {_count(aside, 'line')} not counted" if aside else "")
        + (f"; it {found.damage}" if found.damage else "")
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
