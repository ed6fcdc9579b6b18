"""The types of personal data that can be verified, from one file that a user may edit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, Literal

import yaml
from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass as checked

from ullage.errors import InputError, nearest
from ullage.files import read_text

OWN: Final = Path(__file__).with_name("types.yaml")
DETECTORS: Final = Path(__file__).with_name("detectors.yaml")
"""What detectors call personal data, by detector, each name with the types it may be."""
LARGEST_FILE: Final = 4_000_000
"""Bytes; Ullage's own has a few thousand."""
LONGEST_KEPT: Final = 64
"""Characters of a name whose key is kept: the candidates of a file have few names."""
Sensitivity = Literal["public", "personal", "sensitive", "special"]
TAGGED: Final = re.compile("(?P<place>[BILUES])-(?P<name>.+)", re.DOTALL)
"""How labels of tokens begin: B(egin), I(nside), L(ast) or E(nd), U(nit) or S(ingle)."""
NUMBERED: Final = re.compile(r"[\[<{]{0,2}(?P<name>[^\[\]<>{}]*?)(?:_\d{1,6})?[\]>}]{0,2}")
"""How masked texts write a type."""


@checked(config=ConfigDict(extra="forbid"), frozen=True)
class DataType:
    """One type: as a model reads it, as detectors name it, what it is, and what only looks like it."""

    label: str
    sensitivity: Sensitivity
    known_as: tuple[str, ...]
    only_if: tuple[str, ...]
    unless: tuple[str, ...]
    is_: str
    category: str = ""
    name: str = ""


UNKNOWN: Final = DataType(
    label="unknown", sensitivity="personal", known_as=(), only_if=(), unless=(), is_="", name="unknown"
)


@dataclass(frozen=True, slots=True)
class DataTypes:
    """All types of a file, found by their own name, their label, or any detector's name for them.

    `broader` are names that mean more than one type does: all that each may be, the likeliest first.
    """

    by_name: Mapping[str, DataType]
    broader: Mapping[str, tuple[DataType, ...]] = field(default_factory=dict)

    def may_be(self, name: str) -> tuple[DataType, ...]:
        """What a detector's name may stand for, a token's label (B-PER) and a placeholder ([PER_1]) too;
        none: unknown."""
        for form in (
            name,
            *(found["name"] for found in (TAGGED.fullmatch(name), NUMBERED.fullmatch(name)) if found),
        ):
            key = key_of(form)
            if key in self.by_name:
                return (self.by_name[key],)
            if key in self.broader:
                return self.broader[key]
        return ()

    def find(self, name: str) -> DataType:
        """The type, or the likeliest that a broader name may be.

        Raises InputError for a name that no type has, with the nearest that one has.
        """
        found = self.may_be(name)
        if not found:
            close = ", ".join(nearest(key_of(name), self.by_name)) or ", ".join(self.names[:8])
            raise InputError(f"no type of personal data is called {name!r}; nearest: {close}")
        return found[0]

    def choose(self, name: str) -> frozenset[str]:
        """The names of a type, of all that a broader name may be, or of a category or sensitivity.

        Raises InputError for a name that is none of them.
        """
        found = self.may_be(name) or tuple(
            one for one in self.by_name.values() if name in (one.category, one.sensitivity)
        )
        return frozenset(one.name for one in found or (self.find(name),))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.name for one in self.by_name.values()))


def key_of(name: str) -> str:
    """Names are the same whatever their case, with blanks, dashes or underscores."""
    return _kept_key(name) if len(name) <= LONGEST_KEPT else _key(name)


def _key(name: str) -> str:
    return "".join(each for each in name.casefold() if each.isalnum())


_kept_key = lru_cache(maxsize=4096)(_key)


def read_types(path: Path = OWN) -> DataTypes:
    """The types in a file, under the file's names and those that detectors have for them.

    Raises InputError for one that cannot be read, naming category and type.
    """
    return _own_types() if path == OWN else _read_types(path)


@cache
def _own_types() -> DataTypes:
    return _read_types(OWN)


def _read_types(path: Path) -> DataTypes:
    try:
        body = yaml.safe_load(read_text(path, LARGEST_FILE))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(body, dict) or not all(isinstance(some, dict) for some in body.values()):
        raise InputError(f"{path}: is not a list of types by category")
    found: dict[str, DataType] = {}
    for category, types in body.items():
        for name, fields in types.items():
            one = _type(path, str(category), str(name), fields)
            for alias in (one.name, one.label, *one.known_as):
                other = found.setdefault(key_of(alias), one)
                if other is not one:
                    raise InputError(f"{path}: {category}.{name}: {alias!r} is {other.name} already")
    if not found:
        raise InputError(f"{path}: has no types")
    by_name = {one.name: one for one in found.values()}
    broader: dict[str, tuple[DataType, ...]] = {}
    for name, meant in detector_names().items():
        there = tuple(by_name[each] for each in meant if each in by_name)
        if name in found or not there:
            continue
        if len(there) == 1:
            found[name] = there[0]
        else:
            broader[name] = there
    return DataTypes(found, broader)


@cache
def detector_names() -> Mapping[str, tuple[str, ...]]:
    """By the key of each name that a known detector uses: the names of the types it may be, of all detectors
    that use it, the likeliest first."""
    found: dict[str, tuple[str, ...]] = {}
    for detector in yaml.safe_load(read_text(DETECTORS, LARGEST_FILE)).values():
        for types, names in detector["names"].items():
            meant = tuple(one.strip() for one in types.split(","))
            for name in names:
                key = key_of(name)
                found[key] = tuple(dict.fromkeys((*found.get(key, ()), *meant)))
    return found


def _type(path: Path, category: str, name: str, fields: object) -> DataType:
    if not isinstance(fields, dict):
        raise InputError(f"{path}: {category}.{name}: is no type; it needs label, is and sensitivity")
    given = {str(key): value for key, value in fields.items()}
    given["is_"] = given.pop("is", None)
    for key in ("known_as", "only_if", "unless"):
        given.setdefault(key, ())
    try:
        return DataType(**{**given, "category": category, "name": name})
    except (ValidationError, TypeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise InputError(f"{path}: {category}.{name}: {said.replace('is_', 'is')}") from error
