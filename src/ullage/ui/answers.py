"""What a worker does: plans, and makes the page of it. The process that listens holds no plan."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from ullage.errors import InputError, SpecError, UllageError
from ullage.ui.controls import changes_of_form, form_of
from ullage.ui.planned import Planned, planned
from ullage.ui.source import Source
from ullage.ui.state import State

Wanted = Literal["page", "part", "advice", "file", "document"]
"""The whole page; of it what a change alters; the advice; the workload file; the plan's JSON."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted of a state, or of a form's `fields` or a file's `text` beside what `state` says. `root`
    is the path that the pages are mounted at; `advice` of a page: with it, at once."""

    wanted: Wanted
    state: State
    root: str = ""
    fields: tuple[tuple[str, str], ...] | None = None
    text: str | None = None
    advice: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """What is sent; `state` is what the URL is to say."""

    status: int
    body: str
    state: State


def answer(source: Source, asked: Asked) -> Answered:
    """Whatever is asked. Mistakes of whoever asks are on the page, with status 422."""
    from ullage.ui import pages

    state, text = asked.state, asked.text
    if asked.fields is not None:
        fields = dict(asked.fields)
        state = state.with_changes(changes_of_form(source, state.changes, fields))
    if text is not None:
        from ullage.spec.document import read_document
        from ullage.ui.changed import changes_between

        try:
            data = read_document(text, source.name).data
            state = state.with_changes(changes_between(source.data(), data))
        except UllageError as error:
            return _page(source, asked, state, text, str(error).splitlines())
        text = None
    if asked.wanted == "advice":
        found = planned(source, state.changes, advice=True)
        return Answered(200, pages.advice(found.plan, state, asked.root), state)
    if asked.wanted in ("file", "document"):
        return _exported(planned(source, state.changes, advice=asked.advice), asked, state)
    return _page(source, asked, state)


def _exported(found: Planned, asked: Asked, state: State) -> Answered:
    if found.plan is None:
        return Answered(422, "\n".join(each.line for each in found.wrong), state)
    if asked.wanted == "file":
        return Answered(200, found.text, state)
    from ullage.planning.document import plan_document

    return Answered(200, json.dumps(plan_document(found.plan), indent=1) + "\n", state)


def _page(
    source: Source, asked: Asked, state: State, text: str | None = None, wrong: list[str] | None = None
) -> Answered:
    from ullage.ui import pages
    from ullage.ui.changed import text_of

    found = planned(source, state.changes, advice=asked.advice)
    beside = None if state.than is None else planned(source, state.than)
    if text is None:
        try:
            text = found.text or text_of(source, state.changes)
        except (SpecError, InputError):
            text = source.text
    form = form_of(source, state.changes, found.wrong)
    view = pages.View(
        source.name, state, asked.root, form, text, tuple(wrong or ()), found, beside, asked.advice
    )
    status = 422 if wrong or found.plan is None else 200
    return Answered(status, pages.planner(view, whole=asked.wanted == "page"), state)
