"""Claims that a Markdown document's tables may make, for a person to confirm."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Final, NamedTuple

from ullage.errors import FormatError, InputError, nearest
from ullage.files import read_text
from ullage.spec.amount import parse_amount

LARGEST_FILE: Final = 4_000_000
_HEADING: Final = re.compile(r"(#{1,6})\s+(.*)")
_RULE: Final = re.compile(r"\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")
_NUMBER: Final = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_BYTES: Final = r"[KMGT]i?B"
_CELL: Final = re.compile(
    rf"[~+<>\u2248\u2264\u2265]?\s*({_NUMBER})\s*({_BYTES})?"
    rf"(?:\s*(?:-|\u2013|to)\s*({_NUMBER})\s*({_BYTES})?)?(?![\d,.]*\d)\b.*"
)
_BARE: Final = re.compile(
    rf"[~+<>\u2248\u2264\u2265]?\s*(?:{_NUMBER})\s*(?:(?:-|\u2013|to)\s*(?:{_NUMBER})\s*)?(?:[(\[].*|[^\w.,]*)"
)
"""A number alone, or with its ends or a note in brackets: its unit may stand elsewhere."""
_UNIT: Final = re.compile(rf"(?<![\d.])(?<![\d.]\s)\b({_BYTES})\b(?!/)")
"""A unit that belongs to no number before it, and to no speed."""
_EVERYWHERE: Final = re.compile(rf"\b(?:are|is|in)\s+({_BYTES})\b(?!/)", re.IGNORECASE)
"""How a document says the unit of all its tables."""
_NOTE: Final = re.compile(
    r"<sup>.*?</sup>|</?[a-z][^>]*>|[\u00b9\u00b2\u00b3\u2070-\u2079\u2020\u2021]", re.IGNORECASE
)
"""Tags, and marks of footnotes."""
PRECISIONS: Final = {
    "fp32": r"fp32|float32|full precision",
    "fp16": r"fp16|float16|half",
    "bf16": r"bf16|bfloat16",
    "int8": r"int8|8-?\s?bit",
    "nf4": r"nf4|int4|4-?\s?bit",
}
"""How headings of columns and rows name what weights are stored in."""
METRICS: Final = {
    "weights": "weights",
    "kv_cache": r"kv[- ]?cache",
    "activations": "activations?",
    "captures": "captures?",
    "logits": "logits",
    "fragmentation": "fragmentation",
}
"""How they name what is claimed."""
_HELD: Final = re.compile(
    rf"\b(?:{'|'.join((*METRICS.values(), *PRECISIONS.values()))}|memory|v?ram|peak|total|overhead|gpu)\b",
    re.IGNORECASE,
)
"""What columns are called that have sizes, and not counts, where the unit stands outside of the table."""
HEAD: Final = """\
# Claims that may stand in {name}. Each is unconfirmed and is not judged: look at what the document
# says, name the model and its settings, take `unconfirmed` away; remove what is no claim (a card's size).
"""


class Cell(NamedTuple):
    """A cell of a table with a size in it: where it stands, and the words around it; `row` are the cells
    before the first with a number."""

    line: int
    section: str
    row: tuple[str, ...]
    column: str
    text: str
    claimed: str


def drafted(path: Path) -> str:
    """A file of claims, one for each size in a table of a document. Raises InputError."""
    import yaml

    try:
        text = read_text(path, LARGEST_FILE)
    except (OSError, UnicodeDecodeError) as error:
        said = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or error
        raise InputError(f"{path}: cannot be read as a document: {said}") from error
    except FormatError as error:
        raise InputError(str(error)) from error
    claims = [_proposed(cell) for cell in cells(text)]
    if not claims:
        raise InputError(f"{path}: no table of it has a size with a unit; write its claims by hand")
    held = {"document": path.name, "claims": claims}
    return HEAD.format(name=path.name) + yaml.safe_dump(held, sort_keys=False, allow_unicode=True, width=110)


def _proposed(cell: Cell) -> dict[str, object]:
    found: dict[str, object] = {"claimed": cell.claimed, "lines": [cell.line], "section": cell.section}
    row = " ".join(cell.row)
    found["says"] = f"{', '.join((*cell.row, cell.column))}: {cell.text}"
    model = _model(cell)
    if model:
        found["model"] = model
    for name, words in PRECISIONS.items():
        if re.search(words, f"{cell.column} {row}", re.IGNORECASE):
            found["precision"] = name
            break
    said = (cell.column, row, cell.section)
    named = (
        name for text in said for name, words in METRICS.items() if re.search(words, text, re.IGNORECASE)
    )
    if metric := next(named, None):
        found["metric"] = metric
    return {**found, "unconfirmed": True}


def _model(cell: Cell) -> str:
    """The model of the catalog that a row, its column or its section names, else that whose name is nearest
    to the row's first cell; nothing where none is near."""
    names = _names()
    for text in (" ".join(cell.row), cell.column, cell.section):
        words = f"-{_plain(text)}-"
        held = [name for name in names if f"-{name}-" in words]
        if held:
            return names[max(held, key=len)]
    found = nearest(re.sub(r"\s+", "-", cell.row[0].strip()), names.values(), 1)
    return found[0] if found else ""


