"""Predicted beside measured, as a page and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final, NotRequired

from typing_extensions import TypedDict

from ullage.documents import ByName, document
from ullage.records.not_finite import KEY, NotFinite
from ullage.records.verification import Comparison, ReplicaComparison, TimeComparison, Verification
from ullage.reports.pages.page import Part, Prose
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span, Tone, Words
from ullage.text import one_line
from ullage.units import MIB

TONES: Final[dict[str, Tone]] = {"inside": "good", "below": "warning", "above": "bad"}
WORDS = {"inside": "inside", "below": "below", "above": "ABOVE"}


PLANNED: Final = "MiB: planned (expected, at most) beside measured"
SCREEN: Final = 24
"""Rows up to which a run is shown whole."""
TIMES: Final = 8


def verification_page(found: Verification, *, details: bool = False) -> Iterator[Part]:
    """A row for each level and component that was measured. Of more than a screen, without `details`, each
    device's worst phase by level and component, and the longest phases' times."""
    if not found.comparisons:
        yield from (Prose(one_line(line), "warning") for line in found.remarks)
        yield Prose("nothing is compared: the plan holds no model here, or the run measured nothing of it")
        return
    shown, title = found.comparisons, PLANNED
    whole = details or len(shown) <= SCREEN
    if not whole:
        shown, title = worst(shown), f"{title}, worst of each device"
    yield comparison_table(shown, title)
    above = [c for c in found.comparisons if c.kind == "level" and c.verdict == "above"]
    if above:
        yield Prose(f"{len(above)} measurements exceed what was planned at most", "bad")
    else:
        yield Prose("every measured peak is within what was planned at most")
    if found.replicas:
        yield _replicas(found.replicas if details else found.replicas[:SCREEN])
    if len(found.replicas) > SCREEN and not details:
        yield Prose(f"--details all {len(found.replicas)} replicas", "note")
    times = found.times if whole else _longest(found.times)
    if times:
        yield _times(times)
    if found.not_finite is not None:
        yield Prose(str(found.not_finite), "warning")
    if not whole:
        more = f"--details all {len(found.comparisons)} comparisons"
        more += f" and {len(found.times)} times" if len(times) < len(found.times) else ""
        yield Prose(more, "note")


def worst(comparisons: Iterable[Comparison]) -> tuple[Comparison, ...]:
    """Of each device, level and component the comparison whose measurement is the largest share of what was
    planned at most; devices by name."""
    found: dict[tuple[str, str, str], Comparison] = {}
    for one in comparisons:
        key = (one.device, one.kind, one.what)
        found[key] = max(found.get(key, one), one, key=_used)
    return tuple(sorted(found.values(), key=lambda one: one.device))


def _used(one: Comparison) -> float:
    """The measurement as a share of what was planned at most."""
    if not one.predicted.high:
        return math.inf if one.measured else 0.0
    return one.measured / one.predicted.high


def _longest(times: Sequence[TimeComparison]) -> tuple[TimeComparison, ...]:
    least = sorted((one.measured for one in times), reverse=True)[:TIMES]
    return tuple(one for one in times if one.measured >= least[-1])


def _times(times: Sequence[TimeComparison]) -> Table:
    """What each phase was planned to take, and took; a plan's times are estimates, and break no promise."""
    title = f"seconds for {times[0].examples:,} examples: planned (from, to) beside measured"
    numbers = ("planned", "from", "to", "measured", "error")
    rows = []
    for one in times:
        low, expected, high = (f"{each:,.2f}" for each in one.predicted)
        error = f"{100 * one.error:+.0f} %"
        verdict = Span(one.verdict, "good" if one.verdict == "inside" else "warning")
        rows.append((one.phase, expected, low, high, f"{one.measured:,.2f}", error, one.basis, verdict))
    return Table(("phase", *numbers, "by", ""), tuple(rows), frozenset(numbers), title=title)


def _replicas(replicas: Sequence[ReplicaComparison]) -> Table:
    """Of each replica and device the level that came nearest to what was planned at most."""
    title = "MiB by replica: the level nearest to its most, planned at most beside measured"
    rows = []
    for each in replicas:
        levels = [one for one in each.comparisons if one.kind == "level"]
        for device in dict.fromkeys(one.device for one in levels):
            one = max((one for one in levels if one.device == device), key=_used)
            sizes = (f"{one.predicted.high / MIB:,.1f}", f"{one.measured / MIB:,.1f}")
            counts = f"{each.partitions:,}"
            rows.append((each.actor, each.node, device, counts, *sizes, one.what, _verdict(one)))
    numbers = ("partitions", "at most", "measured")
    columns = ("replica", "node", "device", *numbers, "of", "")
    return Table(columns, tuple(rows), frozenset(numbers), title=title)


def _cells(one: Comparison) -> list[str]:
    predicted = one.predicted
    error = "-" if one.error is None else f"{100 * one.error:+.2f} %"
    return [
        one.device,
        one.phase,
        one.what,
        f"{predicted.expected / MIB:,.1f}",
        f"{predicted.high / MIB:,.1f}",
        f"{one.measured / MIB:,.1f}",
        error,
    ]


def comparison_table(comparisons: Iterable[Comparison], title: str = PLANNED) -> Table:
    """A row for each."""
    columns = ("device", "phase", "what", "planned", "at most", "measured", "error", "")
    rows = tuple[tuple[Words, ...], ...]((*_cells(one), _verdict(one)) for one in comparisons)
    return Table(columns, rows, frozenset(columns[3:7]), title=title)


def _verdict(one: Comparison) -> Span:
    return Span(WORDS[one.verdict], TONES[one.verdict])


_LEVEL = ByName("device", "phase", "what", "kind", "predicted", "measured", "error", "verdict")
_TIME = ByName("phase", "examples", "predicted", "basis", "measured", "error", "verdict")


class ReplicaDocument(TypedDict):
    """One of several processes that did the run."""

    actor: str
    node: str
    partitions: int
    comparisons: list[Annotated[Comparison, _LEVEL]]


class VerificationDocument(TypedDict):
    """Bytes, seconds of times, and errors as shares of the measurement."""

    holds: bool
    comparisons: list[Annotated[Comparison, _LEVEL]]
    times: list[Annotated[TimeComparison, _TIME]]
    replicas: NotRequired[list[ReplicaDocument]]
    remarks: NotRequired[list[str]]
    not_finite: NotRequired[NotFinite]


def verification_document(found: Verification) -> dict[str, object]:
    """As JSON."""
    said = VerificationDocument(
        holds=found.holds, comparisons=list(found.comparisons), times=list(found.times)
    )
    if found.replicas:
        said["replicas"] = [
            ReplicaDocument(
                actor=each.actor,
                node=each.node,
                partitions=each.partitions,
                comparisons=list(each.comparisons),
            )
            for each in found.replicas
        ]
    if found.remarks:
        said["remarks"] = list(found.remarks)
    if found.not_finite is not None:
        said[KEY] = found.not_finite
    return document("verification", VerificationDocument, said)
