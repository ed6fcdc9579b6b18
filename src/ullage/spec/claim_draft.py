"""Claims that a Markdown document's tables may make, for a person to confirm."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ullage.errors import FormatError, InputError, nearest
from ullage.files import read_text
from ullage.spec.amount import parse_amount

LARGEST_FILE: Final = 4_000_000
_HEADING: Final = re.compile(r"(#{1,6})\s+(.*)")
_RULE: Final = re.compile(r"\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")
_SIZE: Final = r"\d+(?:\.\d+)?(?:\s*(?:-|\u2013|to)\s*\d+(?:\.\d+)?)?"
_CELL: Final = re.compile(rf"[~+]?\s*({_SIZE})\s*([KMGT]i?B)?\b.*")
_UNIT: Final = re.compile(r"\(([KMGT]i?B)\)")
PRECISIONS: Final = {
    "fp32": r"fp32|float32|full precision",
    "fp16": r"fp16|float16|half",
    "bf16": r"bf16|bfloat16",
    "int8": r"int8|8-?\s?bit",
    "nf4": r"nf4|int4|4-?\s?bit",
}
"""How headings of columns and rows name what weights are stored in."""
HEAD: Final = """\
# Claims that may stand in {name}. Each is unconfirmed and is not judged: look at what the document
# says, name the model and its settings, take `unconfirmed` away; remove what is no claim (a card's size).
"""


class Cell(NamedTuple):
    """A cell of a table with a size in it: where it stands, and the words around it."""

    line: int
    section: str
    row: str
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
    found["says"] = f"{cell.row}, {cell.column}: {cell.text}"
    model = _model(cell.row)
    if model:
        found["model"] = model
    for name, words in PRECISIONS.items():
        if re.search(words, f"{cell.column} {cell.row}", re.IGNORECASE):
            found["precision"] = name
            break
    if re.search("weights", f"{cell.row} {cell.column} {cell.section}", re.IGNORECASE):
        found["metric"] = "weights"
    return {**found, "unconfirmed": True}


def _model(words: str) -> str:
    """The model of the catalog whose name is nearest to a row's first cell; nothing where none is near."""
    from ullage.facts.catalog import model_names

    named = re.sub(r"\s+", "-", words.strip())
    found = nearest(named, model_names(), 1)
    return found[0] if found else ""


def cells(text: str) -> Iterator[Cell]:
    """Every cell with a size, of the tables of a document: the unit is the cell's own, or its column's."""
    headings: dict[int, str] = {}
    lines = text.splitlines()
    columns: list[str] = []
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
            columns = _split(line)
        elif columns and not _RULE.fullmatch(line.strip()):
            section = " / ".join(said for level, said in sorted(headings.items()) if level > 1)
            yield from _of_row(at + 1, section, columns, _split(line))


def _of_row(line: int, section: str, columns: Sequence[str], row: Sequence[str]) -> Iterator[Cell]:
    for column, text in zip(columns[1:], row[1:], strict=False):
        found = _CELL.fullmatch(text)
        unit = _UNIT.search(column)
        if found is None or not (found[2] or unit):
            continue
        claimed = f"{found[1]} {found[2] or (unit[1] if unit else '')}"
        try:
            parse_amount(claimed)
        except InputError:
            continue
        yield Cell(line, section, row[0], column, text, claimed)


def _split(line: str) -> list[str]:
    """The cells of one line of a table, without bold."""
    return [cell.strip().strip("*").strip() for cell in line.strip().strip("|").split("|")]
