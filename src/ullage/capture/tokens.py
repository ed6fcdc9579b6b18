"""Texts become token ids with their places in the text."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from ullage.capture.chats import render_chat
from ullage.errors import InputError
from ullage.records.parts import Part
from ullage.runtime.tokenizer import Tokenizer, check_ids

LARGEST_LINE: Final = 64 * 2**20
TOGETHER: Final = 256
TOGETHER_CHARACTERS: Final = 2**20
"""So many texts, or texts of so many characters, are tokenized in one call."""
Offsets = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Tokenized:
    """One record: its id, its text where it has one, token ids, and each token's characters [begin, end).

    Special tokens and ids given as such have offsets (-1, -1). `line` is the record's in its file. `span` is
    a range of positions the record itself names, `counted` the positions that probes score of it, where it
    names these.
    """

    id: str
    text: str | None
    tokens: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]
    line: int
    span: tuple[int, int] | None = None
    counted: tuple[int, ...] = ()


def read_records(
    path: Path, text_field: str, halves: bool = False, part: Part | None = None
) -> Iterator[tuple[int, dict[str, object]]]:
    """(line number, record) of JSON lines, or of a .txt file with one text a line; of a `part` of it alone.

    Blank lines are skipped, and those that a part leaves out. Raises InputError naming the line that is
    wrong; one with half of a surrogate
    pair is, unless `halves` leaves that to whoever asks.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    with file:
        before, end = (0, None) if part is None else (part.line, part.end)
        if part is not None:
            file.seek(part.begin)
        for number, raw in enumerate(iter(partial(file.readline, LARGEST_LINE + 1), b""), before + 1):
            if end is not None and file.tell() > end:
                return
            if part is not None and number in part.rejected:
                continue
            if number == 1:
                raw = raw.removeprefix(BOM_UTF8)  # says how the file is written, and is no text of it
            if len(raw) > LARGEST_LINE:
                raise InputError(f"{path}:{number}: longer than 64 MiB; is this one record a line?")
            try:
                line = raw.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise InputError(f"{path}:{number}: not UTF-8 text") from error
            if not line.strip():
                continue
            if path.suffix == ".txt":
                yield number, {text_field: line}
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}:{number}: not JSON: {error}") from error
            if not halves and "\\ud" in line.casefold() and not is_text(record):
                raise InputError(f"{path}:{number}: holds half of a surrogate pair, which no text has")
            if not isinstance(record, dict):
                raise InputError(f"{path}:{number}: not a JSON object with {text_field!r} or 'tokens'")
            yield number, record


def count_records(path: Path) -> int:
    """How many records `read_records` finds, or how many lines that are none it would refuse; 0 for a file
    that cannot be read. No line is held."""
    try:
        with path.open("rb") as file:
            pieces = iter(partial(file.readline, LARGEST_LINE), b"")
            first = next(pieces, b"").removeprefix(BOM_UTF8).strip()
            return bool(first) + sum(1 for piece in pieces if not piece.isspace())
    except OSError:
        return 0


def is_text(record: object) -> bool:
    """Whether every text in a record could be written down."""
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def tokenize(
    records: Iterable[tuple[int, dict[str, object]]],
    where: str,
    tokenizer: Tokenizer | None,
    vocabulary: int,
    text_field: str,
    special_tokens: bool,
    part: Part | None = None,
) -> Iterator[Tokenized]:
    """Record after record as token ids; no more are held than are read together. Raises InputError naming
    record and field for what cannot be one, after those before it, and where there are none at all.

    Of a `part` there may be none left; a record without an id is called by its place in the whole input.
    """
    count = 0
    first = 0 if part is None else part.item
    for some in _together(_texts(records, where, tokenizer, vocabulary, text_field, first)):
        for each, (tokens, offsets) in zip(some, _encoded(some, tokenizer, special_tokens), strict=True):
            place = f"{where}:{each.line}"
            if each.text is not None and tokenizer is not None:
                check_ids(tokens, vocabulary, tokenizer, place)
            if not tokens:
                raise InputError(f"{place}: record {each.id!r} has no tokens; remove it")
            one = Tokenized(each.id, each.text, tokens, offsets, each.line)
            count += 1
            one = _with_counted(one, each.record["counted"], place) if "counted" in each.record else one
            yield _with_span(one, each.record["span"], place) if "span" in each.record else one
    if not count and part is None:
        raise InputError(f"{where}: holds no records")


@dataclass(frozen=True, slots=True)
class _Read:
    """A record before its text is token ids; `tokens` are those of one that names them, and has no text.
    `chat` says that a template has written its special tokens."""

    id: str
    record: Mapping[str, object]
    line: int
    text: str | None = None
    tokens: tuple[int, ...] = ()
    chat: bool = False


def _texts(
    records: Iterable[tuple[int, dict[str, object]]],
    where: str,
    tokenizer: Tokenizer | None,
    vocabulary: int,
    text_field: str,
    first: int,
) -> Iterator[_Read]:
    for count, (number, record) in enumerate(records, first):
        place = f"{where}:{number}"
        name = str(record.get("id", count))
        if "tokens" in record:
            tokens = _given_tokens(record["tokens"], vocabulary, place)
            yield _Read(name, record, number, tokens=tokens)
        else:
            text = _text_of(record, place, tokenizer, text_field)
            yield _Read(name, record, number, text, chat=text_field not in record)


