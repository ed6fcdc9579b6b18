"""One page as values: what HTML, Markdown, the terminal and JSON make of it."""

import io
import json
import re
from html import unescape

import pytest
from every_part import PAGE, TEXTS

from ullage.reports.console import PlainConsole
from ullage.reports.pages.document import page_document
from ullage.reports.pages.html import html
from ullage.reports.pages.markdown import markdown
from ullage.reports.pages.page import Listed, Page, Part, Prose, Section
from ullage.reports.pages.screen import show
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span

EVIL = "<script>alert(1)</script> `x` | *y* \u202e"


def on_the_terminal(page):
    file = io.StringIO()
    show(page, PlainConsole(file=file, width=200, color_system=None, legacy_windows=False))
    return file.getvalue()


def letters(text):
    """Without markup, escapes and breaks of lines."""
    text = re.sub(r'<img alt="([^"]*)"', r"\1<img", text)
    return " ".join(unescape(re.sub(r"<[^>]*>|\\(?=\W)|[*`]", "", text)).split())


@pytest.mark.parametrize("render", [html, markdown, on_the_terminal], ids=["html", "markdown", "terminal"])
def test_every_renderer_shows_every_text_of_every_part(render):
    found = letters(render(PAGE))
    assert [text for text in TEXTS if text not in found] == []


def test_json_holds_every_part_and_says_which_it_is():
    found = json.loads(json.dumps(page_document(PAGE)))
    kinds = set(re.findall(r'"part": "(\w+)"', json.dumps(found)))
    parts = {each.__name__.lower() for each in Part.__args__}
    assert parts | {"entry", "span", "lines", "line"} == kinds
    assert found["title"] == PAGE.title
    assert all(text in json.dumps(found) for text in TEXTS)


@pytest.mark.parametrize("where", ["title", "heading", "prose", "cell", "span"])
def test_markup_stays_text_wherever_it_stands(where):
    text = {
        each: EVIL if each == where else "plain" for each in ("title", "heading", "prose", "cell", "span")
    }
    table = Table(
        ("a", text["cell"]), ((text["cell"], Span(text["span"], tip=text["span"])),), title=text["cell"]
    )
    page = Page(text["title"], (Section(text["heading"], (Prose(text["prose"]), table)),))
    for found in (html(page), markdown(page)):
        assert "<script>" not in found
        assert "\u202e" not in found
        assert "alert(1)" in found


def test_a_span_is_shown_letter_by_letter_and_ours_has_code():
    page = Page("t", (Section("s", (Prose("`a`"), Prose(Span("`b`")))),))
    assert "<code>a</code>" in html(page)
    assert "<p>`b`</p>" in html(page)
    assert "`a`" in markdown(page)
    assert r"\`b\`" in markdown(page)


def test_only_a_page_with_a_list_has_a_script():
    without = PAGE._replace(
        sections=tuple(
            each._replace(parts=tuple(part for part in each.parts if not isinstance(part, Listed)))
            for each in PAGE.sections
        )
    )
    assert "<script" in html(PAGE)
    assert "<script" not in html(without)
