"""A guide as a file: a person's own words in it survive, and lines that are not computed are named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from json import dumps
from pathlib import Path
from typing import Final, NamedTuple

from ullage.documents import header
from ullage.errors import FormatError, InputError
from ullage.files import read_text
from ullage.reports.pages.document import page_document
from ullage.reports.pages.html import html
from ullage.reports.pages.markdown import BEGIN, END, markdown
from ullage.reports.pages.page import Own, Page, Section

LARGEST_FILE: Final = 16_000_000
_BEGIN: Final = re.compile(r"<!-- own words: (.*) -->")
_GUIDE: Final = re.compile(r"<!-- own words: |Written by (?:`|<code>)ullage guide ")
LEFT: Final = "Own words without a place"
"""Where words go whose place the guide no longer has: none are lost."""


class GuideChange(NamedTuple):
    """Lines of a file from `line` on that are not what is computed: as they `are` and as they should be."""

    line: int
    are: tuple[str, ...]
    computed: tuple[str, ...]


def read_guide(path: Path) -> str:
    """A committed guide, whose lines may end as on Windows. Raises InputError for one that cannot be read."""
    try:
        return read_text(path, LARGEST_FILE).removeprefix("\ufeff").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        said = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or error
        raise InputError(f"{path}: cannot be read as a guide: {said}") from error
    except FormatError as error:
        raise InputError(str(error)) from error


def own_words(text: str, where: str) -> dict[str, str]:
    """What a person wrote, by the name of its place. Raises InputError, with the line, for a marker without
    its other half or a name that stands twice: nothing is overwritten that might be somebody's."""
    found: dict[str, str] = {}
    name, begun, held = None, 0, list[str]()
    for at, line in enumerate(text.split("\n"), 1):
        begin = _BEGIN.fullmatch(line.strip())
        if begin and name is not None:
            raise InputError(
                f"{where}:{at}: own words begin within those of line {begun}; end these first: {END}"
            )
        if begin:
            if begin[1] in found:
                raise InputError(f"{where}:{at}: own words {begin[1]!r} stand twice; put them in one place")
            name, begun, held = begin[1], at, []
        elif line.strip() == END:
            if name is None:
                raise InputError(
                    f"{where}:{at}: own words end that did not begin; remove the marker, or begin them on a "
                    f"line of its own: {BEGIN.format('NAME')}"
                )
            found[name] = "\n".join(held)
            name = None
        elif name is not None:
            held.append(line)
    if name is not None:
        raise InputError(f"{where}:{begun}: own words {name!r} do not end; write {END} after them")
    return found


def check_has_no_markers(text: str, where: str) -> None:
    """Raises InputError for a workload file in which a marker stands alone on a line: a guide shows the file
    as it is, and what stood there would be taken for a person's own words."""
    for at, line in enumerate(text.splitlines(), 1):
        if _BEGIN.fullmatch(line.strip()) or line.strip() == END:
            raise InputError(
                f"{where}:{at}: {line.strip()} marks own words in a guide, which shows this file; write it "
                "otherwise, or beside other words"
            )


def check_is_guide(text: str, where: str) -> None:
    """Raises InputError for a file that has something else in it, which would be lost."""
    if text.strip() and not _GUIDE.search(text):
        raise InputError(f"{where}: is there already and is no guide; name another --out, or remove it")


def with_words(page: Page, words: Mapping[str, str]) -> Page:
    """The page with a person's words in their places; those without a place come at the end."""
    placed: set[str] = set()

    def section(each: Section) -> Section:
        parts = []
        for part in each.parts:
            if isinstance(part, Own):
                placed.add(part.name)
                part = part._replace(text=words.get(part.name, part.text))
            parts.append(part)
        return each._replace(parts=tuple(parts))

    sections = [section(each) for each in page.sections]
    left = tuple(Own(name, text) for name, text in words.items() if name not in placed and text.strip())
    return page._replace(sections=(*sections, *([Section(LEFT, left)] if left else [])))


def as_text(page: Page, path: Path | None, json: bool = False) -> str:
    """HTML or JSON where the file is called so, JSON if that is wanted, else Markdown."""
    ending = "" if path is None else path.suffix.casefold()
    if json or ending == ".json":
        return dumps({**header("guide"), **page_document(page)}, indent=1) + "\n"
    return html(page) if ending in (".html", ".htm") else markdown(page)


def changes(committed: str, computed: str) -> Iterator[GuideChange]:
    """Where two texts differ, by lines of the first."""
    are, due = committed.split("\n"), computed.split("\n")
    for kind, begin, end, first, last in SequenceMatcher(None, are, due, autojunk=False).get_opcodes():
        if kind != "equal":
            yield GuideChange(begin + 1, tuple(are[begin:end]), tuple(due[first:last]))
