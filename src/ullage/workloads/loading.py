"""Workload files and plans, read with the sections of the kinds that are installed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ullage.errors import FormatError, InputError
from ullage.files import read_text

if TYPE_CHECKING:
    from ullage.planning.plan import Plan
    from ullage.spec.document import Document
    from ullage.spec.parse import Sections
    from ullage.spec.workload import Workload

LARGEST_FILE: Final = 4_000_000
"""Bytes; a workload file has a few thousand."""


LARGEST_PLAN: Final = 64_000_000
"""Bytes; a plan of eight roles and a hundred phases has one or two million."""


def load(path: str | Path | Mapping[str, object], overrides: Sequence[str] = ()) -> Workload:
    """The workload in a file, or in a mapping that is laid out as one, with `path=value` overrides.

    Raises SpecError or InputError.
    """
    if isinstance(path, Mapping):
        from ullage.spec.mapping import read_mapping

        return _parsed(read_mapping(path), overrides, None)
    return opened(path)(overrides)


def opened(path: str | Path) -> Callable[[Sequence[str]], Workload]:
    """What makes the workload in a file, by overrides. The file is read here, once: it may be a pipe."""
    return partial(parse, text_of(Path(path), LARGEST_FILE), str(path))


def read_plan(path: str | Path, base: Path | None = None) -> Plan | None:
    """The plan in a file that `ullage plan --json` wrote; None where it holds something else.

    `base` is what its paths are relative to (None: the folder they were planned in, and the file's own where
    that is not on this machine). Raises FormatError for a plan that was changed, cut short or written by
    another version.
    """
    return _plan_in(text_of(Path(path), LARGEST_PLAN), Path(path), base)


def read_file(path: str | Path, overrides: Sequence[str] = ()) -> Plan | Workload:
    """What a file holds, a plan or a workload; it is read once, so it may be a pipe.

    Raises SpecError, FormatError, and InputError for `overrides` of a plan.
    """
    text = text_of(Path(path), LARGEST_PLAN)
    found = _plan_in(text, Path(path))
    if found is None:
        return parse(_small(text, path), str(path), overrides)
    if overrides:
        raise InputError(f"{path}: is a plan already; --gpus and --set change a workload file")
    return found


def _plan_in(text: str, place: Path, base: Path | None = None) -> Plan | None:
    if not text[:64].lstrip().startswith("{"):
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None  # a workload may be JSON, or like it; its own reader says what is wrong
    if not isinstance(document, dict) or document.get("document") != "plan":
        return None
    return plan_of(document, str(place), _base_of(document, place) if base is None else base)


def _base_of(document: Mapping[str, Any], place: Path) -> Path:
    """The folder that paths in the plan at `place` are relative to, here."""
    made_in = document.get("base")
    return Path(made_in) if isinstance(made_in, str) and os.path.isdir(made_in) else folder_of(place)


def folder_of(path: str | Path) -> Path:
    """What paths in a workload file are relative to: its folder, or where the program runs for a pipe."""
    return Path(path).parent if Path(path).is_file() else Path()


def _small(text: str, path: str | Path) -> str:
    if len(text) > LARGEST_FILE:
        raise InputError(f"{path}: too large for a workload file")
    return text


def text_of(path: Path, most: int = LARGEST_FILE) -> str:
    """What a file says, or a pipe, once. Raises InputError."""
    try:
        return read_text(path, most)
    except FormatError as error:
        raise InputError(f"{path}: too large for a workload file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; is this a workload file?") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def parse(text: str, where: str, overrides: Sequence[str] = ()) -> Workload:
    """The workload that `text` describes; `where` names it in messages. A file that names no kind may be of
    another form, which the kind that reads it lays out. Raises SpecError."""
    from ullage.spec.document import read_document
    from ullage.spec.parse import parse_mapping
    from ullage.workloads.registry import find_reader

    document = read_document(text, where)
    reader = None if "kind" in document.data else find_reader(document)
    if reader is None:
        return _parsed(document, overrides, folder_of(where))
    return parse_mapping(reader.workload_in(document), sections(), overrides)


def _parsed(document: Document, overrides: Sequence[str], base: Path | None) -> Workload:
    """The workload in a document, its device maps held against its models. Raises SpecError."""
    from ullage.spec.parse import parse_document
    from ullage.workloads.mapped import mistakes_in_maps

    workload = parse_document(document, sections(), overrides)
    wrong = [*mistakes_in_maps(workload, base)]
    if wrong:
        raise document.tell(wrong)
    return workload


def sections() -> Sections:
    """Each kind's own part of the file, loaded when asked for."""
    from ullage.workloads.registry import Sections as Installed

    return Installed()


def workload_of(document: Mapping[str, Any], where: str, overrides: Sequence[str] = ()) -> Workload:
    """The workload that a plan document is of, changed by `overrides`. Raises SpecError."""
    return parse(json.dumps(document["settled"]), where, overrides)


def plan_of(document: Mapping[str, Any], where: str, base: Path) -> Plan:
    """The plan in a document; each of its models is opened once. Raises FormatError."""
    from ullage.planning.reading import read_plan
    from ullage.workloads.opened import opened_model

    return read_plan(document, where, sections(), partial(opened_model, base=base), base)