def _together(coming: Iterator[_Read]) -> Iterator[list[_Read]]:
    """Records that are tokenized together; what is wrong with one is raised after those before it."""
    held: list[_Read] = []
    characters = 0
    try:
        for each in coming:
            held.append(each)
            characters += len(each.text or "")
            if len(held) == TOGETHER or characters >= TOGETHER_CHARACTERS:
                yield held
                held, characters = [], 0
    except InputError:
        if held:
            yield held
        raise
    if held:
        yield held


def _encoded(
    some: Sequence[_Read], tokenizer: Tokenizer | None, special_tokens: bool
) -> Iterator[tuple[tuple[int, ...], Offsets]]:
    """Token ids and offsets of each, in order."""
    found: dict[int, tuple[tuple[int, ...], Offsets]] = {}
    for special in (True, False):
        places = [
            at
            for at, each in enumerate(some)
            if each.text is not None and (special_tokens and not each.chat) == special
        ]
        texts = [some[at].text or "" for at in places]
        if texts and tokenizer is not None:
            found |= zip(places, encode(tokenizer, texts, special), strict=True)
    for at, each in enumerate(some):
        yield found[at] if at in found else (each.tokens, ((-1, -1),) * len(each.tokens))


def _given_tokens(value: object, vocabulary: int, place: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(token) is int for token in value):
        raise InputError(f"{place}: tokens: not a list of whole numbers")
    wrong = next((token for token in value if not 0 <= token < vocabulary), None)
    if wrong is not None:
        raise InputError(f"{place}: tokens: {wrong} is not in the vocabulary of {vocabulary:,}")
    return tuple(value)


def _text_of(record: Mapping[str, object], place: str, tokenizer: Tokenizer | None, text_field: str) -> str:
    chat = text_field not in record and "messages" in record
    given = record.get(text_field)
    if not chat and not isinstance(given, str):
        have = ", ".join(list(record)[:8]) or "nothing"
        raise InputError(f"{place}: no text under {text_field!r} (it has: {have}); set text_field, or tokens")
    if tokenizer is None:
        raise InputError(f"{place}: the model's folder has no tokenizer; give records with 'tokens' instead")
    return given if isinstance(given, str) else _chat(record["messages"], place, tokenizer)


def encode(
    tokenizer: Tokenizer, texts: list[str], special: bool
) -> Iterator[tuple[tuple[int, ...], Offsets]]:
    """Token ids of each text, and each one's characters [begin, end); (-1, -1) of special ones, and of all
    where the tokenizer cannot tell."""
    if not tokenizer.is_fast:
        for ids in tokenizer(texts, add_special_tokens=special)["input_ids"]:
            yield tuple(ids), ((-1, -1),) * len(ids)
        return
    encoded = tokenizer(
        texts, add_special_tokens=special, return_offsets_mapping=True, return_special_tokens_mask=True
    )
    each = zip(encoded["input_ids"], encoded["offset_mapping"], encoded["special_tokens_mask"], strict=True)
    for ids, pairs, added in each:
        offsets = tuple((-1, -1) if own else pair for pair, own in zip(pairs, added, strict=True))
        yield tuple(ids), offsets


def _chat(messages: object, place: str, tokenizer: Tokenizer) -> str:
    """A chat as the model's template writes it; one that ends with a question invites the answer."""
    said = messages if isinstance(messages, list) else []
    if not said or not all(
        isinstance(one, dict) and isinstance(one.get("role"), str) and isinstance(one.get("content"), str)
        for one in said
    ):
        raise InputError(f"{place}: messages: not a list of objects with 'role' and 'content', both text")
    return render_chat(tokenizer, said, f"{place}: messages", said[-1]["role"] != "assistant")


def _with_span(one: Tokenized, span: object, place: str) -> Tokenized:
    """Tokens that touch characters [begin, end) of the text; of records of ids, positions themselves."""
    limit = len(one.tokens) if one.text is None else len(one.text)
    what = "positions" if one.text is None else "characters"
    given = span if isinstance(span, list) and all(type(each) is int for each in span) else []
    if len(given) != 2 or not 0 <= given[0] < given[1] <= limit:
        raise InputError(f"{place}: span: {span!r} is not [begin, end) {what} of the {limit:,} there are")
    begin, end = given
    if one.text is None:
        return replace(one, span=(begin, end))
    inside = _touching(one, begin, end)
    if not inside:
        raise InputError(f"{place}: span: no token lies in characters {begin} to {end}")
    return replace(one, span=(inside[0], inside[-1] + 1))


def _with_counted(one: Tokenized, ranges: object, place: str) -> Tokenized:
    """Tokens that touch any of several ranges of characters."""
    given = ranges if isinstance(ranges, list) else []
    pairs = [each for each in given if isinstance(each, list) and len(each) == 2]
    if len(pairs) != len(given) or not all(type(end) is int for each in pairs for end in each):
        raise InputError(f"{place}: counted: not a list of [begin, end) of characters")
    found = {at for begin, end in pairs for at in _touching(one, begin, end)}
    if not found:
        raise InputError(f"{place}: counted: no token lies in {ranges!r}")
    return replace(one, counted=tuple(sorted(found)))


def _touching(one: Tokenized, begin: int, end: int) -> list[int]:
    """Positions of tokens with a character of the text's [begin, end)."""
    return [at for at, (low, high) in enumerate(one.offsets) if low < end and high > begin]
