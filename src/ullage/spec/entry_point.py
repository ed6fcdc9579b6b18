"""What another package brings by an entry point: its value, or one line about why there is none."""

from __future__ import annotations

from typing import TypeVar

from ullage.errors import InputError

Brought = TypeVar("Brought")


def find_brought(group: str, name: str, what: str, kind: type[Brought]) -> Brought | None:
    """The value of type `kind`, called `name`, that the entry point of `group` leads to; None without one.

    `what` names it in messages. Raises InputError where the package fails or brings something else.
    """
    from importlib.metadata import entry_points

    for point in entry_points(group=group, name=name):
        where = f"{what} {name} of entry point {point.value}"
        try:
            found = point.load()
        except Exception as error:  # whatever another package does while it is imported
            raise InputError(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
        if not isinstance(found, kind) or getattr(found, "name", None) != name:
            raise InputError(f"{where} is no {kind.__name__} of that name; update or remove its package")
        return found
    return None
