"""The user's own price list: a YAML, JSON or CSV file to prices, all mistakes reported at once."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from ullage.errors import InputError, UllageError
from ullage.facts.gpu_catalog import find_gpu
from ullage.facts.price import CURRENCY, LABELS, Price, Prices
from ullage.files import read_text
from ullage.spec.mistake import listed, shorten
from ullage.spec.tree import Tree
from ullage.units import parse_bytes

LARGEST_FILE: Final = 4_000_000
"""Bytes; a list of every provider has some hundred thousand."""
NEEDED: Final = ("date", "provider", "label", "card", "usd_per_hour")
ALSO: Final = ("count", "currency", "host_memory", "source")
MOST_CARDS: Final = 1024
DEAREST: Final = 1e6
"""Dollars an hour that no machine costs."""
FORM: Final = (
    "a row is as {date: 2026-11-09, provider: Lambda, label: on-demand, card: A100-80GB, count: 8, "
    "usd_per_hour: 22.32}"
)


def read_prices(path: Path) -> Prices:
    """The prices in a list of rows, or under `prices:`; in a CSV file the first line names the columns.

    `usd_per_hour` is of `count` cards together, without `count` of each card in any number; the label is
    compared that most rows have. Raises SpecError with a line for each row that has no day, an unknown card
    or another mistake, InputError for a file that cannot be read.
    """
    name = str(path)
    try:
        text = read_text(path, LARGEST_FILE)
    except (OSError, UnicodeDecodeError) as error:
        said = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or error
        raise InputError(f"{name}: cannot be read as a price list: {said}") from error
    text = text.removeprefix("\ufeff")  # as spreadsheets begin a file
    rows = _csv_rows(text, name) if path.suffix.casefold() == ".csv" else _rows(text, name)
    if not rows:
        raise InputError(f"{name}: no prices; {FORM}")
    mistakes: list[str] = []
    offers = []
    for number, row in enumerate(rows, 1):
        where = f"{name}: row {number}"
        wrong, offer = _read(row)
        mistakes += [f"{where}: {each}" for each in wrong]
        offers += [offer] if offer is not None else []
    if mistakes:
        raise listed(name, mistakes)
    label = max(LABELS, key=lambda each: sum(offer.label == each for offer in offers))
    return Prices(tuple(offers), label, file=name)


def _csv_rows(text: str, name: str) -> Sequence[object]:
    """Rows by the names of the first line; empty cells are left out. Raises InputError for what is none."""
    found = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    try:
        rows = list(found)
    except csv.Error as error:
        raise InputError(f"{name}: broken CSV: {error}") from error
    columns = found.fieldnames or []
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t|"):
        raise InputError(
            f"{name}: row 1: columns are separated by commas, these are by something else; {FORM}"
        )
    for number, row in enumerate(rows, 1):
        if None in row:
            raise InputError(f"{name}: row {number} has more than the {len(columns)} cells of the first line")
    return [{str(key).strip(): value for key, value in row.items() if value} for row in rows]


def _rows(text: str, name: str) -> Sequence[object]:
    tree = Tree(name)
    data = tree.read(text)
    if tree.mistakes:
        raise listed(name, tree.mistakes)
    rows = data.get("prices") if isinstance(data, Mapping) else data
    if not isinstance(rows, list):
        raise InputError(f"{name}: is no list of prices; {FORM}")
    return rows


def _read(row: object) -> tuple[list[str], Price | None]:
    """What is wrong with a row, or its price."""
    if not isinstance(row, Mapping):
        return [f"is no row; {FORM}"], None
    unknown = [str(key) for key in row if key not in (*NEEDED, *ALSO)]
    lacking = [key for key in NEEDED if row.get(key) in (None, "")]
    if unknown or lacking:
        said = [f"{shorten(key, 40)!r} is no column: {', '.join((*NEEDED, *ALSO))}" for key in unknown]
        return [*said, *(f"{key} is missing; {FORM}" for key in lacking)], None
    told: dict[str, Any] = {}
    wrong = []
    for key, reader in READERS.items():
        value = row.get(key)
        try:
            told[key] = None if value in (None, "") else reader(value)
        except (ValueError, UllageError) as error:
            wrong.append(f"{key}: {error}")
    return (wrong, None) if wrong else ([], _price(told))


def _price(told: Mapping[str, Any]) -> Price:
    count = told["count"]
    return Price(
        told["provider"],
        told["card"],
        told["usd_per_hour"] / (count or 1),
        told["label"],
        told["date"],
        told["source"] or "your own list",
        () if count is None else (count,),
        told["host_memory"],
    )


def _day(value: object) -> date:
    """A day that has begun somewhere on earth."""
    try:
        day = date.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError(f"{_shown(value)} is no day; write it as 2026-11-09") from error
    if day > datetime.now(UTC).date() + timedelta(days=1):
        raise ValueError(f"{day} is not here yet; a price has the day on which it was read")
    return day


def _text(value: object) -> str:
    return shorten(str(value), 60)


def _label(value: object) -> str:
    if value not in LABELS:
        raise ValueError(f"{_shown(value)}: prices are {', '.join(LABELS)}")
    return str(value)


def _card(value: object) -> str:
    return find_gpu(_text(value)).id


def _count(value: object) -> int:
    said = str(value).strip()
    if not said.isascii() or not said.isdigit() or not 1 <= int(said[:9]) <= MOST_CARDS:
        raise ValueError(f"{_shown(value)} is no number of cards from 1 to {MOST_CARDS:,}")
    return int(said)


def _currency(value: object) -> str:
    if str(value).strip().upper() != CURRENCY:
        raise ValueError(f"{_shown(value)}: no exchange rate is known here; give prices in {CURRENCY}")
    return CURRENCY


def _usd(value: object) -> float:
    try:
        found = float(str(value))
    except ValueError:
        found = math.nan
    if not 0 < found <= DEAREST:
        raise ValueError(f"{_shown(value)} is no price in dollars an hour")
    return found


def _bytes(value: object) -> int:
    return parse_bytes(_text(value))


def _shown(value: object) -> str:
    return shorten(repr(value), 60)


READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "date": _day,
    "provider": _text,
    "label": _label,
    "card": _card,
    "count": _count,
    "currency": _currency,
    "usd_per_hour": _usd,
    "host_memory": _bytes,
    "source": _text,
}
"""How each column is read; each raises ValueError or UllageError with what is wrong."""
