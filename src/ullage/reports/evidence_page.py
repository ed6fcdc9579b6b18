"""Evidence of past runs on the terminal and as JSON."""

from __future__ import annotations

from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from ullage.records.evidence import RULE, Evidence, Learned, learned
from ullage.units import MIB


def show_evidence(found: Evidence, console: Console) -> None:
    """Each observation, what plans take from them by key and workload, and the rule."""
    if found.warning:
        console.print(found.warning, style="yellow")
    if not found.observations:
        console.print(f"no run has left evidence in {found.file}; plans use what is usual")
        return
    console.print(_observations(found))
    for key in dict.fromkeys(each.key for each in found.observations):
        console.print()
        console.print(str(key))
        console.print(_learned([each for each in learned(found) if each.key == key]))
    console.print()
    console.print(f"{RULE}; a run also counts what its process holds before any model")


def _observations(found: Evidence) -> Table:
    title = f"MiB a process took beside its tensors, of them held before any model ({found.file})"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("date", no_wrap=True)
    for name in ("run", "phase", "workload", "threads"):
        table.add_column(name)
    for name in ("taken", "held"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.observations:
        sizes = (f"{one.overhead / MIB:,.0f}", f"{one.held / MIB:,.0f}")
        table.add_row(one.date[:10], one.run, one.phase, one.workload, str(one.key.threads), *sizes)
    return table


def _learned(found: list[Learned]) -> Table:
    table = Table(title="MiB planned", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("workload", "runs", "at least", "expected", "at most", "from"):
        table.add_column(name, justify="left" if name in ("workload", "from") else "right")
    for one in found:
        size = one.overhead.bytes
        sizes = (f"{value / MIB:,.0f}" for value in (size.low, size.expected, size.high))
        table.add_row(one.workload, str(one.runs), *sizes, one.overhead.source.partition(" measured here")[0])
    return table


def show_cleared(found: Evidence, console: Console) -> None:
    """What was removed."""
    aside = sum(count for _, count in found.set_aside)
    runs = len({(each.run, each.date) for each in found.observations})
    if not found.observations and not aside and not found.damage:
        console.print(f"nothing to remove: {found.file} holds no evidence")
        return
    console.print(
        f"removed {found.file}: {_count(len(found.observations), 'observation')} of {_count(runs, 'run')}"
        + (f", {_count(aside, 'line')} not counted" if aside else "")
        + (f"; it {found.damage}" if found.damage else "")
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def evidence_document(found: Evidence, cleared: bool = False) -> dict[str, object]:
    """As JSON; bytes. `cleared` says that what is listed was removed."""
    from ullage.planning.document import header, interval

    return {
        **header("evidence"),
        "file": found.file,
        "cleared": cleared,
        "damage": found.damage,
        "not_counted": [{"reason": reason, "lines": count} for reason, count in found.set_aside],
        "observations": [asdict(each) for each in found.observations],
        "planned": [
            {
                "key": asdict(each.key),
                "workload": each.workload,
                "runs": each.runs,
                "bytes": interval(each.overhead.bytes),
                "source": each.overhead.source,
            }
            for each in learned(found)
        ],
        "rule": RULE,
    }
