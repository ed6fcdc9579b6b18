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
    from ullage.reports.charts import table
    from ullage.reports.plan_chart import plan_chart
    from ullage.ui.difference import difference
    from ullage.ui.tables import advice_of, figures_of

    plan = view.found.plan
    that = None if view.beside is None else view.beside.plan
    chart = None if plan is None else plan_chart(plan)
    there = None if that is None else plan_chart(that)
    return render(
        "planner.html.jinja" if whole else "planner_main.html.jinja",
        root=view.root,
        view=view,
        figures=None if plan is None else figures_of(plan),
        chart=chart,
        grid=None if chart is None else table(chart),
        kept=there,
        kept_grid=None if there is None else table(there),
        kept_wrong=() if view.beside is None else view.beside.wrong,
        difference=None if plan is None or that is None else difference(plan, that),
        entries=advice_of(plan) if plan is not None and view.advice else None,
        search=None if plan is None else plan.search,
        cards=_cards(),
        models=_models(),
    )


def advice(plan: Plan | None, state: State, root: str) -> str:
    """The fragment that follows a plan."""
    from ullage.ui.tables import advice_of

    entries = () if plan is None else advice_of(plan)
    search = None if plan is None else plan.search
    return render("advice.html.jinja", root=root, state=state, entries=entries, search=search)


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
