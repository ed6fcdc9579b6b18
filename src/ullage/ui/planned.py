"""Changes to the file -> a plan, or every mistake with the field it belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ullage.errors import InputError, SpecError, UllageError, UnknownNameError
from ullage.spec.document import Document, read_document
from ullage.ui.changed import text_of
from ullage.ui.source import Source, opened_by

if TYPE_CHECKING:
    from ullage.planning.plan import Plan


class Wrong(NamedTuple):
    """A mistake as the command line says it; `path` is the field it is of, empty where it is of none, and
    `=NAME` where it is of the one in which a name stands."""

    path: str
    line: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The text that was planned and its plan; without one, what is wrong."""

    text: str
    plan: Plan | None
    wrong: tuple[Wrong, ...] = ()


def planned(source: Source, changes: Sequence[str], *, advice: bool = False) -> Planned:
    """The plan of the file with `changes`. Mistakes are those of the file's own text with `--set`; what is
    planned is the text that is exported."""
    try:
        _check(read_document(source.text, source.name), source, changes)
        text = text_of(source, changes)
        return Planned(text, _plan(text, source, advice))
    except UllageError as error:
        return Planned("", None, tuple(Wrong(_path_in(line, source.name), line) for line in _lines(error)))


def _lines(error: UllageError) -> tuple[str, ...]:
    return error.mistakes if isinstance(error, SpecError) else (str(error),)


def _path_in(line: str, filename: str) -> str:
    """The field that a line of the command line is about; `=NAME` where it tells of a name that stands in
    one."""
    said = line
    if line.startswith("--set "):
        change, _, said = line.removeprefix("--set ").partition(": ")
        if not re.match(r"[\w.-]+: ", said):
            return change.partition("=")[0].strip()
    elif line.startswith(f"{filename}:"):
        said = re.sub(r"^\d+:\d+: ", "", line[len(filename) + 1 :])
    elif found := re.match(r"role ([\w.-]+):", line):
        return f"roles.{found[1]}"
    path, colon, _ = said.partition(": ")
    if colon and re.fullmatch(r"[\w.-]+", path):
        return path
    if named := re.search(r"\bbudget\.\w+|--gpus", said):
        return named[0].replace("--", "budget.")
    quoted = re.search(r"'([^']+)'", said)
    return "" if quoted is None else f"={quoted[1]}"


def _check(document: Document, source: Source, changes: Sequence[str]) -> None:
    """Raises SpecError for what is wrong with the file, UnknownNameError for what a plan may not open."""
    from ullage.spec.parse import parse_document
    from ullage.workloads.loading import sections
    from ullage.workloads.mapped import mistakes_in_maps

    workload = parse_document(document, sections(), changes)
    for name in _foreign(document, source):
        raise UnknownNameError("model", name, _known(source), "The page opens the catalog's and its file's")
    wrong = [*mistakes_in_maps(workload, source.base)]
    if wrong:
        raise document.tell(wrong)


def _foreign(document: Document, source: Source) -> Iterator[str]:
    """Names of models and probes that are neither the file's nor the catalog's: they could be paths."""
    from ullage.facts.catalog import find_model

    for name in sorted(opened_by(document.data) - source.opens):
        if name != "ullage:tiny":
            try:
                find_model(name)
            except UnknownNameError:
                yield name


def _known(source: Source) -> list[str]:
    from ullage.facts.catalog import model_names

    return [*source.opens, *model_names()]


def _plan(text: str, source: Source, advice: bool) -> Plan:
    from ullage.spec.parse import parse_document
    from ullage.workloads.loading import sections
    from ullage.workloads.planned import plan

    workload = parse_document(read_document(text, source.name), sections())
    if len(workload.roles) > 64:
        raise InputError("roles: more than 64 are planned by the command line alone")
    return plan(workload, base=source.base, advice=advice)
