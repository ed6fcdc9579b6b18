"""Questions with their references, from the records of any data set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from ullage.errors import InputError, nearest
from ullage.kinds.evaluate.ids import Ids

Record = Mapping[str, object]
ELSEWHERE: Final = ("answer", "answers", "target", "gold", "label", "expected", "truth", "output")
"""Where data sets have their references, if nowhere of a like name."""


class UnreadableError(InputError):
    """A record whose question cannot be read, by no fault of the settings; the others can be asked."""


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to ask. Without `references` it is unanswerable: right is to say so.

    `history` are earlier questions of a conversation with their reference answers, oldest first.
    """

    id: str
    question: str
    references: tuple[str, ...]
    context: str = ""
    history: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Fields:
    """Where a record holds what: dotted paths, as `answer.aliases`. References may be one text or a list; a
    path goes through every entry of a list on its way."""

    question: str = "question"
    references: str | None = "references"
    context: str | None = None
    id: str = "id"

    def read(self, record: Record, place: str, number: int) -> Iterator[Question]:
        """The record's question. Raises InputError naming the field that is missing or of a wrong type."""
        identity = _find(record, self.id, f"{place}-{number}")
        yield Question(
            str(identity),
            _text(record, self.question, place),
            _texts(_find(record, self.references, None), self.references, place) if self.references else (),
            _text(record, self.context, place) if self.context else "",
        )

    def lacking(self, records: Iterable[Record]) -> str:
        """What is wrong where no record has references, by the nearest field that they have; "" where one
        has, or where there are to be none."""
        have: dict[str, None] = {}
        for record in records:
            if self.references is None or _find(record, self.references, record) is not record:
                return ""
            have |= dict.fromkeys(map(str, record))
        found = [*nearest(self.references or "", have), *(name for name in ELSEWHERE if name in have)]
        like = f"nearest: {found[0]!r}" if found else f"they have: {', '.join([*have][:8])}"
        return (
            f"no record has the field {self.references!r} ({like}); set evaluate.fields.references, or null "
            "where there are none"
        )


def _trivia_qa(record: Record, place: str, number: int) -> Iterator[Question]:
    answer = _object(record, "answer", place)
    references = [answer.get("value"), *_entries(answer, "aliases")]
    yield Question(
        str(record.get("question_id", number)),
        _text(record, "question", place),
        _texts([one for one in references if one], "answer", place),
    )


def _squad_v2(record: Record, place: str, number: int) -> Iterator[Question]:
    answers = _object(record, "answers", place)
    yield Question(
        str(record.get("id", number)),
        _text(record, "question", place),
        _texts(answers.get("text"), "answers.text", place),
        _text(record, "context", place),
    )


def _natural_questions(record: Record, place: str, number: int) -> Iterator[Question]:
    references = _texts(record.get("answer"), "answer", place)
    yield Question(str(record.get("id", number)), _text(record, "question", place), references)


def _bioasq(record: Record, place: str, number: int) -> Iterator[Question]:
    exact = record.get("exact_answer", record.get("ideal_answer"))
    nested = exact if isinstance(exact, list) else [exact]
    flat = [one for each in nested for one in (each if isinstance(each, list) else [each])]
    snippets = [str(one.get("text", "")) for one in _entries(record, "snippets") if isinstance(one, dict)]
    yield Question(
        str(record.get("id", number)),
        _text(record, "body", place),
        _texts([one for one in flat if one], "exact_answer", place),
        "\n".join(snippets),
    )


def _svamp(record: Record, place: str, number: int) -> Iterator[Question]:
    answer = record.get("Answer")
    if isinstance(answer, float) and answer.is_integer():
        answer = int(answer)  # the published file writes whole numbers as 8.0
    body, question = _text(record, "Body", place), _text(record, "Question", place)
    yield Question(
        str(record.get("ID", number)), f"{body.rstrip('. ')}. {question}", _texts(answer, "Answer", place)
    )


def _coqa(record: Record, place: str, number: int) -> Iterator[Question]:
    """Every turn, with the turns before it."""
    story = _text(record, "story", place)
    asked = [_spoken(one) for one in _list(record, "questions", place)]
    told = record.get("answers")
    told = told.get("input_text") if isinstance(told, Mapping) else told
    if not isinstance(told, Sequence) or isinstance(told, str) or len(told) != len(asked):
        raise InputError(f"{place}: answers: not as many as the {len(asked)} questions")
    answers = [_spoken(one) for one in told]
    name = str(record.get("id", number))
    for turn, (question, answer) in enumerate(zip(asked, answers, strict=True)):
        before = tuple(zip(asked[:turn], answers[:turn], strict=True))
        references = () if answer.strip().lower() == "unknown" else (answer,)
        yield Question(f"{name}-{turn}", question, references, story, before)


def _spoken(value: object) -> str:
    return str(value.get("input_text", "")) if isinstance(value, Mapping) else str(value)


