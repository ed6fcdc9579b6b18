"""Numbers as every page writes them: bytes, dollars and times, each with the ends it lies between."""

from __future__ import annotations

from typing import Final

from ullage.units import GIB, Estimate, Interval

UNKNOWN: Final = "unknown"
"""What stands for a time or cost that no source gives."""

LEAST_USD: Final = 0.0001


def number(value: float) -> str:
    """Bytes in GiB."""
    return f"{value / GIB:.2f}"


def ends(value: Interval | Estimate) -> str:
    """`1.00-2.00`, in GiB."""
    return f"{number(value.low)}-{number(value.high)}"


def whole(value: Interval | Estimate) -> str:
    """`1.50 (1.00-2.00)`, in GiB; what is known to the last digit shown stands alone."""
    if number(value.low) == number(value.high):
        return number(value.expected)
    return f"{number(value.expected)} ({ends(value)})"


def spread(value: Estimate | None, form: str = "{:,.2f}") -> str:
    """`1.20 (0.90-1.70)`: what is expected, and between which values it lies."""
    if value is None:
        return UNKNOWN
    low, expected, high = (form.format(each) for each in value)
    return expected if low == high else f"{expected} ({low}-{high})"


def rate(value: float) -> str:
    """Tokens a second: `2,998`; of less than one two digits that say something."""
    return f"{value:.2g}" if 0 < value < 1 else f"{value:,.0f}"


def rates(value: Estimate) -> str:
    """`519 (311-778)`."""
    low, expected, high = map(rate, value)
    return expected if low == high else f"{expected} ({low}-{high})"


def dollars(value: Estimate | float | None) -> str:
    """`$1,474.65 (1,121.92-1,987.73)`; of less than ten cents two digits that say something."""
    if value is None:
        return UNKNOWN
    expected = value.expected if isinstance(value, Estimate) else value
    if 0 < expected < LEAST_USD:
        return f"below ${LEAST_USD}"
    form = "{:.2g}" if 0 < expected < 0.1 else "{:,.2f}"
    return f"${spread(value, form) if isinstance(value, Estimate) else form.format(value)}"


def duration(seconds: float | None) -> str:
    """`42 s`, `12 min`, `3.4 h`, `5.1 days`."""
    if seconds is None:
        return UNKNOWN
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds / 86400:.1f} days"


def durations(seconds: Estimate | None) -> str:
    """`3.6 days (2.7 to 4.9 days)`; a unit is said once where all ends have it."""
    if seconds is None:
        return UNKNOWN
    low, expected, high = (duration(each) for each in seconds)
    if low == high:
        return expected
    if low.split()[1] == high.split()[1]:
        low = low.split()[0]
    return f"{expected} ({low} to {high})"
