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
from ullage.spec.document_tables import SIZE, Text, Unread, tables

LARGEST_FILE: Final = 4_000_000
_THOUSANDS: Final = r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?"
_DECIMAL: Final = r"[1-9]\d{0,2}(?:\.\d{3})+,\d+|0,\d+|\d+,(?:\d{1,2}|\d{4,})"
_NUMBER: Final = rf"{_THOUSANDS}|{_DECIMAL}|\d+(?:\.\d+)?"
"""A comma before three digits parts thousands; before one, two or more than three it is a decimal comma."""
_BYTES: Final = r"[KMGT]i?B(?!\s?/\s?s)"
_CELL: Final = re.compile(
    rf"[~+<>\u2248\u2264\u2265]?\s*({_NUMBER})\s*\+?\s*({_BYTES})?"
    rf"(?:\s*(?:-|\u2013|to)\s*({_NUMBER})\s*\+?\s*({_BYTES})?)?(?![\d,.]*\d)\b.*",
    re.IGNORECASE,
)
_BARE: Final = re.compile(
    rf"[~+<>\u2248\u2264\u2265]?\s*(?:{_NUMBER})\s*(?:(?:-|\u2013|to)\s*(?:{_NUMBER})\s*)?(?:[(\[].*|[^\w.,]*)"
)
"""A number alone, or with its ends or a note in brackets: its unit may stand elsewhere."""
_WORDLESS: Final = re.compile(r"[^A-Za-z]*\d[^A-Za-z]*")
_UNIT: Final = re.compile(rf"(?<![\d.])(?<![\d.]\s)\b({_BYTES})\b(?!/)")
"""A unit that belongs to no number before it, and to no speed."""
_EVERYWHERE: Final = re.compile(rf"\b(?:are|is|in)\s+({_BYTES})\b(?!/)", re.IGNORECASE)
"""How a document says the unit of all its tables."""
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


UNREAD: Final = """\
# Not read, though it may be a size ({count}): see whether it is a claim, and write it by hand.
"""
MOST_SAID: Final = 5
"""Places named where there is no claim at all."""
LONGEST: Final = 200
"""Characters of a cell that are read, and quoted of one that is not."""


class Cell(NamedTuple):
    """A cell of a table with a size in it: where it stands, and the words around it; `row` are the cells
    before the first with a number."""

    line: int
    section: str
    row: tuple[str, ...]
    column: str
    text: str
    claimed: str


class _Column(NamedTuple):
    """Its name, the unit that it names itself, and that of numbers alone in it."""

    name: str = ""
    own: str = ""
    unit: str = ""


def drafted(path: Path) -> str:
    """A file of claims, one for each size in a table of a document, headed by what may be one and was not
    read. Raises InputError."""
    import yaml

    try:
        text = read_text(path, LARGEST_FILE)
    except (OSError, UnicodeDecodeError) as error:
        said = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or error
        raise InputError(f"{path}: cannot be read as a document: {said}") from error
    except FormatError as error:
        raise InputError(str(error)) from error
    found = list(cells(text))
    claims = [_proposed(each) for each in found if isinstance(each, Cell)]
    unread = list(dict.fromkeys(_quoted(each) for each in found if isinstance(each, Unread)))
    if not claims:
        said = f"{path}: no table of it has a size with a unit; write its claims by hand"
        more = f"; of {len(unread)}" if len(unread) > MOST_SAID else ""
        raise InputError(f"{said}. Not read{more}: {'; '.join(unread[:MOST_SAID])}" if unread else said)
    head = HEAD.format(name=path.name)
    if unread:
        head += UNREAD.format(count=len(unread)) + "".join(f"#   {each}\n" for each in unread)
    held = {"document": path.name, "claims": claims}
    return head + yaml.safe_dump(held, sort_keys=False, allow_unicode=True, width=110)


def _quoted(unread: Unread) -> str:
    said = "".join(one if one.isprintable() else " " for one in unread.said[: LONGEST + 1])
    return f"line {unread.line}: {said[:LONGEST]}{'...' if len(said) > LONGEST else ''}"


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


def cells(text: str) -> Iterator[Cell | Unread]:
    """Every cell with a size, of the tables of a document: the unit is the cell's own, or its column's; else
    what stands beside the table, in its heading or for the whole document. And what looks like a size and is
    none of them."""
    everywhere = _everywhere(text.splitlines())
    for table in tables(text):
        if isinstance(table, Unread):
            yield table
            continue
        afar = _named(table.around) or everywhere
        columns = []
        for name in table.columns:
            own = _named((name,))
            columns.append(_Column(name, own, own or (afar if _HELD.search(name) else "")))
        yield from (Unread(*each) for each in table.head if SIZE.search(each.said))
        for row in table.rows:
            yield from _of_row(table.section, columns, row)


def _everywhere(lines: Sequence[str]) -> str:
    said = (_EVERYWHERE.search(line) for line in lines if "|" not in line)
    return next((found[1] for found in said if found), "")


def _named(texts: Iterable[str]) -> str:
    """The unit that the first of them names which names one."""
    return next((found[1] for text in texts if (found := _UNIT.search(text))), "")


def _of_row(section: str, columns: Sequence[_Column], row: Sequence[Text]) -> Iterator[Cell | Unread]:
    said = [each.said for each in row]
    name = (*said[:1], *takewhile(lambda cell: not re.search(r"^\W*\d", cell), said[1:]))
    for at, (line, text) in enumerate(row):
        column = columns[at] if 0 < at < len(columns) else _Column()
        claimed, rest = _claimed(text, column.unit) if at else ("", text)
        if claimed:
            yield Cell(line, section, name, column.name, text, claimed)
        number = re.search(r"\d", text) if column.own else _WORDLESS.fullmatch(text)
        if SIZE.search(rest) or (column.unit and not claimed and number):
            yield Unread(line, text)


def _claimed(text: str, unit: str) -> tuple[str, str]:
    """A size and its unit, which is `unit` where it is a number alone, nothing where there is none; and what
    of the text is not part of it."""
    found = _CELL.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        return "", text
    low, first, high, last = found.groups()
    end = max(found.end(group) for group in (1, 2, 3, 4))
    if first and last and first.upper() != last.upper():  # two units, which no claim has
        high, last, end = None, None, found.end(2)
    unit = last or first or (unit if _BARE.fullmatch(text) else "")
    claimed = f"{'-'.join(_decimal(each) for each in (low, high) if each)} {unit}"
    try:
        parse_amount(claimed)
    except InputError:
        return "", text
    return claimed, text[end:]


def _decimal(number: str) -> str:
    """As `parse_amount` reads it."""
    if "," not in number or re.fullmatch(_THOUSANDS, number):
        return number.replace(",", "")
    return number.replace(".", "").replace(",", ".")
