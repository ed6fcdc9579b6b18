"""The form: a control for each field that people play with, what stands there, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

from ullage.spec.capture import Keep
from ullage.spec.precision import precisions
from ullage.spec.role import Residency
from ullage.spec.value import Schedule
from ullage.spec.workload import Workload
from ullage.ui.changed import data_of, shown, value_at
from ullage.ui.planned import Wrong
from ullage.ui.source import Source
from ullage.ui.state import path_of

Kind = Literal["text", "number", "choice"]
MEANINGS: Final = {
    "gpus": "the cards, as 2x A100-80GB; local are those of this machine, cpu is none",
    "batch": "how many are done side by side",
    "prompt_tokens": "tokens of the longest prompt",
    "new_tokens": "tokens that are written behind a prompt, at most",
    "examples": "how many there are: time and cost are of all of them",
    "schedule": "where models are that have nothing to do: on the cards, in host memory, or on disk",
    "model": "a name of the catalog, or one that the file names",
    "precision": "of weights: 16 bits a weight in bf16 and fp16, 8 in int8 and fp8, about 4 in nf4",
    "residency": "where this model is while it has nothing to do",
    "captures": "hidden states that are kept: a list of sites with layers and positions",
    "role": "whose states",
    "sites": "names of hidden states, as in TransformerLens; {l} and * stand for layers",
    "layers": "what {l} stands for; negative numbers count from the end",
    "positions": "whose states of each text: all, last, last:4, mean, or a list",
    "keep": "where states are kept until the run ends",
}
"""What a field of that name says, in short."""
FIELD = "f."
"""What names of the form's fields begin with; the rest is a path."""


@dataclass(frozen=True, slots=True)
class Control:
    """A field of the file: `value` as it stands there, empty where the file leaves it to `usual`. Of a choice
    `options` are all, of a text those that are offered by the list of that name. `meaning` is what it
    says."""

    path: str
    label: str
    kind: Kind
    value: str
    usual: str = ""
    options: tuple[str, ...] = ()
    offered: str = ""
    wrong: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return FIELD + self.path

    @property
    def meaning(self) -> str:
        return MEANINGS[self.path.rpartition(".")[2]]

    @property
    def id(self) -> str:
        return "field-" + "".join(one if one.isalnum() else "-" for one in self.path)


