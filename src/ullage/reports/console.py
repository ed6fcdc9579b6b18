"""The one console that pages are shown on: no text that is printed rules the screen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ullage.text import visible, without_secrets

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderableType
    from rich.segment import Segment


class PlainConsole(Console):
    """A console that shows every text with control characters escaped, in tables too; one text is one line.

    Colours and boxes are rich's own and come after.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **settings)

    def render_str(self, text: str, **options: Any) -> Text:
        """A text, escaped before it is laid out."""
        return super().render_str(visible(without_secrets(text)), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """A styled text is escaped as plain ones are."""
        if isinstance(renderable, Text) and not renderable.plain.isprintable():
            shown = Text(visible(renderable.plain), renderable.style, justify=renderable.justify)
            shown.end, shown.overflow, shown.no_wrap = renderable.end, renderable.overflow, renderable.no_wrap
            renderable = shown
        return super().render(renderable, options)
