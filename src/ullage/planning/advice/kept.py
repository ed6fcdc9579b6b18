"""What a user keeps: paths that no advice changes."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from ullage.errors import InputError, nearest
from ullage.planning.advice.step import Changes
from ullage.spec.role import Role
from ullage.spec.value import Value
from ullage.spec.workload import Workload

GPUS: Final = ("budget", "gpus")
"""The path that stands for the cards."""


class Kept(NamedTuple):
    """Paths, cut at their dots; a part may be a pattern, as `*`."""

    paths: tuple[tuple[str, ...], ...] = ()

    def allows(self, changes: Changes) -> bool:
        """Whether none of the changes is of, within or around a path that is kept."""
        return not any(_meet(path, tuple(at.split("."))) for at, _ in changes for path in self.paths)

    @property
    def cards(self) -> bool:
        """Whether the cards are kept."""
        return any(_meet(path, GPUS) for path in self.paths)


def _meet(kept: tuple[str, ...], changed: tuple[str, ...]) -> bool:
    return all(fnmatchcase(part, pattern) for part, pattern in zip(changed, kept, strict=False))


def read_kept(texts: Iterable[str], workload: Workload) -> Kept:
    """Raises InputError for a path to nothing that a workload has."""
    return Kept(tuple(_path(text, workload) for text in texts))


def _path(text: str, workload: Workload) -> tuple[str, ...]:
    if "," in text:
        raise InputError(f"--keep {text!r}: one path each: --keep roles.a.batch --keep budget.gpus")
    parts = tuple(text.strip().split("."))
    if parts[0] in ("*", ""):
        if parts == ("*",):
            return parts
        raise InputError(f"--keep {text!r}: write a path as roles.judge.precision, or budget.gpus")
    found: list[object] = [workload]
    for index, part in enumerate(parts):
        within, names = _meant(found, part)
        if names is None:
            break  # a value that is not there yet, or an engine's own part
        if not within:
            close = nearest(part, names) or tuple(names)[:10]
            where = ".".join(parts[:index]) or "a workload"
            raise InputError(f"--keep {text!r}: {where} has no {part}; nearest: {', '.join(close)}")
        found = within
    return parts


def _meant(found: list[object], pattern: str) -> tuple[list[object], list[str] | None]:
    """What a part of a path leads to from any of these, and the names there are; None for names that are not
    known."""
    within, known = [], dict[str, None]()
    for at in found:
        names = _names(at)
        if names is None:
            return [], None
        known |= dict.fromkeys(names)
        within += [_within(at, name) for name in names if fnmatchcase(name, pattern)]
    return within, list(known)


def _names(at: object) -> list[str] | None:
    if isinstance(at, Role):
        return [*type(at).model_fields, at.engine]
    if isinstance(at, Value):
        return list(type(at).model_fields)
    if isinstance(at, dict):
        return list(at)
    return [str(index) for index in range(len(at))] if isinstance(at, tuple) else None


def _within(at: object, part: str) -> object:
    if isinstance(at, dict):
        return at[part]
    return at[int(part)] if isinstance(at, tuple) else getattr(at, part, None)
