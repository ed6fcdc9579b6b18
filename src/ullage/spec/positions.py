"""Which positions of a text are kept: how a file says it, and what it means for a text of so many tokens.

    all, mean       every position; their mean
    last, last:4    the last one; the last four
    span            a range that each record names itself
    not-special     every token that is not one of the tokenizer's special ones
    [0, 5, -1]      these positions, negative ones counted from the end: row i is entry i
    [[0, 8], -1]    entries may be ranges [begin, end), as Python's slices

An index must be in every text. Ranges, `last:k` and `not-special` take what there is, as slices do.
"""

# Annotations are not postponed here: pydantic would compile every one of them at each start.

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final, NamedTuple

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from ullage.errors import nearest
from ullage.spec.mistake import shorten

Range = tuple[int, int]
Entry = int | Range

WORDS: Final = ("all", "last", "mean", "span", "not-special")
SHOWN: Final = "all, last, mean, span, last:4, not-special, [0, 5, -1], [[0, 8], [-4, -1]]"
FARTHEST: Final = 10**9
"""Tokens: no text is longer."""
_LAST: Final = re.compile(r"last:(\d{1,10})")


class Awaited(NamedTuple):
    """What to keep of a text that is still being read: positions in `ranges` (ascending, apart), and the last
    `tail` of those read so far."""

    ranges: tuple[Range, ...]
    tail: int = 0


def read_positions(given: object) -> str | tuple[Entry, ...]:
    """What was written, lists as tuples. Raises PydanticCustomError that says what is wrong."""
    if isinstance(given, str):
        return _word(given)
    if not isinstance(given, list | tuple):
        hint = f" (a list of one: [{given}])" if _is_position(given) else ""
        raise _wrong(f"names no positions{hint}; valid: {SHOWN}")
    if not given:
        raise _wrong(f"names no position; valid: {SHOWN}")
    entries: list[Entry] = []
    problems = []
    for each in given:
        entry = tuple(each) if isinstance(each, list | tuple) else each
        problem = _problem(entry)
        if not problem and entry in entries:
            problem = f"{each} stands twice"
        if problem:
            problems.append(problem)
        else:
            entries.append(entry)
    if problems:
        raise _wrong("; ".join(dict.fromkeys(problems[:5])))
    return tuple(entries)


def _word(given: str) -> str:
    count = _LAST.fullmatch(given)
    if given in WORDS or (count and 1 <= int(count[1]) <= FARTHEST):
        return given
    if count:
        raise _wrong("keeps no position; give last:1 or more")
    close = nearest(shorten(given, 80), (*WORDS, "last:4"))
    hint = f"nearest: {', '.join(close)}; " if close else ""
    raise _wrong(f"names no positions; {hint}valid: {SHOWN}")


def _wrong(problem: str) -> PydanticCustomError:
    # A brace would be taken for a place to fill in.
    return PydanticCustomError("positions", "{problem}", {"problem": problem})


def _is_position(value: object) -> bool:
    return type(value) is int and abs(value) <= FARTHEST


def _problem(entry: object) -> str:
    """What is wrong with an entry of a list; nothing where it is a position or a range."""
    shown = shorten(repr(list(entry) if isinstance(entry, tuple) else entry), 60)
    if not isinstance(entry, tuple):
        return "" if _is_position(entry) else f"{shown} is neither a position nor a range [begin, end)"
    if len(entry) != 2 or not all(map(_is_position, entry)):
        return f"{shown} is not a range [begin, end) of two whole numbers"
    begin, end = entry
    if end == 0 or (begin >= end and (begin < 0) == (end < 0)):
        return f"the range {shown} is empty in every text"
    return ""


Positions = Annotated[
    str | tuple[Entry, ...],
    BeforeValidator(read_positions),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(WORDS)},
                {"type": "string", "pattern": "^last:[1-9][0-9]{0,9}$"},
                {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "anyOf": [
                            {"type": "integer"},
                            {
                                "type": "array",
                                "items": {"type": "integer"},
                                "minItems": 2,
                                "maxItems": 2,
                            },
                        ]
                    },
                },
            ]
        }
    ),
]