Records = Callable[[], Iterator[tuple[str, int, Record]]]
"""Reads records from the first on, each with its file and number."""
Reader = Callable[[Record, str, int], Iterator[Question]]
FORMATS: Final[dict[str, Reader]] = {
    "triviaqa": _trivia_qa,
    "squad_v2": _squad_v2,
    "natural_questions": _natural_questions,
    "bioasq": _bioasq,
    "svamp": _svamp,
    "coqa": _coqa,
}
"""Published data sets, row by row as the Hugging Face hub holds them (BioASQ: the entries of `questions`)."""


Unread = Callable[[str], None]
"""Is told of each record that cannot be read, and why."""


def read_questions(
    records: Records, read: Reader, limit: int | None = None, unread: Unread = lambda reason: None
) -> Iterator[tuple[int, Question]]:
    """The questions of records, each with the number of its record, one by one; at most `limit`.

    Raises InputError for a record that holds none, naming its place, and for two questions of one id; of
    those read, a hash of each id is held. A record that is no text, or whose reference is no number, is left
    out, and `unread` is told.
    """
    seen = Ids()
    coming = _placed(records, read, unread)
    for place, number, question in coming if limit is None else islice(coming, limit):
        if not seen.add(question.id):
            again = _placed(records, read, lambda reason: None)
            first = next(where for where, _, one in again if one.id == question.id)
            raise InputError(f"{place}: id {question.id!r} is that of {first} too")
        yield number, question


def _placed(records: Records, read: Reader, unread: Unread) -> Iterator[tuple[str, int, Question]]:
    """Each question with the place and the number of its record."""
    for where, number, record in records():
        place = f"{where}:{number}"
        try:
            found = [*read(record, place, number)]
            if not all(map(_is_text, found)):
                raise UnreadableError(f"{place}: holds half of a surrogate pair, which no text has")
        except UnreadableError as error:
            unread(str(error))
            continue
        yield from ((place, number, question) for question in found)


def _is_text(one: Question) -> bool:
    """Whether it could be written down."""
    said = (one.id, one.question, one.context, *one.references, *chain.from_iterable(one.history))
    try:
        "".join(said).encode()
    except UnicodeEncodeError:
        return False
    return True


def _find(record: Record, path: str, otherwise: object) -> object:
    value: object = record
    names = path.split(".")
    for place, name in enumerate(names):
        if isinstance(value, list) and value:
            return _of_each(value, ".".join(names[place:]), otherwise)
        if not isinstance(value, Mapping) or name not in value:
            return otherwise
        value = value[name]
    return value


def _of_each(values: Sequence[object], path: str, otherwise: object) -> object:
    """What `path` leads to in every entry that has it, as `answers.text` of `[{"text": "Paris"}]`."""
    found = [_find(each, path, []) for each in values if isinstance(each, Mapping)]
    return [one for each in found for one in (each if isinstance(each, list) else [each])] or otherwise


def _text(record: Record, path: str, place: str) -> str:
    value = _find(record, path, None)
    if not isinstance(value, str) or not value.strip():
        have = ", ".join(list(record)[:8]) or "nothing"
        raise InputError(f"{place}: no text under {path!r} (it has: {have}); set evaluate.fields")
    return value.strip()


def _texts(value: object, path: str, place: str) -> tuple[str, ...]:
    """One text or number, or a list of them, without repetitions; none at all for null or an empty list."""
    several = [] if value is None else list(value) if isinstance(value, list | tuple) else [value]
    if not all(isinstance(one, str | int | float) and not isinstance(one, bool) for one in several):
        raise InputError(f"{place}: {path}: not a text or a list of texts{_inside(several, path)}")
    if any(isinstance(one, float) and not math.isfinite(one) for one in several):
        raise UnreadableError(f"{place}: {path}: is NaN or infinite, which is no reference")
    return tuple(dict.fromkeys(str(one).strip() for one in several if str(one).strip()))


def _inside(several: Sequence[object], path: str) -> str:
    """Where the texts may be, for whoever named an object that holds them."""
    names = [*dict.fromkeys(str(name) for one in several if isinstance(one, Mapping) for name in one)][:8]
    if not names:
        return ""
    likely = next((name for name in ("text", "aliases", "value", "answer") if name in names), names[0])
    return f" (it has: {', '.join(names)}); set evaluate.fields.references, as {path}.{likely}"


def _object(record: Record, name: str, place: str) -> Record:
    value = record.get(name)
    if not isinstance(value, dict):
        raise _not_there(name, "an object", place)
    return value


def _list(record: Record, name: str, place: str) -> list[object]:
    value = record.get(name)
    if not isinstance(value, list):
        raise _not_there(name, "a list", place)
    return value


def _entries(record: Record, name: str) -> list[object]:
    """A list that may be missing."""
    value = record.get(name)
    return value if isinstance(value, list) else []


def _not_there(name: str, what: str, place: str) -> InputError:
    return InputError(f"{place}: {name}: is missing or not {what}; is this the format it is said to be?")
