"""What a URL of the page says: changes to the file, and those of a plan to compare with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, urlencode

from ullage.errors import InputError

SET: Final = "set"
THAN: Final = "than"
MOST: Final = 500
"""Parameters of a query."""
LONGEST: Final = 48_000
"""Characters of a query; servers take lines of 64 kB."""


@dataclass(frozen=True, slots=True)
class State:
    """`changes` are texts as `--set` takes them, at most one for a path; `than` those of the plan that is
    shown beside, None for none."""

    changes: tuple[str, ...] = ()
    than: tuple[str, ...] | None = None

    @property
    def query(self) -> str:
        """The one query that says this."""
        pairs = [(SET, each) for each in self.changes]
        if self.than is not None:
            pairs += [(THAN, each) for each in self.than or ("",)]
        return urlencode(pairs)

    def with_changes(self, changes: tuple[str, ...]) -> State:
        """The same beside it."""
        return replace(self, changes=distinct(changes))

    @property
    def pinned(self) -> State:
        """This plan, beside itself until something is changed."""
        return State(self.changes, self.changes)

    @property
    def swapped(self) -> State:
        """The plan beside it in its place, and it beside that."""
        return self if self.than is None else State(self.than, self.changes)

    @property
    def alone(self) -> State:
        """Nothing beside it."""
        return State(self.changes)


def path_of(change: str) -> str:
    """What a change is of."""
    return change.partition("=")[0].strip()


def distinct(changes: tuple[str, ...]) -> tuple[str, ...]:
    """The last of each path, where its first stood; one that is no change stays, to be told of."""
    return tuple({path_of(each) if "=" in each else each: each for each in changes}.values())


def pairs_of(text: str) -> list[tuple[str, str]]:
    """A query or a form's body. Raises InputError for more than a page sends."""
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MOST, errors="replace")
    except ValueError as error:
        raise InputError(f"the address: more than {MOST} parameters, or none that can be read") from error


def read_state(pairs: list[tuple[str, str]]) -> State:
    """The state that pairs of a query say. Raises InputError for a parameter that means nothing."""
    unknown = sorted({name for name, _ in pairs} - {SET, THAN})
    if unknown:
        said = f"unknown parameter {unknown[0][:60]!r}; changes are set=path=value, as set=batch=8"
        raise InputError(f"the address: {said}")
    changes = tuple(value for name, value in pairs if name == SET and value)
    beside = tuple(value for name, value in pairs if name == THAN)
    return State(distinct(changes), distinct(tuple(filter(None, beside))) if beside else None)
