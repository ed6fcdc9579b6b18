"""Records for `pii` to redact, drawn by hypothesis, and whether a redacted text still holds what it must not.

What is drawn: words in several cases and normal forms, alone or run together; candidates by offsets in each
unit, in a unit that the file does not have, by value, without a place; spans that overlap; any verdict.
The check shares nothing with what it checks: it folds text and value, and looks between the tags.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, get_args

from hypothesis import strategies as st

from ullage.kinds.pii.calibration import Calibration
from ullage.kinds.pii.items import Item
from ullage.kinds.pii.records import NotARecord, RecordReader
from ullage.kinds.pii.redaction import Redaction, redact
from ullage.kinds.pii.section import RecordFields, Section
from ullage.kinds.pii.types import read_types

READERS = {
    unit: RecordReader(read_types(), RecordFields(), unit)
    for unit in get_args(Section.model_fields["offsets"].annotation)
    if unit != "auto"
}
UNITS = {
    "characters": len,
    "utf16": lambda text: len(text.encode("utf-16-le")) // 2,
    "utf8": lambda text: len(text.encode()),
}
WORDS = (
    "Bruno Wolf", "Wolf", "Jos\u00e9", "stra\u00dfe", "real-9", "\ufb01ona", "\u00c5NGSTR\u00d6M", "\u2167",
    "\uac00\ub098", "\uff15\uff15\uff15", "555", "15553", "Ann", "\U0001f600li", "\u0130z", "call", "the",
    "a", "\u03b1\u0345\u0301", "\u212b", "\u96fb\u8a71", "e\u0323\u0301", "I\u015f\u0131k", "i\u015fik", "iz",
    "\u0665\u0665\u0665", "\u845b\U000e0100\u57ce", "\u845b\u57ce", "A\u3164nn",
)  # fmt: skip
FORMS = (
    str, str.upper, str.lower, str.casefold, str.title,
    *(lambda text, form=form: unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")),
)  # fmt: skip
GAPS = (" ", " ", " ", ", ", "", "-", "\n", "\u00a0", "  ", "\u200d", "\u0301")
TAG = re.compile(r"<[A-Z_]+(?::[0-9a-f]+)?>")
HIDDEN = re.compile("[\u034f\u115f\u1160\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
MARKS = "".join(chr(one) for one in range(0x110000) if unicodedata.combining(chr(one)))
LETTERS = st.characters(exclude_characters="<>", codec="utf-8")
KINDS = ("person", "first_name", "phone", "email")


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]]]:
    """A text, and where the parts it was made of stand in it."""
    text, parts = "", []
    for _ in range(draw(st.integers(1, 6))):
        word = draw(st.sampled_from(WORDS) | st.text(LETTERS, min_size=1, max_size=4))
        form = draw(st.sampled_from(FORMS))(word)
        parts.append((len(text), len(text) + len(form)))
        text += form + draw(st.sampled_from(GAPS))
    return text, parts


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """A record's text and candidates, the file's unit, the verdicts, the switch and the mode."""
    text, parts = draw(texts())
    unit = draw(st.sampled_from(sorted(READERS)))
    candidates = []
    for _ in range(draw(st.integers(1, 4))):
        begin, end = draw(st.sampled_from(parts))
        if draw(st.integers(0, 3)) == 0:
            begin = draw(st.integers(0, len(text) - 1))
            end = draw(st.integers(begin + 1, len(text)))
        candidates.append(draw(_candidates(text, begin, end, unit)))
    verdicts = [draw(st.sampled_from((None, -1.0, 0.5, 2.0))) for _ in candidates]
    return {
        "record": {"text": text, "candidates": candidates},
        "unit": unit,
        "margins": verdicts,
        "everywhere": draw(st.booleans()),
        "mode": draw(st.sampled_from(("tag", "hash"))),
    }


@st.composite
def _candidates(draw: st.DrawFn, text: str, begin: int, end: int, unit: str) -> dict[str, object]:
    given: dict[str, object] = {"type": draw(st.sampled_from(KINDS))}
    value = text[begin:end]
    how = draw(st.sampled_from(("span", "both", "value", "other unit")))
    if how != "value":
        counted = draw(st.sampled_from(sorted(READERS))) if how == "other unit" else unit
        given |= {"start": UNITS[counted](text[:begin]), "end": UNITS[counted](text[:end])}
    if how != "span":
        given["value"] = value if how != "value" else draw(st.sampled_from(FORMS))(value)
    return given


def redacted(case: dict[str, Any]) -> tuple[Redaction, list[str]] | None:
    """What a run writes of a case, and the values that must not be in it; None where it is no record."""
    try:
        record = READERS[case["unit"]].read(1, case["record"])
    except NotARecord:
        return None
    items, values = [], []
    for candidate, margin, given in zip(
        record.candidates, case["margins"], case["record"]["candidates"], strict=True
    ):
        item = Item(record, candidate, reason=candidate.reason, margin=None if candidate.reason else margin)
        items.append(item)
        if item.margin is None or item.personal(Calibration()):
            values += [given["value"]] if "value" in given else []
            if candidate.start is not None:
                values.append(record.text[candidate.start : candidate.end])
    found = [one for one in (item.sensitive(Calibration()) for item in items) if one is not None]
    made = redact(record.text, found, case["mode"], b"a key of many bytes", everywhere=case["everywhere"])
    return made, values


def still_held(text: str, values: list[str]) -> list[str]:
    """Those of `values` that `text` holds between its tags as words of their own, in any case or form."""
    pieces = [_folded(piece) for piece in TAG.split(text)]
    return [value for value in values if any(_stands(piece, _folded(value)) for piece in pieces)]


def _folded(text: str) -> str:
    shown = "".join(one for one in text if unicodedata.category(one) != "Cf" and not HIDDEN.match(one))
    shown = unicodedata.normalize("NFD", shown)  # the standard's order: a case is that of a normal form
    for _ in range(3):
        shown = unicodedata.normalize("NFKC", shown.casefold())
    shown = "".join(str(unicodedata.decimal(one, one)) for one in shown).replace("\u0131", "i")
    return " ".join(unicodedata.normalize("NFC", _undotted(unicodedata.normalize("NFD", shown))).split())


def _undotted(text: str) -> str:
    """Without dots above an i or a j, whichever marks stand between."""
    kept = ""
    for one in text:
        if one != "\u0307" or not re.search(r"[ij]\Z", kept.rstrip(MARKS)):
            kept += one
    return kept


def _stands(piece: str, value: str) -> bool:
    return any(
        not _joined(_last_letter(piece[:at]), value[0])
        and not _joined(_last_letter(value), piece[at + len(value) :][:1])
        for at in _starts(piece, value)
    )


def _last_letter(text: str) -> str:
    """The last character that is no mark; nothing where there is none."""
    plain = "".join(one for one in text if not unicodedata.combining(one))
    return plain[-1:]


def _starts(piece: str, value: str) -> Iterator[int]:
    return (found.start() for found in re.finditer(f"(?={re.escape(value)})", piece)) if value else iter(())


def _joined(one: str, other: str) -> bool:
    if other and unicodedata.combining(other):
        return True
    if not one or not other:
        return False
    letters = one.isalpha() and other.isalpha() and max(one, other) < "\u2e80"
    return letters or (one.isdigit() and other.isdigit())
