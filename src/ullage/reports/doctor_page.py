"""A diagnosis on the terminal: what was found, part by part, each with what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.text import Text

from ullage.facts.health.diagnosis import Diagnosis, Readiness
from ullage.facts.health.finding import Finding

STYLES = {"ok": "green", "note": "yellow", "problem": "red"}
WORDS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}
WIDTH = max(map(len, WORDS.values()))


def show_diagnosis(found: Diagnosis, console: Console) -> None:
    """Each finding on a line with its state, and below it what to do."""
    for part in found.parts:
        console.print(Text(part.name, style="bold"))
        _show(part.findings, console)
    if found.file is not None:
        _show_file(found.file, console)
    console.print(Text(_summary(found), style="bold"))
    if found.quick:
        console.print(Text("quick: no library was imported, and nothing was measured", style="dim"))
    else:
        console.print(Text(f"took {_seconds(found)}", style="dim"))


def _show(findings: Iterable[Finding], console: Console) -> None:
    for each in findings:
        line = Text("  ")
        line.append(WORDS[each.state].ljust(WIDTH), style=STYLES[each.state])
        line.append(f"  {each.about}: {each.said}")
        console.print(line, soft_wrap=True)
        if each.todo:
            console.print(Text(f"  {'':{WIDTH}}  -> {each.todo}"), soft_wrap=True)


def _show_file(file: Readiness, console: Console) -> None:
    console.print(Text(f"{file.title} on {file.gpus}", style="bold"))
    _show(file.findings, console)
    for role in file.roles:
        title = Text(f"  {role.name}: {role.model} with engine {role.engine}", style="bold")
        console.print(title, soft_wrap=True)
        _show(role.findings, console)
        for where, blocks in _by_device(role.device_map).items():
            console.print(Text(f"  {'':{WIDTH}}  on {where}: {blocks}"), soft_wrap=True)
    console.print(Text(_outcome(file), style="green" if file.runs and file.fits else "red"))


def _by_device(device_map: Mapping[str, str]) -> dict[str, str]:
    """What each device would hold, in a line."""
    found: dict[str, list[str]] = {}
    for blocks, device in device_map.items():
        found.setdefault(device, []).append(blocks)
    return {device: ", ".join(held) for device, held in found.items()}


def _outcome(file: Readiness) -> str:
    if not file.runs:
        return "it cannot be run here as things are"
    if not file.fits:
        return "all that it needs is here, and it does not fit"
    return "it can be run here"


def _summary(found: Diagnosis) -> str:
    states = [each.state for each in found.findings]
    problems, notes = states.count("problem"), states.count("note")
    if not problems:
        return f"no problem was found, {notes} to note"
    return f"{problems} problem{'' if problems == 1 else 's'}, {notes} to note"


def _seconds(found: Diagnosis) -> str:
    """What took how long: libraries are tried side by side."""
    each = ", ".join(f"{one.name} {one.seconds:.1f} s" for one in found.tried.values())
    trying = next(part.seconds for part in found.parts if part.name == "libraries")
    total = sum(part.seconds for part in found.parts)
    return f"{total:.1f} s, {trying:.1f} s of it importing ({each or 'nothing'})"
