"""What a document claims: a size, a share, a time, or that something fits."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from ullage.errors import InputError
from ullage.units import UNITS

Measure = Literal["bytes", "share", "seconds", "tokens per second", "verdict"]
Fits = Literal["fits", "tight", "does not fit"]
FITS: Final[tuple[Fits, ...]] = ("fits", "tight", "does not fit")
_SECONDS: Final = {"s": 1.0, "min": 60.0, "h": 3600.0, "hours": 3600.0, "days": 86400.0}
_NUMBER: Final = r"(\d{1,15}(?:\.\d{1,15})?)"
_AMOUNT: Final = re.compile(rf"[~+]?\s*{_NUMBER}(?:\s*(?:-|\u2013|to)\s*{_NUMBER})?\s*([^\s\d].*)?")
FORM: Final = "write for example 16 GB, 0.5-0.8 GiB, 40-50 %, 3 h, 120 tokens/s, fits, tight or does not fit"


class Amount(NamedTuple):
    """What is claimed, from `low` to `high`: bytes, a share of 1, seconds or tokens a second as `measure`
    says; of a verdict both are 0. `unit` is the word it was written with."""

    low: float
    high: float
    measure: Measure
    unit: str = ""
    fits: Fits | None = None


def parse_amount(text: str) -> Amount:
    """`2 GB` (10^9 bytes), `60-80 GiB`, `50 %`, `fits`. Raises InputError, for a number without unit too."""
    said = " ".join(text.split())
    for verdict in FITS:
        if said == verdict:
            return Amount(0.0, 0.0, "verdict", fits=verdict)
    found = _AMOUNT.fullmatch(said)
    if found is None:
        raise InputError(f"{said!r} is no amount; {FORM}")
    unit = found[3]
    if unit is None:
        raise InputError(
            f"{said!r} has no unit; write {said} GB where 10^9 bytes are meant, {said} GiB where 2^30 are"
        )
    low, high = float(found[1]), float(found[2] or found[1])
    if low > high:
        raise InputError(f"{said!r}: the lower end stands first")
    measure, factor = _unit(unit, said)
    return Amount(low * factor, high * factor, measure, unit)


def _unit(unit: str, said: str) -> tuple[Measure, float]:
    if unit.upper() in UNITS:
        return "bytes", UNITS[unit.upper()]
    if unit == "%":
        return "share", 0.01
    if unit in _SECONDS:
        return "seconds", _SECONDS[unit]
    if unit == "tokens/s":
        return "tokens per second", 1.0
    raise InputError(f"{said!r}: {unit} is no unit that is known here; {FORM}")
