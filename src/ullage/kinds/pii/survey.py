"""What is told of an input before any model is loaded: that it holds records, and what its offsets count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, combinations
from typing import Final

from ullage.errors import InputError
from ullage.kinds.pii.input_lines import Line
from ullage.kinds.pii.offsets import UNITS, NotAPlace, NotARecord, Unit
from ullage.kinds.pii.records import MISMATCH, RecordReader
from ullage.kinds.pii.section import Section
from ullage.kinds.pii.sources import Source
from ullage.kinds.pii.types import DataTypes

MOST_BEFORE: Final = 10_000
"""Lines of a pipe that may be no records before its first: they are held."""
REASONS: Final = 3
"""Why lines are no records, that are named where none is."""

Outcome = tuple[tuple[int | None, int | None], ...]
"""Where a record's candidates stand under a unit, in characters."""


def surveyed(
    source: Source,
    section: Section,
    types: DataTypes,
    note: Callable[[str], None],
    finished: bool,
    resumed: bool,
) -> tuple[RecordReader, Iterator[Line]]:
    """The reader of the input's records, what its offsets count settled, and the lines of a pipe; a partition
    is not looked at before it is read, as the whole was before it was cut.

    Raises InputError where the input holds no record, its unit cannot be told, or a pipe is to be read again.
    """
    unit = section.offsets
    reader = RecordReader(types, section.fields, "characters" if unit == "auto" else unit)
    if finished or source.part is not None:
        return reader, iter(())
    if source.once and resumed:
        raise InputError(
            f"{source.name}: a pipe is read once: a run of it cannot be resumed; begin a new one"
        )
    if source.once:
        note(f"{source.name} is a pipe, read once: this run cannot be resumed")
    if unit == "auto":
        reader = replace(reader, offsets=_unit_of(source, reader))
        note(f"{source.name}: offsets count {reader.offsets}")
    return reader, _begun(source, reader)


def _begun(source: Source, reader: RecordReader) -> Iterator[Line]:
    """The lines of a pipe, from the first on; of a file none: it is only looked at.

    Raises InputError where no line is a record, with what the lines lack and what the input looks like.
    """
    lines = source.lines()
    before: list[Line] = []
    reasons: dict[str, list[int]] = {}
    for line in lines:
        if source.once:
            before.append(line)
        reason = _problem(line, reader)
        if not reason:
            return chain(before, lines) if source.once else iter(())
        reasons.setdefault(reason, []).append(line.number)
        if len(reasons) > MOST_BEFORE or len(before) > MOST_BEFORE:
            break
    numbers = [number for some in reasons.values() for number in some]
    if not numbers:
        raise InputError(f"{source.name}: holds no records; it looks like {source.looks_like()}")
    most = sorted(reasons.items(), key=lambda item: -len(item[1]))[:REASONS]
    raise InputError(
        f"{source.name}: none of its {len(numbers):,} lines or records is understood; "
        f"it looks like {source.looks_like()}",
        *(f"line {some[0]:,}{_more(len(some))}: {reason}" for reason, some in most),
    )


def _more(count: int) -> str:
    return f" and {count - 1:,} more" if count > 1 else ""


def _problem(line: Line, reader: RecordReader) -> str:
    """Why a line is no record; empty where it is one."""
    if line.record is None:
        return line.reason
    try:
        reader.read(line.number, line.record)
    except NotARecord as error:
        return str(error)
    return ""


def _unit_of(source: Source, reader: RecordReader) -> Unit:
    """The one unit under which every candidate's stated value stands at its offsets.

    Raises InputError where there is none, and where there are several that mean different places.
    """
    if source.once:
        raise InputError(
            f"{source.name}: offsets: auto reads the input twice, and a pipe is read once; "
            "say characters, utf16 or utf8"
        )
    weighed = _Weighed()
    readers = {unit: RecordReader(reader.types, reader.fields, unit) for unit in UNITS}
    for line in source.lines():
        if line.record is not None:
            weighed.add(line.number, _outcomes(line, readers))
    return weighed.settled(source.name)


def _outcomes(line: Line, readers: dict[Unit, RecordReader]) -> dict[Unit, Outcome]:
    """By the units that agree with a line's record; all of them with one that is none for another reason."""
    found: dict[Unit, Outcome] = {}
    assert line.record is not None
    for unit, reader in readers.items():
        try:
            record = reader.read(line.number, line.record)
        except NotAPlace:
            continue
        except NotARecord:
            return dict.fromkeys(UNITS, ())
        if not any(one.reason == MISMATCH for one in record.candidates):
            found[unit] = tuple((one.start, one.end) for one in record.candidates)
        if record.text.isascii():
            return dict.fromkeys(UNITS, found[unit]) if found else {}
    return found


@dataclass(slots=True)
class _Weighed:
    """By unit the first line that it disagrees with; by two of them the first on which they differ."""

    wrong: dict[Unit, int] = field(default_factory=dict)
    differ: dict[tuple[Unit, Unit], int] = field(default_factory=dict)

    def add(self, number: int, outcomes: dict[Unit, Outcome]) -> None:
        for unit in UNITS:
            if unit not in outcomes:
                self.wrong.setdefault(unit, number)
        for one, other in combinations(outcomes, 2):
            if outcomes[one] != outcomes[other]:
                self.differ.setdefault((one, other), number)

    def settled(self, name: str) -> Unit:
        left = [unit for unit in UNITS if unit not in self.wrong]
        if not left:
            wrong = [(unit, self.wrong[unit]) for unit in UNITS]
            where = ", ".join(f"{unit} from line {number:,} on" for unit, number in wrong)
            raise InputError(
                f"{name}: offsets: auto: under no unit do all stated values stand at their offsets (wrong: "
                f"{where}); correct the lines, or say which unit is meant"
            )
        asked = [number for pair, number in self.differ.items() if set(pair) <= set(left)]
        if asked:
            raise InputError(
                f"{name}: offsets: auto: {' and '.join(left)} both agree with all stated values, and mean "
                f"different places in line {min(asked):,}; say which is meant (--offsets {left[0]})"
            )
        return left[0]
