"""A list to be looked through, as HTML that `listed.js` makes alive; without it every entry is there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from html import escape

from ullage.reports.pages.page import Listed
from ullage.text import visible, without_secrets


def listed(part: Listed, entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    """`entries` are the line and what lies under it of each, as HTML."""
    yield '<div class="listed"><div class="tools" hidden>'
    yield _choice(part.seen, "view", ((name, name) for name in part.views), part.chosen)
    yield _choice("Order", "order", part.orders)
    for mark, name in part.filters:
        pressed = "true" if mark == "all" else "false"
        yield (
            f'<button type="button" data-filter="{_shown(mark)}" aria-pressed="{pressed}">'
            f"{_shown(name)} <span></span></button>"
        )
    yield '<input name="search" type="search" placeholder="search" aria-label="search"></div>'
    yield '<div class="entries">'
    for entry, (line, held) in zip(part.entries, entries, strict=True):
        marks, ranks = (_shown(json.dumps(each)) for each in (entry.marks, entry.ranks))
        yield f'<details class="one" data-marks="{marks}" data-ranks="{ranks}">'
        yield f"<summary>{line}</summary>"
        yield from (held, "</details>")
    yield '</div><button name="more" type="button" hidden>Show more</button></div>'


def _choice(label: str, name: str, options: Iterable[tuple[str, str]], chosen: str = "") -> str:
    made = "".join(
        f'<option value="{_shown(key)}"{" selected" if key == chosen else ""}>{_shown(said)}</option>'
        for key, said in options
    )
    return f'<label>{_shown(label)} <select name="{name}">{made}</select></label>'


def _shown(text: str) -> str:
    return escape(visible(without_secrets(text)))
