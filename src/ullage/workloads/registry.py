"""The kinds that are installed: Ullage's own, and those of other packages by their entry points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ullage.errors import InputError, UnknownNameError
from ullage.workloads.kind import Command, Kind

if TYPE_CHECKING:
    from ullage.spec.document import Document
    from ullage.spec.section import Section

GROUP = "ullage.kinds"
HOME = "ullage.kinds"


@cache
def own_names() -> tuple[str, ...]:
    """Ullage's own kinds: the folders of one room, sorted.

    They are known without looking at installed packages' metadata, which costs a tenth of a cold start.
    """
    home = Path(import_module(HOME).__path__[0])
    return tuple(sorted(part.name for part in home.iterdir() if (part / "__init__.py").is_file()))


@cache
def kind_names() -> tuple[str, ...]:
    """Names of all installed kinds, sorted."""
    from importlib.metadata import entry_points

    return tuple(sorted({*own_names(), *(point.name for point in entry_points(group=GROUP))}))


@cache
def find_kind(name: str) -> Kind:
    """The kind called `name`; imports only that kind.

    Raises UnknownNameError, and InputError for another package's kind that cannot be loaded.
    """
    if name in own_names():
        kind: Kind = import_module(f"{HOME}.{name}").KIND
        return kind
    from ullage.spec.entry_point import find_brought

    brought = find_brought(GROUP, name, "kind", Kind)
    if brought is not None:
        return brought
    raise UnknownNameError("kind of workload", name, kind_names())


def installed_kinds() -> Iterator[Kind]:
    """Every kind whose package can be imported: Ullage's own first."""
    for name in own_names():
        yield find_kind(name)
    for name in kind_names():
        if name not in own_names():
            try:
                yield find_kind(name)
            except InputError:
                continue  # `broken_kinds` tells


def broken_kinds() -> tuple[str, ...]:
    """What is wrong with each kind whose package cannot be imported, or is not used for its name."""
    from ullage.spec.entry_point import overshadowed

    found = [*overshadowed(GROUP, "kind", {name: f"{HOME}.{name}" for name in own_names()})]
    for name in kind_names():
        try:
            find_kind(name)
        except InputError as error:
            found.append(str(error))
    return tuple(found)


def find_reader(document: Document) -> Kind | None:
    """The first kind that reads a file which names none; None where no kind does."""
    return next((kind for kind in installed_kinds() if kind.reads(document)), None)


def kind_commands() -> tuple[Command, ...]:
    """The commands that installed kinds bring."""
    return tuple(command for kind in installed_kinds() for command in kind.commands)


def verb_names() -> tuple[str, ...]:
    """Public functions that installed kinds bring, sorted."""
    return tuple(sorted({name for kind in installed_kinds() for name in kind.verbs}))


def find_verb(name: str) -> Callable[..., Any] | None:
    """The public function `name` of the first kind that brings one; None where no kind does."""
    place = next((kind.verbs[name] for kind in installed_kinds() if name in kind.verbs), None)
    if place is None:
        return None
    from ullage.spec.entry_point import import_part

    verb: Callable[..., Any] = getattr(import_part(place, f"ullage.{name}"), name)
    return verb


def kind_documents() -> dict[str, Any]:
    """The types of the documents that installed kinds print and write, by the word each begins with:
    `DOCUMENTS` of a kind's module `documents`, where it has one."""
    found: dict[str, Any] = {}
    for kind in installed_kinds():
        place = f"{kind.package}.documents"
        if find_spec(place) is not None:
            found |= import_module(place).DOCUMENTS
    return found


class Sections(Mapping[str, "Callable[[], type[Section]]"]):
    """Each kind's own part of a workload file, loaded when asked for.

    A kind that cannot be loaded is not listed; asked for by name, it says why.
    """

    def __getitem__(self, name: str) -> Callable[[], type[Section]]:
        if name not in own_names() and name not in kind_names():
            raise KeyError(name)
        return lambda: find_kind(name).section

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(kind.name for kind in installed_kinds()))

    def __len__(self) -> int:
        return sum(1 for _ in installed_kinds())
