"""The fields of a JSON object that was read: each is checked when it is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Never

from ullage.errors import FormatError

LONGEST_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Fields:
    """`values` as they were read; `where` names the object in messages.

    Every method raises FormatError for a field that is missing or of another type.
    """

    values: Mapping[str, object]
    where: str

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def value(self, name: str) -> object:
        """Whatever stands there."""
        if name not in self.values:
            raise FormatError(f"{self.where}: {_called(name)} is missing")
        return self.values[name]

    def text(self, name: str) -> str:
        """A text."""
        value = self.value(name)
        return value if isinstance(value, str) else self._refuse(name, value, "a text")

    def whole(self, name: str) -> int:
        """A whole number."""
        value = self.value(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        return self._refuse(name, value, "a whole number")

    def whole_or_none(self, name: str) -> int | None:
        """A whole number, or null."""
        return None if self.value(name) is None else self.whole(name)

    def number(self, name: str) -> float:
        """A number, whole or not."""
        value = self.value(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        return self._refuse(name, value, "a number")

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.value(name)
        return value if isinstance(value, bool) else self._refuse(name, value, "true or false")

    def inner(self, name: str) -> Fields:
        """An object."""
        return self._object(name, self.value(name))

    def array(self, name: str) -> Sequence[object]:
        """An array."""
        value = self.value(name)
        return value if isinstance(value, list | tuple) else self._refuse(name, value, "an array")

    def each(self, name: str) -> list[Fields]:
        """An array of objects."""
        return [self._object(f"{name}[{index}]", value) for index, value in enumerate(self.array(name))]

    def texts(self) -> dict[str, str]:
        """All fields of an object of texts."""
        return {name: self.text(name) for name in self.values}

    def numbers(self) -> dict[str, float]:
        """All fields of an object of numbers."""
        return {name: self.number(name) for name in self.values}

    def wholes(self) -> dict[str, int]:
        """All fields of an object of whole numbers."""
        return {name: self.whole(name) for name in self.values}

    def _object(self, name: str, value: object) -> Fields:
        if isinstance(value, Mapping):
            return Fields(value, f"{self.where}: {_called(name)}")
        return self._refuse(name, value, "an object")

    def _refuse(self, name: str, value: object, wanted: str) -> Never:
        raise FormatError(f"{self.where}: {_called(name)} is {_shown(value)}, not {wanted}")


def _shown(value: object) -> str:
    """On one line, and without what is inside it: that may be deep, and somebody's data."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "an array"
    return _cut(json.dumps(value))


def _called(name: str) -> str:
    """A field's name, which may come from what was read, on one line."""
    return _cut(name if name.isprintable() else json.dumps(name))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."
