"""What another package brings by an entry point: its value, or one line about why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final, TypeVar

from ullage.errors import InputError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Brought = TypeVar("Brought")
FAILURES: Final = (Exception, SystemExit)
"""Whatever another package does while it is imported."""
HERE: Final = "ullage."


def import_part(module: str, what: str) -> ModuleType:
    """`module`, which is a part of `what`. Raises InputError where it is another package's and fails."""
    if module.startswith(HERE):
        return import_module(module)
    try:
        return import_module(module)
    except FAILURES as error:
        raise InputError(f"{what}: {module} {_cannot_be_loaded(error)}; mend its package") from error


def _cannot_be_loaded(error: BaseException) -> str:
    return f"cannot be loaded: {type(error).__name__}: {' '.join(str(error).split())}"


def overshadowed(group: str, what: str, own: Mapping[str, str]) -> tuple[str, ...]:
    """What other packages bring under a name that is Ullage's own, which stays what it is, a line each.

    `own` leads each name to the module it has here, `what` names it in messages.
    """
    from importlib.metadata import entry_points

    return tuple(
        f"{what} {point.name} of entry point {point.value} is not used: Ullage has one of that name"
        for point in entry_points(group=group)
        if point.name in own and point.module != own[point.name]
    )


def _package(point: EntryPoint) -> str:
    """The package of an entry point and the place that it leads to."""
    return point.value if point.dist is None else f"{point.dist.name} {point.dist.version} ({point.value})"


def find_brought(group: str, name: str, what: str, kind: type[Brought]) -> Brought | None:
    """The value of type `kind`, called `name`, that the entry point of `group` leads to; None without one.

    `what` names it in messages. Raises InputError where the package fails or brings something else, and where
    packages bring different ones of that name: neither is meant more than the other.
    """
    from importlib.metadata import entry_points

    points = tuple(entry_points(group=group, name=name))
    if len({point.value for point in points}) > 1:
        packages = ", ".join(sorted(map(_package, points)))
        raise InputError(f"{what} {name} is brought by several packages: {packages}; remove all but one")
    for point in points:
        where = f"{what} {name} of entry point {point.value}"
        try:
            found = point.load()
        except FAILURES as error:
            raise InputError(f"{where} {_cannot_be_loaded(error)}") from error
        if not isinstance(found, kind) or getattr(found, "name", None) != name:
            raise InputError(f"{where} is no {kind.__name__} of that name; update or remove its package")
        return found
    return None
