"""What a run of requests comes to: answered and failed, routes, switches, and how long each stage took."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Final, TypedDict

from ullage.fields import Fields
from ullage.kinds.assistant.rows import ANSWERS, WHOLE
from ullage.kinds.assistant.turn import STAGES
from ullage.records.folder import JOURNAL
from ullage.records.journal import read_journal
from ullage.records.lines import numbered_rows
from ullage.records.undone import numbers_in

HIGH: Final = 0.95
BROUGHT, RESIDENT = "brought", "resident"
MOST_REASONS: Final = 20
OTHERS: Final = "other reasons"
SHOWN: Final = 3
"""Reasons that are told in a line."""


class Spread(TypedDict):
    """Of `count` measured times, in seconds: the middle one, and that which 95 % do not exceed."""

    count: int
    median: float
    p95: float


class Summary(TypedDict):
    """`fell_back` are requests whose route led to the fallback, `replaced` those whose specialist could not
    be asked, each with how often which reason; `unsaid` those whose answer the voice did not say. `switches`
    are times until a specialist was there, of those that were brought and of those that were resident;
    `stages` those that requests spent in each stage, and until they were answered."""

    requests: int
    answered: int
    failed: dict[str, int]
    fell_back: dict[str, int]
    replaced: dict[str, int]
    unsaid: int
    remembered: int
    pictures: int
    calls: int
    calls_failed: int
    specialists: dict[str, int]
    switches: dict[str, Spread]
    stages: dict[str, Spread]


class Taken(TypedDict):
    """What the journal says of a request: seconds by stage, and whether its specialist had to be brought."""

    seconds: Mapping[str, float]
    brought: frozenset[str]


Row = Mapping[str, object]


def read_run(folder: Path) -> Iterator[tuple[Row, Taken]]:
    """Every answer of a run with what it took, in the order they were given. Raises FormatError."""
    taken: dict[int, Taken] = {}
    for entry in _rounds(folder):
        lines = numbers_in(entry.values, "items")
        brought = frozenset(one.text("to") for one in entry.each("switches") if not one.flag("here"))
        times = [one.numbers() for one in entry.each("seconds")] if "seconds" in entry else []
        for place, line in enumerate(lines):
            taken[line] = {"seconds": times[place] if place < len(times) else {}, "brought": brought}
    for line, row in numbered_rows(folder, ANSWERS):
        yield row, taken.get(line, {"seconds": {}, "brought": frozenset()})


def _rounds(folder: Path) -> Iterator[Fields]:
    path = folder / JOURNAL
    for entry in read_journal(path):
        if entry.get("stage") == ANSWERS and "switches" in entry:
            yield Fields(entry, str(path))


def summarize(folder: Path) -> Summary:
    """Of the run in `folder`, finished or not. Raises FormatError for rows that were changed."""
    failed, fell_back, replaced, specialists = (Counter[str]() for _ in range(4))
    times: dict[str, list[float]] = {}
    requests = unsaid = remembered = pictures = calls = calls_failed = 0
    for row, taken in read_run(folder):
        found = Fields(row, f"{folder / ANSWERS}.jsonl")
        route, specialist = found.inner("route"), found.text("specialist")
        requests += 1
        specialists[specialist] += 1
        _note(failed, row.get("failed"))
        _note(fell_back, route.value("problem"))
        if specialist != route.text("to"):
            _note(replaced, f"{route.text('to')} by {specialist}")
        unsaid += bool(row.get("answer")) and not row.get("voice")
        remembered += bool(found.array("notes"))
        pictures += row.get("picture") is not None
        tools = found.each("tools")
        calls, calls_failed = calls + len(tools), calls_failed + sum(one.flag("failed") for one in tools)
        for stage, seconds in taken["seconds"].items():
            times.setdefault(stage, []).append(seconds)
    return {
        "requests": requests,
        "answered": requests - failed.total(),
        "failed": _most(failed),
        "fell_back": _most(fell_back),
        "replaced": _most(replaced),
        "unsaid": unsaid,
        "remembered": remembered,
        "pictures": pictures,
        "calls": calls,
        "calls_failed": calls_failed,
        "specialists": dict(specialists.most_common()),
        "switches": _switches(folder),
        "stages": {stage: spread(times[stage]) for stage in (*STAGES, WHOLE) if times.get(stage)},
    }


def _note(counted: Counter[str], reason: object) -> None:
    if reason:
        known = str(reason) in counted or len(counted) < MOST_REASONS
        counted[str(reason) if known else OTHERS] += 1


def _most(counted: Counter[str]) -> dict[str, int]:
    return dict(counted.most_common())


def _switches(folder: Path) -> dict[str, Spread]:
    times: dict[str, list[float]] = {BROUGHT: [], RESIDENT: []}
    for entry in _rounds(folder):
        for one in entry.each("switches"):
            times[RESIDENT if one.flag("here") else BROUGHT].append(one.number("seconds"))
    return {how: spread(some) for how, some in times.items() if some}


def spread(times: Iterable[float]) -> Spread:
    """Of one time at least."""
    ordered = sorted(times)
    high = ordered[math.ceil(HIGH * len(ordered)) - 1]
    return {"count": len(ordered), "median": median(ordered), "p95": high}


def lines(found: Summary) -> list[str]:
    """The same in words: the first lines of the page, and what a run says at its end."""
    requests = found["requests"]
    told = [f"{found['answered']:,} of {requests:,} requests were answered"]
    told += [_reasons(found["failed"], "failed")] if found["failed"] else []
    said = [f"{'; '.join(told)}."]
    for counted, what in (
        (found["fell_back"], "fell back"),
        (found["replaced"], "were answered by another specialist"),
    ):
        said += [f"{_reasons(counted, what)}."] if counted else []
    if found["unsaid"]:
        said.append(f"{found['unsaid']:,} answers are the specialist's own: the voice said nothing.")
    switches = found["switches"]
    if switches:
        said.append(f"{'; '.join(_switched(how, each) for how, each in switches.items())}.")
    whole = found["stages"].get(WHOLE)
    if whole is not None:
        parts = [f"{name} {_shown(each)}" for name, each in found["stages"].items() if name != WHOLE]
        said.append(
            f"A request took {_shown(whole)}: {', '.join(parts)}. (In brackets: 95 % were no slower.)"
        )
    return said


def _reasons(counted: Mapping[str, int], what: str) -> str:
    """How many there are, and the most frequent reasons."""
    told = [
        f"{reason} ({times:,} times)" if times > 1 else reason for reason, times in [*counted.items()][:SHOWN]
    ]
    told += [f"{len(counted) - SHOWN:,} more reasons"] if len(counted) > SHOWN else []
    return f"{sum(counted.values()):,} {what}: {'; '.join(told)}"


def _switched(how: str, each: Spread) -> str:
    what = "brought" if how == BROUGHT else "there already"
    times = f"{each['count']:,} times" if each["count"] != 1 else "once"
    return f"{times} a specialist was {what}, which took {_shown(each)}"


def _shown(each: Spread) -> str:
    return f"{_seconds(each['median'])} ({_seconds(each['p95'])})"


def _seconds(value: float) -> str:
    return f"{value:,.2f} s" if value >= 0.1 else f"{1000 * value:,.2g} ms"
