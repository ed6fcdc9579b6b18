"""The door: a workload file's text becomes a `Workload`, or every mistake in it is told at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Final, TypeVar, cast

from pydantic import ValidationError

from ullage.errors import SpecError, nearest
from ullage.spec.document import Document, read_document
from ullage.spec.guide_keys import spread_memory, take_filter, take_quantization
from ullage.spec.mapping import read_mapping
from ullage.spec.mistake import Mistake, Path, shorten
from ullage.spec.override import apply_overrides
from ullage.spec.role import Role
from ullage.spec.rules import mistakes_in, unheard_probes
from ullage.spec.section import Section
from ullage.spec.urls import mistakes_in_urls
from ullage.spec.value import Value
from ullage.spec.workload import Workload

Sections = Mapping[str, Callable[[], type[Section]]]
AnyValue = TypeVar("AnyValue", bound=Value)
STAND_INS: Final[Mapping[str, Mapping[str, object]]] = {
    "probes": {"path": "-"},
    "captures": {"sites": ["-"]},
}
"""Lists and tables of parts that name others and are not named themselves, with what each part must have."""


def parse_workload(text: str, filename: str, sections: Sections, overrides: Sequence[str] = ()) -> Workload:
    """The workload `text` describes, YAML or JSON, with `--set path=value` overrides applied.

    `sections` maps each kind to a function that gives the type of its own part of the file. Raises
    SpecError with one line per mistake: `file:line:column: field: what is wrong; what to do`, or
    `--set path=value: ...` where the command line is at fault.
    """
    return parse_document(read_document(text, filename), sections, overrides)


def parse_mapping(given: Mapping[str, object], sections: Sections, overrides: Sequence[str] = ()) -> Workload:
    """The workload a mapping describes, which is laid out as a file is.

    Raises SpecError with one line per mistake: `path.of.keys: what is wrong; what to do`.
    """
    return parse_document(read_mapping(given), sections, overrides)


def parse_role(given: Mapping[str, object]) -> Role:
    """A role by itself, from the keys a file would give it. Raises SpecError, each field told by its name."""
    document = read_mapping(_plain(given))
    mistakes: list[Mistake] = []
    for wrong in take_quantization({"roles": {"": document.data}}):
        mistakes.append(Mistake(wrong.path[2:], wrong.problem, wrong.at_key))
    role = _validate(Role, document.data, (), mistakes)
    if mistakes or role is None:
        raise document.tell(mistakes)
    return role


def parse_part(part: type[AnyValue], given: Mapping[str, object]) -> AnyValue:
    """Any other part of a file by itself. Raises SpecError."""
    document = read_mapping(given)
    mistakes: list[Mistake] = []
    found = _validate(part, document.data, (), mistakes)
    if found is None:
        raise document.tell(mistakes)
    return found


def _plain(given: Mapping[str, object]) -> dict[str, object]:
    """Parts that are values already, as the mappings they came from."""
    return {
        name: part.model_dump(exclude_unset=True) if isinstance(part, Value) else part
        for name, part in given.items()
    }


def parse_document(document: Document, sections: Sections, overrides: Sequence[str] = ()) -> Workload:
    """The workload in a document that is open to `overrides`. Raises SpecError, as the others do."""
    take_filter(document.data, overrides)
    wrong = apply_overrides(document, overrides)
    mistakes: list[Mistake] = []
    workload = _workload(document, sections, mistakes, overrides)
    if mistakes:
        raise SpecError([*document.tell(mistakes).mistakes, *wrong])
    if wrong:
        raise SpecError(wrong)
    assert workload is not None
    return workload


def _workload(
    document: Document, sections: Sections, mistakes: list[Mistake], overrides: Sequence[str]
) -> Workload | None:
    data = document.data
    if data.get("document") == "plan" and "settled" in data:
        problem = "this is a plan, not a workload; `ullage run` carries it out"
        mistakes.append(Mistake(("document",), problem, at_key=True))
        return None
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in sections:
        mistakes.append(Mistake(("kind",), _no_kind(kind, sections)))
        kind = None
    mistakes += take_quantization(data)
    # Whether a key is some kind's is asked of keys only that no field has: installed kinds are many.
    parts = [key for key in data if key not in Workload.model_fields and key in sections]
    for other in parts:
        if kind not in (other, None):
            problem = f"belongs to kind {other}, but this file is of kind {kind}; remove it"
            mistakes.append(Mistake((other,), problem, at_key=True))
    body = {key: value for key, value in data.items() if key not in parts}
    if "section" in body:  # a field of Workload, but no key of the file
        del body["section"]
        problem = f"unknown key; a kind's own part is named like it: {kind or 'kind'}"
        mistakes.append(Mistake(("section",), problem, at_key=True))
    known = (kind,) if kind else ()
    wrong: list[Mistake] = []
    body["kind"] = kind or ""
    workload = _validate(Workload, body, (), wrong, known)
    if workload is None:
        workload = _validate(Workload, _standing_in(body, wrong), (), [], known)
    mistakes += wrong
    section: Section | None = None
    if kind is not None:
        given = data.get(kind)
        section = _validate(sections[kind](), {} if given is None else given, (kind,), mistakes)
    if workload is None:
        return None
    among = [*mistakes_in(workload)]
    if section is not None:
        workload = workload.model_copy(update={"section": section})
        among += unheard_probes(workload, section.heard(workload))
        among += section.mistakes(workload)
        among += mistakes_in_urls(workload, section)
    told = {each.path for each in wrong}
    mistakes += [
        each for each in among if not any(each.path[:length] in told for length in range(len(each.path) + 1))
    ]
    return spread_memory(workload, overrides)


def _standing_in(body: Mapping[str, object], wrong: Sequence[Mistake]) -> dict[str, object]:
    """The file with something else in place of what is `wrong` in its probes and captures, so that the names
    in all the others can be looked at too; other mistakes stay."""
    found = deepcopy({name: body[name] for name in STAND_INS if name in body})
    for path in (each.path for each in wrong if len(each.path) > 1 and each.path[0] in found):
        parts = cast("dict[str | int, object]", found[str(path[0])])
        needed = STAND_INS[str(path[0])]
        part = parts[path[1]]
        if len(path) == 2 or not isinstance(part, dict):
            parts[path[1]] = dict(needed)
            continue
        part.pop(path[2], None)
        parts[path[1]] = {**needed, **part}
    return {**body, **found}


def _no_kind(given: object, sections: Sections) -> str:
    if given is None:
        return f"is missing; one of: {', '.join(sorted(sections))}"
    shown = shorten(str(given), 60)
    close = nearest(shown, sections)
    hint = f"; nearest: {', '.join(close)}" if close else ""
    return f"{shown!r} is not a kind of workload{hint}; valid: {', '.join(sorted(sections))}"


def _validate(
    model: type[AnyValue],
    data: object,
    prefix: Path,
    mistakes: list[Mistake],
    known: tuple[str, ...] = (),
) -> AnyValue | None:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        from ullage.spec.explanation import explain

        mistakes += explain(error, model, data, prefix, known)
        return None
