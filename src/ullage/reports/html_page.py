"""Pages of HTML that need nothing beside themselves, from templates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ullage.errors import MissingExtraError
from ullage.reports.pages.html import parts
from ullage.text import visible, without_secrets

if TYPE_CHECKING:
    from jinja2 import Environment


def render_page(template: Path, **values: object) -> str:
    """`template` filled with `values`, which are escaped. Raises MissingExtraError without jinja2."""
    environment = environment_of(Path(__file__).parent)  # what pages of all kinds include
    return environment.from_string(template.read_text(encoding="utf-8")).render(**values)


def environment_of(folder: Path, **settings: Any) -> Environment:
    """Templates of a folder, what is filled into them escaped. Raises MissingExtraError without jinja2."""
    try:
        import jinja2
        import markupsafe
    except ImportError as error:
        raise MissingExtraError("jinja2", "run", "the report") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        **settings,
    )
    environment.filters["parts"] = lambda each: markupsafe.Markup("\n".join(parts(each)))  # escaped within
    return environment


def _shown(value: object) -> object:
    """Texts with what would turn round or hide what is read escaped; their lines and markup stay."""
    return visible(without_secrets(value), "\n\t\r") if type(value) is str else value
