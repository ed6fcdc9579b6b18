"""Values -> HTML. Everything is escaped; charts alone are markup, made by `ullage.reports`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import MissingExtraError
from ullage.reports.html_page import environment_of
from ullage.ui.state import State

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.requests import Request

    from ullage.planning.plan import Plan
    from ullage.ui.controls import Form
    from ullage.ui.planned import Planned

TEMPLATES: Final = Path(__file__).with_name("templates")


@dataclass(frozen=True, slots=True)
class View:
    """A planner page: the file's name, the state, the form, the file's text with what is `wrong` with it as a
    whole, the plan, the one beside it, and whether advice is wanted at once."""

    file: str
    state: State
    root: str
    form: Form
    text: str
    wrong: tuple[str, ...]
    found: Planned
    beside: Planned | None
    advice: bool


def planner(view: View, *, whole: bool) -> str:
    """The page, or of it what lies within `main`."""
    from ullage.reports.plan_details import in_full, notes
    from ullage.ui.shown import above

    plan = view.found.plan
    return render(
        "planner.html.jinja" if whole else "planner_main.html.jinja",
        root=view.root,
        view=view,
        plan=plan,
        above=() if plan is None else above(plan, view),
        full=() if plan is None else in_full(plan),
        notes=() if plan is None else (notes(plan),),
        **(_advised(plan) if view.advice else {"entries": None}),
        cards=_cards(),
        models=_models(),
    )


def advice(plan: Plan | None, state: State, root: str) -> str:
    """The fragment that follows a plan."""
    return render("advice.html.jinja", root=root, state=state, **_advised(plan))


def _advised(plan: Plan | None) -> dict[str, object]:
    """What the advice of a plan is made of."""
    from ullage.ui.advice import advice_of, nearest_of

    return {
        "entries": () if plan is None else advice_of(plan),
        "search": None if plan is None else plan.search,
        "nearest": None if plan is None else nearest_of(plan),
        "verdict": None if plan is None else plan.verdict,
    }


@cache
def _cards() -> tuple[str, ...]:
    from ullage.api.catalog import cards

    return tuple(gpu.id for gpu, _ in cards())


@cache
def _models() -> tuple[str, ...]:
    from ullage.facts.catalog import model_names

    return ("ullage:tiny", *model_names())


def render(template: str, **values: object) -> str:
    """`template` filled with `values`, escaped."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    check_installed()
    environment = environment_of(TEMPLATES, lstrip_blocks=True, auto_reload=False)
    environment.filters["changed"] = _changed
    return environment


def _changed(state: State, changes: Sequence[str]) -> str:
    return state.with_changes((*state.changes, *changes)).query


def root_of(request: Request) -> str:
    """The path that the pages are mounted at."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def check_installed() -> None:
    """Raises MissingExtraError without what the page needs."""
    try:
        import fastapi  # noqa: F401
        import jinja2  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "fastapi", "serve", "the planner page") from error
