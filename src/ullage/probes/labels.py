"""Labelled dialogues, read from JSON lines: what was said, its label, and which of it counts.

    {"id": "a1", "messages": [...], "label": 1, "group": "France", "set": "capitals"}
    {"text": "The capital of France is Paris.", "label": 1, "span": [24, 29]}
    {"honest": "Tell the truth.", "deceptive": "Lie.", "messages": [...]}

Of messages those with `"detect": true` count, and where none has it the last one; of a text its `span`, or
all of it. Records without a `label` that give two instructions are two dialogues, of label 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ullage.capture.tokens import read_records
from ullage.errors import InputError
from ullage.probes.standing import Frame, Message, sure
from ullage.spec.positions import Range

MOST_TOLD: Final = 20
"""Mistakes that are told one by one."""
LABELS: Final[Mapping[object, bool]] = {0: False, 1: True, "honest": False, "deceptive": True}
INSTRUCTIONS: Final = ("honest", "deceptive")


@dataclass(frozen=True, slots=True)
class Labelled:
    """One dialogue: its `text`, or `messages` of which those in `detect` count; `span` is of the text.

    `label` is None only where none is asked for. `group` is "" where the record names none, and so are `pair`
    and `set`.
    """

    id: str
    line: int
    label: bool | None
    group: str = ""
    pair: str = ""
    set: str = ""
    text: str | None = None
    span: Range | None = None
    messages: tuple[Message, ...] = ()
    detect: tuple[int, ...] = ()

    @property
    def silent(self) -> bool:
        """Whether it is a text in which nothing was said, as an answer may be."""
        return not self.messages and not (self.text or "").strip()

    @property
    def own_group(self) -> str:
        """What it may not be parted from: its group, its pair, or itself."""
        return self.group or self.pair or self.id

    def without_roles(self) -> Labelled:
        """The same without the instructions that say who is speaking: its system messages."""
        kept = [at for at, one in enumerate(self.messages) if one["role"] != "system"]
        detect = tuple(kept.index(at) for at in self.detect if at in kept)
        return replace(self, messages=tuple(self.messages[at] for at in kept), detect=detect)

    def counted(self, text: str, frame: Frame | None = None) -> list[Range] | None:
        """Characters [begin, end) of what counts in the dialogue as it was written out; None where it has no
        place there that is sure. `frame` is what the template writes around the messages."""
        if not self.messages:
            return [self.span or (0, len(text))]
        said = [message["content"] for message in self.messages]
        places = None if frame is None else frame.standing(said, text)
        if places is None:
            places = sure([each.strip() for each in said], text)
        found = [place for at in self.detect if said[at].strip() for place in [places[at]]]
        return [place for place in found if place is not None] if found and None not in found else None


@dataclass(slots=True)
class Mistakes:
    """What is wrong with a file, gathered so that it can be told at once."""

    where: str
    lines: list[str] = field(default_factory=list)

    def add(self, place: int | str, problem: str) -> None:
        """What is wrong in a line of the file, or with all of it where `place` is ""."""
        self.lines.append(f"{self.where}:{place}: {problem}" if place else f"{self.where}: {problem}")

    def tell(self) -> None:
        """Raises InputError with a line each, where there are any."""
        if not self.lines:
            return
        more = len(self.lines) - MOST_TOLD
        rest = [f"{self.where}: and {more:,} more mistakes"] if more > 0 else []
        raise InputError(*self.lines[:MOST_TOLD], *rest)


def read_labels(path: Path | str, *, unlabelled: bool = False, silent: bool = False) -> list[Labelled]:
    """Every dialogue of a file. Raises InputError, with a line for each mistake: a label that is missing or
    of one class only (unless `unlabelled`), an id that stands twice, what is no dialogue, a text in which
    nothing was said (unless `silent` ones are taken)."""
    mistakes = Mistakes(str(path))
    found: list[Labelled] = []
    for count, (line, record) in enumerate(read_records(Path(path), "text")):
        name = str(record.get("id", count))
        found += _dialogues(record, name, line, unlabelled, mistakes)
    seen: dict[str, int] = {}
    for one in found:
        if one.silent and not silent:
            mistakes.add(one.line, "its text is empty, and has no token to read; leave it out")
        if one.id in seen:
            mistakes.add(one.line, f"id {one.id!r} stands in line {seen[one.id]} already")
        seen.setdefault(one.id, one.line)
    kinds = {bool(one.messages) for one in found}
    if len(kinds) > 1:
        mistakes.add(
            "", "holds records of messages and of text; give each a file, as only the first are templated"
        )
    if not found and not mistakes.lines:
        mistakes.add("", "holds no records")
    labels = {one.label for one in found}
    if not unlabelled and not mistakes.lines and len(labels) < 2:
        mistakes.add(
            "", f"every label is {int(bool(labels.pop()))}; nothing can be told apart: add the other class"
        )
    mistakes.tell()
    return found


def _dialogues(
    record: Mapping[str, object], name: str, line: int, unlabelled: bool, mistakes: Mistakes
) -> Iterator[Labelled]:
    """The dialogues of one record: one, two of a pair, none where it is wrong."""
    texts: dict[str, str] = {}
    for key in ("group", "pair", "set"):
        value = record.get(key, "")
        if not isinstance(value, str | int) or isinstance(value, bool):
            mistakes.add(line, f"{key}: {value!r} is no name")
            return
        texts[key] = str(value)
    one = Labelled(name, line, None, texts["group"], texts["pair"], texts["set"])
    if all(key in record for key in INSTRUCTIONS):
        yield from _pair(record, one, mistakes)
        return
    label = _label(record, line, unlabelled, mistakes)
    said = _said(record, one, mistakes)
    if said is not None:  # without its label too: whatever else is wrong is told with that
        yield replace(said, label=label)


def _label(record: Mapping[str, object], line: int, unlabelled: bool, mistakes: Mistakes) -> bool | None:
    given = record.get("label")
    if given is None:
        if not unlabelled:
            mistakes.add(line, "no label; give 0 or 1, honest or deceptive")
        return None
    found = LABELS.get(given) if isinstance(given, int | str) else None
    if found is None:
        mistakes.add(line, f"label: {given!r} is not 0 or 1, honest or deceptive")
    return found


def _pair(record: Mapping[str, object], one: Labelled, mistakes: Mistakes) -> Iterator[Labelled]:
    """The same messages under both instructions."""
    said = _said(record, one, mistakes)
    if "label" in record:
        mistakes.add(one.line, "gives two instructions and a label; which of them is it of? remove one")
        return
    for key, label in zip(INSTRUCTIONS, (False, True), strict=True):
        if not isinstance(record[key], str):
            mistakes.add(one.line, f"{key}: not a text")
        elif said is not None and not said.messages:
            mistakes.add(one.line, f"{key}: an instruction needs messages that it stands before")
        elif said is not None:
            yield replace(
                said,
                id=f"{one.id}:{key}",
                label=label,
                pair=one.pair or one.id,
                messages=({"role": "system", "content": str(record[key])}, *said.messages),
                detect=tuple(at + 1 for at in said.detect),
            )


def _said(record: Mapping[str, object], one: Labelled, mistakes: Mistakes) -> Labelled | None:
    """What was said; None, and a mistake, where that is not there."""
    if "messages" not in record:
        text, span = record.get("text", record.get("statement")), record.get("span")
        if not isinstance(text, str):
            have = ", ".join(list(record)[:8]) or "nothing"
            mistakes.add(one.line, f"neither messages nor a text (it has: {have})")
            return None
        if span is None:
            return replace(one, text=text)
        given = span if isinstance(span, list) and all(type(each) is int for each in span) else []
        if len(given) != 2 or not 0 <= given[0] < given[1] <= len(text):
            mistakes.add(one.line, f"span: {span!r} is not [begin, end) of the {len(text):,} characters")
            return None
        return replace(one, text=text, span=(given[0], given[1]))
    messages = record["messages"]
    said = messages if isinstance(messages, list) else []
    if not said or not all(
        isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str)
        for m in said
    ):
        mistakes.add(one.line, "messages: not a list of objects with 'role' and 'content', both text")
        return None
    detect = tuple(at for at, message in enumerate(said) if message.get("detect") is True)
    if not detect and any("detect" in message for message in said):
        mistakes.add(one.line, "messages: none has detect: true, so that nothing counts")
        return None
    kept = tuple({"role": m["role"], "content": m["content"]} for m in said)
    return replace(one, messages=kept, detect=detect or (len(kept) - 1,))