@cache
def _names() -> dict[str, str]:
    """The catalog's models by their plain names."""
    from ullage.facts.catalog import model_names

    return {_plain(name.rpartition("/")[2]): name for name in sorted(model_names())}


def _plain(text: str) -> str:
    """In small letters, its words joined by hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", text.casefold()).strip("-")


def cells(text: str) -> Iterator[Cell]:
    """Every cell with a size, of the tables of a document: the unit is the cell's own, or its column's; else
    what stands beside the table, in its heading or for the whole document."""
    headings: dict[int, str] = {}
    lines = text.splitlines()
    columns: list[tuple[str, str]] = []
    fenced = False
    for at, line in enumerate(lines):
        fenced ^= line.lstrip().startswith("```")
        if fenced:
            continue
        if found := _HEADING.fullmatch(line.strip()):
            headings = {level: said for level, said in headings.items() if level < len(found[1])}
            headings[len(found[1])] = found[2].strip()
        if "|" not in line:
            columns = []
        elif at + 1 < len(lines) and _RULE.fullmatch(lines[at + 1].strip()) and "-" in lines[at + 1]:
            around = (*_beside(lines, at), *(headings[level] for level in sorted(headings, reverse=True)))
            afar = _named(around) or _everywhere(lines)
            columns = [
                (each, _named((each,)) or (afar if _HELD.search(each) else "")) for each in _split(line)
            ]
        elif columns and not _RULE.fullmatch(line.strip()):
            section = " / ".join(said for level, said in sorted(headings.items()) if level > 1)
            yield from _of_row(at + 1, section, columns, _split(line))


def _beside(lines: Sequence[str], at: int) -> tuple[str, ...]:
    """The lines of prose next to the table whose head is at `at`: after it, before it."""
    after = next((below for below in range(at, len(lines)) if "|" not in lines[below]), len(lines))
    near = (next(filter(str.strip, side), "") for side in (lines[after:], reversed(lines[:at])))
    return tuple(line for line in near if "|" not in line and not line.startswith("#"))


def _everywhere(lines: Sequence[str]) -> str:
    said = (_EVERYWHERE.search(line) for line in lines if "|" not in line)
    return next((found[1] for found in said if found), "")


def _named(texts: Iterable[str]) -> str:
    """The unit that the first of them names which names one."""
    return next((found[1] for text in texts if (found := _UNIT.search(text))), "")


def _of_row(
    line: int, section: str, columns: Sequence[tuple[str, str]], row: Sequence[str]
) -> Iterator[Cell]:
    name = (row[0], *takewhile(lambda cell: not re.search(r"^\W*\d", cell), row[1:]))
    for (column, unit), text in zip(columns[1:], row[1:], strict=False):
        claimed = _claimed(text, unit)
        try:
            parse_amount(claimed)
        except InputError:
            continue
        yield Cell(line, section, name, column, text, claimed)


def _claimed(text: str, unit: str) -> str:
    """A size and its unit, which is `unit` where it is a number alone; nothing where there is none."""
    found = _CELL.fullmatch(text)
    if found is None:
        return ""
    low, first, high, last = found.groups()
    if first and last and first != last:  # two units, which no claim has
        high, last = None, None
    unit = last or first or (unit if _BARE.fullmatch(text) else "")
    return f"{'-'.join(each.replace(',', '') for each in (low, high) if each)} {unit}" if unit else ""


def _split(line: str) -> list[str]:
    """The cells of one line of a table, without bold, code and marks of footnotes; a bar behind a backslash
    is part of one."""
    cells = re.split(r"(?<!\\)\|", _NOTE.sub("", line).strip().removeprefix("|").removesuffix("|"))
    return [cell.replace("\\|", "|").strip().strip("*`").strip() for cell in cells]
