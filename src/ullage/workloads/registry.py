"""The kinds that are installed, by their entry points."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from ullage.errors import UnknownNameError
from ullage.workloads.kind import Kind

GROUP = "ullage.workloads"


def kind_names() -> tuple[str, ...]:
    """Names of all installed kinds, sorted."""
    return tuple(sorted(point.name for point in entry_points(group=GROUP)))


@cache
def find_kind(name: str) -> Kind:
    """The kind called `name`; imports only that kind. Raises UnknownNameError."""
    for point in entry_points(group=GROUP, name=name):
        kind: Kind = point.load()
        return kind
    raise UnknownNameError("kind of workload", name, kind_names())
