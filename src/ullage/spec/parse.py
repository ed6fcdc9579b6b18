"""The door: the text of a workload file becomes a `Workload`, or every mistake in it is told at once."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import yaml
from pydantic import BaseModel, ValidationError

from ullage.errors import InputError, SpecError, nearest
from ullage.spec.document import Document, read_document, read_value
from ullage.spec.guide_keys import accept_guide_keys
from ullage.spec.value import Value
from ullage.spec.workload import Workload
from ullage.units import parse_bytes

Sections = Mapping[str, Callable[[], type[Value]]]
PLACEMENT: Final = re.compile(r"auto|cpu|gpu:\d{1,4}")


class _Mistake(NamedTuple):
    line: int
    column: int
    text: str


def parse_workload(text: str, filename: str, sections: Sections, overrides: Sequence[str] = ()) -> Workload:
    """The workload `text` describes, YAML or JSON, with `--set path=value` overrides applied.

    `sections` maps each kind to a function that gives the type of its own part of the file. Raises
    SpecError with one line per mistake: `file:line:column: field: what is wrong; what to do`.
    """
    document = read_document(text, filename)
    for override in overrides:
        _override(document, override)
    mistakes: list[_Mistake] = []

    def mistake(path: tuple[str | int, ...], problem: str) -> None:
        line, column = document.place(path)
        where = ".".join(str(part) for part in path) or "file"
        mistakes.append(_Mistake(line, column, f"{where}: {problem}"))

    data = document.data
    kind = data.get("kind")
    section_type: type[Value] | None = None
    if not isinstance(kind, str) or kind not in sections:
        close = nearest(str(kind), sections) if kind is not None else ()
        said = "is missing" if kind is None else f"{kind!r} is not a kind of workload"
        hint = f"; nearest: {', '.join(close)}" if close else ""
        mistake(("kind",), f"{said}{hint}; one of {', '.join(sorted(sections))}")
    else:
        section_type = sections[kind]()
    accept_guide_keys(data, mistake)
    parts = [key for key in data if key not in Workload.model_fields and key in sections]
    body = {key: value for key, value in data.items() if key not in parts}
    workload = _validate(Workload, body, (), mistake)
    for other in parts:
        if other != kind:
            mistake((other,), f"belongs to kind {other}, but this file is of kind {kind}")
    section = None
    if section_type is not None:
        given = data.get(str(kind))
        section = _validate(section_type, {} if given is None else given, (str(kind),), mistake)
    if isinstance(workload, Workload):
        _check(workload, mistake)
    if mistakes or not isinstance(workload, Workload):
        found = sorted(set(mistakes))
        raise SpecError(f"{filename}:{line}:{column}: {text}" for line, column, text in found)
    return workload.model_copy(update={"section": section})


def _validate(
    model: type[Value],
    data: object,
    prefix: tuple[str | int, ...],
    mistake: Callable[[tuple[str | int, ...], str], None],
) -> Value | None:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for found in error.errors(include_url=False, include_context=True):
            path = _file_path(found["loc"], data)
            mistake(prefix + path, _explain(found, model, path))
        return None


def _file_path(location: tuple[int | str, ...], data: object) -> tuple[str | int, ...]:
    """The part of a pydantic location that exists in the file; union branch names are left out."""
    path: list[str | int] = []
    at: object = data
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if isinstance(at, dict) and (part in at or last):
            path.append(part)
            at = at.get(part)
        elif isinstance(at, list | tuple) and isinstance(part, int) and part < len(at):
            path.append(part)
            at = at[part]
    return tuple(path)


def _explain(error: Any, model: type[Value], path: tuple[str | int, ...]) -> str:
    kind, given = error["type"], error["input"]
    if kind == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        close = nearest(str(path[-1]), known)
        hint = f"; nearest: {', '.join(close)}" if close else f"; known: {', '.join(known)}"
        return f"unknown key{hint}"
    if kind == "missing":
        return "is missing"
    shown = repr(given)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    if kind == "literal_error":
        allowed = error["ctx"]["expected"]
        names = re.findall(r"'([^']*)'", allowed)
        close = nearest(str(given), names)
        hint = f"; nearest: {', '.join(close)}" if close else ""
        return f"{shown} is not valid{hint}; one of {allowed}"
    return f"{shown}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _fields_at(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """Names of the fields of the value that `path` leads to."""
    at: Any = model
    for part in path:
        if isinstance(at, type) and issubclass(at, BaseModel) and part in at.model_fields:
            at = _inner(at.model_fields[str(part)].annotation)
    if isinstance(at, type) and issubclass(at, BaseModel):
        return list(at.model_fields)
    return []


def _inner(annotation: Any) -> Any:
    """The value type inside optionals, tuples and mappings."""
    from typing import get_args

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in reversed(get_args(annotation)):
        found = _inner(argument)
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return annotation


def _check(workload: Workload, mistake: Callable[[tuple[str | int, ...], str], None]) -> None:
    """What no single field's type can say."""
    if not workload.roles:
        mistake(("roles",), "names no role; give at least one model")
    for name, role in workload.roles.items():
        places = (role.placement,) if isinstance(role.placement, str) else role.placement
        for place in places:
            if not PLACEMENT.fullmatch(place):
                problem = f"{place!r} is no placement; auto, cpu, gpu:0, or a list of GPUs"
                mistake(("roles", name, "placement"), problem)
        for device, size in (role.max_memory or {}).items():
            held = ("roles", name, "max_memory", device)
            if not re.fullmatch(r"\d{1,4}|cpu|disk", str(device)):
                mistake(held, "a device is a GPU's number, cpu or disk")
            _size(size, held, mistake)
    for index, capture in enumerate(workload.captures):
        where = ("captures", index)
        if capture.role is None and len(workload.roles) > 1:
            mistake((*where, "role"), f"is missing; one of {', '.join(workload.roles)}")
        elif capture.role is not None and capture.role not in workload.roles:
            close = nearest(capture.role, workload.roles)
            hint = f"; nearest: {', '.join(close)}" if close else ""
            mistake((*where, "role"), f"no role is called {capture.role!r}{hint}")
        if capture.positions == "span" and capture.span_tokens is None:
            mistake((*where, "span_tokens"), "is missing; positions: span needs it")
    budget = workload.budget
    if not _share(budget.reserve):
        _size(budget.reserve, ("budget", "reserve"), mistake)
    for key in ("host_memory", "disk"):
        value = getattr(budget, key)
        if value is not None:
            _size(value, ("budget", key), mistake)


