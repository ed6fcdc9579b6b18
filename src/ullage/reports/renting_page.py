"""What it costs to rent cards for a workload."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ullage.reports.beside_price import age, other_counts
from ullage.reports.figures import UNKNOWN, number, spread
from ullage.reports.pages.page import Part, Prose
from ullage.reports.pages.table import Table
from ullage.text import one_line
from ullage.units import GIB, Estimate

if TYPE_CHECKING:
    from ullage.planning.renting import LeftOut, Rental, Renting

UNITS: Final = ((7200.0, "hours", "h", 3600.0), (120.0, "minutes", "min", 60.0), (0.0, "seconds", "s", 1.0))
"""Times are told in the first of these that the shortest of them has two of."""

MARK: Final = "+"
"""At a price of a set whose card has a lower one among more or fewer."""


def renting_page(found: Renting) -> Iterator[Part]:
    """What to rent and the runner-up, a line for each set, whose prices these are, and what was left out."""
    if not found.needed:
        yield Prose("no card is needed: every role of this workload runs elsewhere")
        return
    whole = f"all {found.examples:,} examples" if found.examples != 1 else "the one example"
    yield from map(Prose, _recommended(found, whole))
    if found.rentals:
        yield renting_table(found)
    yield from (Prose(line, "note") for line in _below(found))


def renting_table(found: Renting, title: str = "") -> Table:
    """A line for each set."""
    _, time, _, unit = _unit(found)
    columns = ("cards", "verdict", "GiB free", time, "$ an hour", "$ in all", "by")
    rows = tuple(_cells(each, unit) for each in found.rentals)
    return Table(columns, rows, frozenset(columns[2:6]), title=title, noted=frozenset({"by"}))


def _recommended(found: Renting, whole: str) -> Iterator[str]:
    best = found.best
    if best is None:
        yield _cheapest_hour(found, whole)
        return
    tight = "" if best.verdict == "fits" else ", which is tight"
    _, _, word, unit = _unit(found)
    yield f"rent {_said(best, word, unit, f' for {whole}{tight}')}"
    if found.runner_up is not None:
        yield f"runner-up: {_said(found.runner_up, word, unit)}"
    cheapest = next(each for each in found.rentals if each.usd is not None)
    if cheapest is not best:
        yield f"cheaper, but tight (its peak may take of the reserve): {_said(cheapest, word, unit)}"


def _cheapest_hour(found: Renting, whole: str) -> str:
    """Where no total is known."""
    first = next((each for each in found.rentals if each.verdict == "fits"), next(iter(found.rentals), None))
    if first is None or first.cost is None:
        return f"no set of cards with {_labelled(found)} holds this workload"
    return (
        f"{first.gpus.name} from {first.cost.provider} is the cheapest an hour that holds it, "
        f"${figure(first.cost.usd_per_hour)}; how long {whole} take is not known, and so no total"
    )


def _said(one: Rental, word: str, unit: float, of: str = "") -> str:
    assert one.cost is not None
    assert one.usd is not None
    assert one.seconds is not None
    time = f"{figure(one.seconds.expected / unit)} {word}"
    by = f"{one.cost.provider}, {one.cost.as_of}"
    beside = "; ".join(filter(None, (age(one.cost), other_counts(one.cost))))
    said = f"{one.gpus.name} from {by}: ${figure(one.usd.expected)}, {time}{of}"
    return f"{said} ({beside})" if beside else said


def _labelled(found: Renting) -> str:
    """`on-demand prices of Lambda in own.yaml`, as far as these are chosen."""
    of = f" of {found.provider}" if found.provider else ""
    file = f" in {found.file}" if found.file else ""
    article = "an" if found.label[0] in "aeiou" else "a"
    return f"{article} {found.label} price{of}{file}"


def _unit(found: Renting) -> tuple[float, str, str, float]:
    """What times are told in: the least of them, its name, what it is written as, its seconds."""
    shortest = min((each.seconds.expected for each in found.rentals if each.seconds is not None), default=0.0)
    return next(unit for unit in UNITS if shortest >= unit[0])


def _cells(one: Rental, unit: float) -> tuple[str, ...]:
    cost, seconds = one.cost, one.seconds
    mark = "*" if one.basis == "measured" else ""
    return (
        one.gpus.name,
        one.verdict,
        f"{one.ullage / GIB:.1f}",
        UNKNOWN if seconds is None else f"{_spread(seconds * (1 / unit))}{mark}",
        UNKNOWN if cost is None else f"{cost.usd_per_hour:,.2f}{MARK if cost.other_counts else ''}",
        _spread(one.usd),
        "" if cost is None else f"{cost.provider}, {cost.as_of}",
    )


def _below(found: Renting) -> Iterator[str]:
    if found.rentals:
        kind = f"{found.label} prices in US dollars" + (f" of {found.provider}" if found.provider else "")
        yield (
            f"{kind}{f' in {found.file}' if found.file else ''}, each set by the cheapest list that has all "
            "of it; in brackets from the least to the most"
        )
    if any(each.cost is not None and each.cost.other_counts for each in found.rentals):
        yield f"{MARK} cheaper by the card, but not in a machine of so many"
    host = [each.host.high for each in found.rentals]
    if max(host, default=0) >= GIB // 100:
        ends = dict.fromkeys((number(min(host)), number(max(host))))
        yield f"host memory beside the program: {' to '.join(ends)} GiB"
    if any(each.basis == "measured" for each in found.rentals):
        yield "* measured by past runs here"
    if found.more:
        beaten = f", {found.beaten} of them no faster than fewer of the same card" if found.beaten else ""
        yield f"{found.more} more sets hold it{beaten}: --all shows them"
    better = "would make it cheaper" if found.rentals else "would make it fit"
    yield f"that is the workload as it stands; what {better} is in the advice of `ullage plan`"
    said = "; ".join(_left_out(found.left_out, found.label))
    if said:
        yield f"left out: {said}"


def _left_out(left: LeftOut, label: str) -> Iterator[str]:
    if left.unpriced:
        yield f"{left.unpriced} known cards without {_article(label)} {label} price"
    if left.without_kernels:
        yield f"{_sets(left.without_kernels)} that torch has no kernels for"
    if left.too_small:
        yield f"{_sets(left.too_small)} too small"
    if left.refused:
        yield f"{_sets(left.refused)} that the workload cannot use ({one_line(left.refusal)})"


def _article(word: str) -> str:
    return "an" if word[:1] in "aeiou" else "a"


def _sets(count: int) -> str:
    return f"{count} set{'' if count == 1 else 's'}"


def figure(value: float) -> str:
    """Two decimals, fewer of what is large, and two figures of what is small: `0.0041`, `3.14`, `12,345`."""
    if value <= 0:
        return "0"
    return f"{value:,.{_decimals(value)}f}"


def _decimals(value: float) -> int:
    size = math.floor(math.log10(value))
    return min(max(2 - max(size, 0), 1 - size, 0), 6)


def _spread(value: Estimate | None) -> str:
    """All to the same place."""
    decimals = 0 if value is None or value.expected <= 0 else _decimals(value.expected)
    decimals -= value is not None and value.expected >= 1 and decimals > 0
    return spread(value, f"{{:,.{decimals}f}}")
