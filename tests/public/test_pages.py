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
from ullage.reports.pages.page import Code, Listed, Page, Part, Prose, Section
from ullage.reports.pages.screen import show
from ullage.reports.pages.shell import BREAK, SHELL
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span

EVIL = "<script>alert(1)</script> `x` | *y* \u202e"


def on_the_terminal(page, width=200):
    file = io.StringIO()
    show(page, PlainConsole(file=file, width=width, color_system=None, legacy_windows=False))
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
    assert parts | {"entry", "span", "lines", "line", "share"} == kinds
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


WHY = "a reason of several words that is longer than a line of a narrow terminal has room for"
NAMES = tuple((f"{'x' * at}/{at}", f"{at:,}", f"{at}.00 GiB") for at in range(1, 60, 7))
TABLES = (
    Table(
        ("name", "GiB", "why"), (("one", "1.25 (0.50-2.00)", WHY), ("two", "3", "short")), frozenset({"GiB"})
    ),
    Table(("name of some length", "records", "at most"), NAMES, frozenset({"records", "at most"})),
    Table(
        ("cards", "$", "from"),
        tuple((f"{at}x A100", "1.00", "a provider of cards, 2026-01-02") for at in range(4)),
        noted=frozenset({"from"}),
    ),
)


@pytest.mark.parametrize("width", [30, 48, 64, 80, 200])
@pytest.mark.parametrize("table", TABLES, ids=["prose", "names", "noted"])
def test_at_no_width_a_table_leaves_out_or_tears_a_word(table, width):
    text = on_the_terminal((table,), width)
    shown = text.split()
    for cell in (*table.columns, *(cell for row in table.rows for cell in row)):
        assert set(cell.split()) <= set(shown), f"{cell!r} in\n{text}"
    assert max(map(len, text.splitlines())) <= max(width, 60)


def test_what_repeats_is_said_below_once_where_it_has_no_room_in_its_row():
    wide, narrow = (on_the_terminal((TABLES[2],), width) for width in (80, 40))
    assert wide.count("a provider of cards, 2026-01-02") == 4
    assert narrow.count("a provider of cards, 2026-01-02") == 1
    assert narrow.count("[1]") == 5
    assert max(map(len, narrow.splitlines())) <= 40


def test_long_names_stand_above_their_rows_and_short_ones_in_them():
    lines = on_the_terminal((TABLES[1],), 64).splitlines()
    assert lines[1].split() == ["x/1", "1", "1.00", "GiB"]
    assert lines[-2] == f"{'x' * 57}/57"
    assert lines[-1].split() == ["57", "57.00", "GiB"]


def test_a_shells_line_is_broken_between_options_alone_and_other_text_never():
    options = [f"--set roles.role_{at}.batch={at}" for at in range(9)]
    text = on_the_terminal((Code(BREAK.join(options), SHELL), Code("y" * 100)), 60)
    *lines, last = text.splitlines()
    assert len(lines) < len(options)
    assert max(map(len, lines)) <= 60
    assert " ".join(line.strip().removesuffix(" \\") for line in lines) == " ".join(options)
    assert last == f"    {'y' * 100}"