def _share(text: str) -> bool:
    match = re.fullmatch(r"\s*(\d{1,3}(?:\.\d+)?)\s*%\s*", text)
    return match is not None and float(match[1]) < 100


def _size(
    value: str | int,
    path: tuple[str | int, ...],
    mistake: Callable[[tuple[str | int, ...], str], None],
) -> None:
    try:
        parse_bytes(value)
    except InputError as error:
        mistake(path, str(error))


def _override(document: Document, text: str) -> None:
    """Applies one `path=value`; the value is read as YAML."""
    path_text, equals, value_text = text.partition("=")
    parts = [part for part in path_text.strip().split(".") if part]
    if not equals or not parts:
        raise SpecError([f"--set {text!r}: write path=value, for example batch=8"])
    try:
        value = read_value(value_text)
    except yaml.YAMLError as error:
        raise SpecError([f"--set {text!r}: {value_text!r} is not a YAML value"]) from error
    if isinstance(value, float) and not math.isfinite(value):
        raise SpecError([f"--set {text!r}: {value_text!r} is not finite"])
    at: Any = document.data
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if isinstance(at, list):
            if not part.isdigit() or int(part) >= len(at):
                raise SpecError([f"--set {text!r}: {part!r} is not an entry of 0 to {len(at) - 1}"])
            key: Any = int(part)
        elif isinstance(at, dict):
            key = part
            if not last and not isinstance(at.get(part), dict | list):
                if index == 1 and parts[0] == "roles":
                    close = nearest(part, at) or tuple(at)
                    raise SpecError([f"--set {text!r}: no role {part!r}; roles: {', '.join(close)}"])
                at[part] = {}
        else:
            raise SpecError([f"--set {text!r}: {'.'.join(parts[:index])} has no parts"])
        if last:
            at[key] = value
        else:
            at = at[key]
    document.mark(tuple(int(p) if p.isdigit() else p for p in parts))
