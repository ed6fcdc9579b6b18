"""The kinds that are installed: Ullage's own, and those of other packages by their entry points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module

from ullage.errors import UnknownNameError
from ullage.spec.section import Section
from ullage.workloads.kind import Kind

GROUP = "ullage.kinds"
OWN = ("assistant", "evaluate", "extract", "pii", "werewolf")
"""Known without looking at installed packages' metadata, which costs a tenth of a cold start."""


@cache
def kind_names() -> tuple[str, ...]:
    """Names of all installed kinds, sorted."""
    from importlib.metadata import entry_points

    return tuple(sorted({*OWN, *(point.name for point in entry_points(group=GROUP))}))


@cache
def find_kind(name: str) -> Kind:
    """The kind called `name`; imports only that kind. Raises UnknownNameError."""
    if name in OWN:
        kind: Kind = import_module(f"ullage.kinds.{name}").KIND
        return kind
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP, name=name):
        other: Kind = point.load()
        return other
    raise UnknownNameError("kind of workload", name, kind_names())


class Sections(Mapping[str, Callable[[], type[Section]]]):
    """Each kind's own part of a workload file, loaded when asked for."""

    def __getitem__(self, name: str) -> Callable[[], type[Section]]:
        if name not in OWN and name not in kind_names():
            raise KeyError(name)
        return lambda: find_kind(name).section

    def __iter__(self) -> Iterator[str]:
        return iter(kind_names())

    def __len__(self) -> int:
        return len(kind_names())
