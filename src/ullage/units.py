"""Bytes and their intervals. Inside Ullage a size is an integer number of bytes; GiB is for the screen."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Self

from ullage.errors import InputError

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

KIB = 2**10
MIB = 2**20
GIB = 2**30

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KIB": KIB, "MIB": MIB, "GIB": GIB, "TIB": 2**40}


class _Ends(NamedTuple):
    low: int
    expected: int
    high: int


class Interval(_Ends):
    """Low, expected and high value of one quantity, `low <= expected <= high`; in bytes unless said.

    A tuple, because a plan makes thousands of them; `+` and `*` are those of the quantity.
    """

    __slots__ = ()

    def __new__(cls, low: int, expected: int, high: int) -> Self:
        assert low <= expected <= high, (low, expected, high)
        return tuple.__new__(cls, (low, expected, high))

    def __add__(self, other: Interval) -> Interval:  # type: ignore[override]
        return Interval(self[0] + other[0], self[1] + other[1], self[2] + other[2])

    def __mul__(self, factor: int) -> Interval:  # type: ignore[override]
        return Interval(self[0] * factor, self[1] * factor, self[2] * factor)

    @staticmethod
    def exactly(value: int) -> Interval:
        """A quantity that is known."""
        return tuple.__new__(Interval, (value, value, value))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> CoreSchema:
        from pydantic_core import core_schema

        return _by_name(cls, core_schema.int_schema(strict=True))


ZERO = Interval(0, 0, 0)


class Estimate(NamedTuple):
    """Low, expected and high value of what is not counted in bytes: seconds, dollars, tokens a second."""

    low: float
    expected: float
    high: float

    def __add__(self, other: Estimate) -> Estimate:  # type: ignore[override]
        return Estimate(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def __mul__(self, factor: float) -> Estimate:  # type: ignore[override]
        return Estimate(self.low * factor, self.expected * factor, self.high * factor)

    def per(self, amount: float) -> Estimate | None:
        """`amount` a second, where these are seconds; None where nothing is done or it takes no time."""
        if not amount or not self.low:
            return None
        return Estimate(amount / self.high, amount / self.expected, amount / self.low)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> CoreSchema:
        from pydantic_core import core_schema

        return _by_name(cls, core_schema.float_schema(allow_inf_nan=False))


def _by_name(kind: type[Interval | Estimate], value: CoreSchema) -> CoreSchema:
    """A document has the ends by name."""
    from pydantic_core import core_schema

    end = core_schema.typed_dict_field(value)
    return core_schema.no_info_after_validator_function(
        lambda ends: kind(**ends),
        core_schema.typed_dict_schema(dict.fromkeys(kind._fields, end)),
        serialization=core_schema.plain_serializer_function_ser_schema(kind._asdict),
    )


NO_TIME = Estimate(0.0, 0.0, 0.0)


def total(intervals: Iterable[Interval]) -> Interval:
    """The sum, end by end: things alive together."""
    low = expected = high = 0
    for interval in intervals:
        low += interval.low
        expected += interval.expected
        high += interval.high
    return Interval(low, expected, high)


def peak(intervals: Iterable[Interval]) -> Interval:
    """The maximum, end by end: things not alive together. Zero for none."""
    low = expected = high = 0
    for interval in intervals:
        low = max(low, interval.low)
        expected = max(expected, interval.expected)
        high = max(high, interval.high)
    return Interval(low, expected, high)


def gib(value: int | float) -> str:
    """`value` bytes for the screen: `'12.34 GiB'`."""
    return f"{value / GIB:.2f} GiB"


@lru_cache(maxsize=256)
def parse_bytes(text: str | int) -> int:
    """Bytes of `47GiB`, `47 GB` (decimal), `512MiB` or a plain number.

    Raises InputError for anything else, negative or not finite sizes included.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(text))
    if match is None or match[2].upper() not in UNITS:
        raise InputError(f"{text!r} is not a size; write for example 47GiB, 512MiB or 80GB")
    return int(float(match[1]) * UNITS[match[2].upper()])
