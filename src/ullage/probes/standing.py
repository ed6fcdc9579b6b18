"""Where messages stand in a dialogue as a model's template wrote it out.

A message may say what the template says too: `user`, `assistant`, a letter. So its place is counted: the
template written with marks instead of messages is a `Frame`, which says how much stands before each. Where no
template is at hand, a place is found by looking, and only where no other is possible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ullage.capture.chats import render_chat
from ullage.runtime.tokenizer import Tokenizer
from ullage.spec.positions import Range

Message = Mapping[str, str]
MARK: Final = "\ue000{}\ue001"
"""Stands for a message, by its number: characters that no text has a use for."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a template writes around messages: `pieces`, one more than there are `numbers`, which say whose
    message stands between two of them."""

    pieces: tuple[str, ...]
    numbers: tuple[int, ...]

    def standing(self, said: Sequence[str], text: str) -> list[Range | None] | None:
        """Characters [begin, end) of each message in `text`, None of one that is not written; None where the
        text is not what this frame and these messages make."""
        found: list[Range | None] = [None] * len(said)
        at = len(self.pieces[0])
        if not text.startswith(self.pieces[0]):
            return None
        for place, (number, piece) in enumerate(zip(self.numbers, self.pieces[1:], strict=True)):
            last = place == len(self.numbers) - 1
            end = _end(said[number], text, at, piece, last)
            if end is None:
                return None
            content = text[at:end]
            found[number] = at + len(content) - len(content.lstrip()), at + len(content.rstrip())
            at = end + len(piece)
        return found


@dataclass(slots=True)
class Frames:
    """Frames of one tokenizer's template, by the roles of the messages; `tokenizer` gives it, or None, and is
    called where a frame is asked for."""

    tokenizer: Callable[[], Tokenizer | None]
    _known: dict[tuple[str, ...], Frame | None] = field(default_factory=dict)

    def of(self, messages: Sequence[Message]) -> Frame | None:
        """None where there is no template. Raises InputError where it refuses such messages."""
        roles = tuple(one["role"] for one in messages)
        if roles not in self._known:
            tokenizer = self.tokenizer()
            has = tokenizer is not None and tokenizer.chat_template
            self._known[roles] = _frame(roles, tokenizer) if has and tokenizer is not None else None
        return self._known[roles]


def written(messages: Sequence[Message], tokenizer: Tokenizer) -> str:
    """Messages as the tokenizer's template writes them; those that end with a question invite the answer."""
    return render_chat(tokenizer, messages, "messages", messages[-1]["role"] != "assistant")


def _frame(roles: Sequence[str], tokenizer: Tokenizer) -> Frame:
    marked = [{"role": role, "content": MARK.format(at)} for at, role in enumerate(roles)]
    text = written(marked, tokenizer)
    pieces, numbers, begin = [], [], 0
    places = sorted(
        (place, at) for at in range(len(roles)) for place in [text.find(MARK.format(at))] if place >= 0
    )
    for place, at in places:
        pieces.append(text[begin:place])
        numbers.append(at)
        begin = place + len(MARK.format(at))
    return Frame((*pieces, text[begin:]), tuple(numbers))


def sure(said: Sequence[str], text: str) -> list[Range | None]:
    """Where each message stands, found by looking for all in their order; None of one that could stand in
    more than one place, and of all where one is not there."""
    nowhere: list[Range | None] = [None] * len(said)
    first, after = [], 0
    for each in said:
        begin = _next(each, text, after)
        if begin < 0:
            return nowhere
        after = begin + len(each)
        first.append((begin, after))
    last, before = [], len(text)
    for each in reversed(said):
        begin = _last(each, text, before)
        if begin < 0:
            return nowhere
        last.append((begin, begin + len(each)))
        before = begin
    return [one if one == other else None for one, other in zip(first, reversed(last), strict=True)]


def _end(content: str, text: str, at: int, piece: str, last: bool) -> int | None:
    """Where a message ends that begins at `at`, as it was given or without its outer spaces."""
    for shape in (content, content.strip(), content.lstrip(), content.rstrip()):
        end = at + len(shape)
        if (
            text.startswith(shape, at)
            and text.startswith(piece, end)
            and (not last or end + len(piece) == len(text))
        ):
            return end
    return None


def _next(said: str, text: str, after: int) -> int:
    """The first place from `after` on, of whole words where there is one."""
    first = begin = text.find(said, after)
    while begin >= 0 and said:
        if _whole(said, text, begin):
            return begin
        begin = text.find(said, begin + 1)
    return first


def _last(said: str, text: str, before: int) -> int:
    """The last place before `before`, of whole words where there is one."""
    last = begin = text.rfind(said, 0, before)
    while begin >= 0 and said:
        if _whole(said, text, begin):
            return begin
        begin = text.rfind(said, 0, begin + len(said) - 1)
    return last


def _whole(said: str, text: str, begin: int) -> bool:
    """Whether it is no part of a longer word, as an answer `A` is of a template's `Assistant`."""
    end = begin + len(said)
    joined = said[0].isalnum() and text[max(begin - 1, 0) : begin].isalnum()
    return not joined and not (said[-1].isalnum() and text[end : end + 1].isalnum())