@dataclass(frozen=True, slots=True)
class Group:
    """Controls of one part of the file."""

    title: str
    controls: tuple[Control, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """`carried` are changes that no control shows; `left` mistakes that belong to none."""

    groups: tuple[Group, ...]
    carried: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def controls(self) -> Iterator[Control]:
        return (control for group in self.groups for control in group.controls)


def form_of(source: Source, changes: Sequence[str], wrong: Sequence[Wrong] = ()) -> Form:
    """The form of the file with changes; mistakes stand at the innermost field that they are of."""
    from ullage.errors import SpecError

    try:
        data = data_of(source, changes)
    except SpecError:
        data = source.data()
    groups = tuple(_groups(data))
    paths = {control.path for group in groups for control in group.controls}
    told: dict[str, list[str]] = {}
    left: list[str] = []
    for each in wrong:
        at = _control_of(each.path, groups)
        (left if at is None else told.setdefault(at, [])).append(each.line)
    groups = tuple(
        replace(group, controls=tuple(replace(c, wrong=tuple(told.get(c.path, ()))) for c in group.controls))
        for group in groups
    )
    return Form(groups, tuple(each for each in changes if path_of(each) not in paths), tuple(left))


def changes_of_form(source: Source, carried: Sequence[str], fields: Mapping[str, str]) -> tuple[str, ...]:
    """The changes that a form's fields say, in the order of the form, behind those that it carries."""
    from ullage.errors import SpecError

    try:
        data: dict[str, Any] = data_of(source, carried)
    except SpecError:
        data = source.data()
    found = [*carried]
    for name, text in fields.items():
        path = name.removeprefix(FIELD)
        if text.strip() != shown(value_at(data, path)).strip():
            found.append(f"{path}={text.strip() or 'null'}")
    return tuple(found)


def _control_of(path: str, groups: Sequence[Group]) -> str | None:
    """The control of a field, of what it lies in, or of the first in it."""
    controls = [control for group in groups for control in group.controls]
    if path.startswith("="):  # a name that nobody knows, which stands in a field
        named = path[1:]
        return next((each.path for each in controls if named and named in each.value), None)
    parts = path.split(".") if path else []
    for length in range(len(parts), 0, -1):
        at = ".".join(parts[:length])
        for each in controls:
            if each.path == at or (length == len(parts) and each.path.startswith(at + ".")):
                return each.path
        if length == 2 and parts[0] == "roles":
            return next((each.path for each in controls if each.path.startswith(at + ".")), None)
    return None


def _groups(data: Mapping[str, Any]) -> Iterator[Group]:
    yield Group("Workload", tuple(_of_workload(data)))
    roles = data.get("roles")
    for name in roles if isinstance(roles, Mapping) else ():
        if name and "." not in name and "=" not in name:
            yield Group(f"Role {name}", tuple(_of_role(data, name)))
    captures = data.get("captures")
    count = len(captures) if isinstance(captures, list) else 0
    if not count:
        empty = Control(
            "captures", "captures", "text", shown(captures), '[{sites: ["blocks.*.hook_resid_post"]}]'
        )
        yield Group("Captures", (empty,))
    for at in range(count):
        yield Group(f"Captures {at + 1}" if count > 1 else "Captures", tuple(_of_capture(data, at)))


def _of_workload(data: Mapping[str, Any]) -> Iterator[Control]:
    def control(path: str, label: str, kind: Kind, usual: str = "", **more: Any) -> Control:
        return Control(path, label, kind, shown(value_at(data, path)), usual, **more)

    yield control("budget.gpus", "GPUs", "text", offered="cards")
    yield control("batch", "batch", "number", _usual("batch"))
    yield control("prompt_tokens", "prompt tokens", "number", _usual("prompt_tokens"))
    yield control("new_tokens", "new tokens", "number", _usual("new_tokens"))
    yield control("examples", "examples", "number", _usual("examples"))
    yield control("schedule", "schedule", "choice", _usual("schedule"), options=get_args(Schedule))


def _of_role(data: Mapping[str, Any], name: str) -> Iterator[Control]:
    given = value_at(data, f"roles.{name}")
    role = {"model": given} if isinstance(given, str) else given

    def control(field: str, label: str, kind: Kind, usual: str = "", **more: Any) -> Control:
        return Control(f"roles.{name}.{field}", label, kind, shown(value_at(role, field)), usual, **more)

    yield control("model", "model", "text", offered="models")
    yield control("precision", "precision", "choice", "auto", options=precisions())
    yield control("residency", "residency", "choice", "auto", options=get_args(Residency))
    for field, label in (
        ("batch", "batch"),
        ("prompt_tokens", "prompt tokens"),
        ("new_tokens", "new tokens"),
    ):
        yield control(field, label, "number", "as the workload")


def _of_capture(data: Mapping[str, Any], at: int) -> Iterator[Control]:
    def control(field: str, label: str, kind: Kind, usual: str = "", **more: Any) -> Control:
        path = f"captures.{at}.{field}"
        return Control(path, label, kind, shown(value_at(data, path)), usual, **more)

    roles = data.get("roles")
    if isinstance(roles, Mapping) and len(roles) > 1:  # of one it is that one's
        yield control("role", "role", "choice", "none", options=tuple(roles))
    yield control("sites", "sites", "text")
    yield control("layers", "layers", "text", "all")
    yield control("positions", "positions", "text", "all")
    yield control("keep", "keep", "choice", "host", options=get_args(Keep))


def _usual(field: str) -> str:
    return shown(Workload.model_fields[field].default)
