"""A diagnosis: what was found, part by part, each with what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from ullage.reports.pages.page import Facts, Part, Prose
from ullage.reports.pages.words import Span, Tone

if TYPE_CHECKING:
    from ullage.facts.health.diagnosis import Diagnosis, Readiness
    from ullage.facts.health.finding import Finding

WORDS: Final = {"ok": "ok", "note": "note", "problem": "PROBLEM"}
TONES: Final[dict[str, Tone]] = {"ok": "good", "note": "warning", "problem": "bad"}


def doctor_page(found: Diagnosis) -> Iterator[Part]:
    """Each finding with its state, and below it what to do."""
    for part in found.parts:
        yield Prose(part.name, "strong")
        yield _findings(part.findings)
    if found.file is not None:
        yield from _file(found.file)
    yield Prose(_summary(found), "strong")
    quick = "quick: no library was imported, and nothing was measured"
    yield Prose(quick if found.quick else f"took {_seconds(found)}", "note")


def _findings(findings: Iterable[Finding], device_map: Mapping[str, str] | None = None) -> Facts:
    """And where parts of a model would be."""
    said = []
    for each in findings:
        lines = (f"{each.about}: {each.said}", *([f"-> {each.todo}"] if each.todo else []))
        said.append((Span(WORDS[each.state], TONES[each.state]), tuple(Prose(Span(line)) for line in lines)))
    places = _by_device(device_map or {}).items()
    return Facts((*said, *(("", (Prose(f"on {where}: {blocks}"),)) for where, blocks in places)))


def _file(file: Readiness) -> Iterator[Part]:
    yield Prose(Span(f"{file.title} on {file.gpus}"), "strong")
    yield _findings(file.findings)
    for role in file.roles:
        yield Prose(Span(f"{role.name}: {role.model} with engine {role.engine}"), "strong")
        yield _findings(role.findings, role.device_map)
    yield Prose(_outcome(file), "good" if file.runs and file.fits else "bad")


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