def chosen(
    positions: Positions, length: int, span: Range = (0, 0), special: Sequence[bool] = ()
) -> tuple[Range, ...]:
    """The ranges of a text of `length` tokens that are kept, in the order of their rows.

    `span` is the text's own; `special` tells its special tokens. Of `mean`, what it is the mean of.
    """
    if positions == "not-special":
        return joined((at, at + 1) for at in range(length) if not special[at])
    found: Iterable[Range] = ((0, length),)
    if positions == "span":
        found = (span,)
    elif positions not in ("all", "mean"):
        found = (slice(*each).indices(length)[:2] for each in _slices(positions))
    return tuple((begin, end) for begin, end in found if begin < end)


def rows_of(positions: Positions, ranges: Iterable[Range]) -> int:
    """Rows that are kept of a text of which `ranges` are `chosen`."""
    return 1 if positions == "mean" else sum(end - begin for begin, end in ranges)


def awaited(positions: Positions, span: Range = (0, 0)) -> Awaited:
    """What may be `chosen` of a text whose end is not known yet, nor which of its tokens are special."""
    if positions in ("all", "mean", "not-special"):
        return Awaited(((0, FARTHEST),))
    if positions == "span":
        return Awaited((span,))
    ranges: list[Range] = []
    tail = 0
    for begin, end in _slices(positions):
        if begin < 0:
            tail = max(tail, -begin)
        else:
            ranges.append((begin, end if end is not None and end > 0 else FARTHEST))
    return Awaited(merged(ranges), tail)


def lacking(positions: Positions, length: int) -> int | None:
    """An index that a text of `length` tokens does not have, if `positions` names one."""
    listed = positions if isinstance(positions, tuple) else ()
    return next((e for e in listed if isinstance(e, int) and not -length <= e < length), None)


def full_rows(positions: Positions) -> int | None:
    """Rows of a text that has all that is asked for; None where no number of them is."""
    if isinstance(positions, str) and not positions.startswith("last"):
        return None
    sizes = [_size(*each) for each in _slices(positions)]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def most_rows(positions: Positions, texts: int, tokens: int, span_tokens: int = 1) -> int:
    """No more rows than these are kept of `texts` texts that have `tokens` tokens together."""
    if positions in ("all", "not-special"):
        return tokens
    if positions == "mean":
        return texts
    if positions == "span":
        return min(texts * span_tokens, tokens)
    found = 0
    for size in (_size(*each) for each in _slices(positions)):
        # Of one position each text has its row: entries of a list may name the same one.
        found += tokens if size is None else texts if size == 1 else min(texts * size, tokens)
    return found


def written(positions: Positions) -> str:
    """As a file says it."""
    if isinstance(positions, str):
        return positions
    return f"[{', '.join(str(list(e) if isinstance(e, tuple) else e) for e in positions)}]"


def joined(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same positions in the same order; a range that begins where the one before ends is one with it."""
    found: list[Range] = []
    for begin, end in ranges:
        if found and found[-1][1] == begin:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    return tuple(found)


def merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Every position once, ascending."""
    found: list[Range] = []
    for begin, end in sorted(ranges):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return tuple(found)


def _slices(positions: Positions) -> Iterator[tuple[int, int | None]]:
    """Each entry of a list as a slice; `last` and `last:k` are one."""
    if isinstance(positions, str):
        yield -int(positions.partition(":")[2] or 1), None
        return
    for entry in positions:
        if isinstance(entry, int):
            yield entry, None if entry == -1 else entry + 1
        else:
            yield entry


def _size(begin: int, end: int | None) -> int | None:
    """Positions of a slice in a long text; None where that depends on how long it is."""
    if end is None:
        return -begin
    return end - begin if (begin < 0) == (end < 0) else None
