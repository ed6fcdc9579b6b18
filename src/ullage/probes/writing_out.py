"""Labelled dialogues as the texts a model reads, each with the range of characters that counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ullage.capture.tokens import encode
from ullage.errors import InputError
from ullage.probes.labels import Labelled, Mistakes
from ullage.probes.standing import Frames, written
from ullage.runtime.tokenizer import Tokenizer
from ullage.spec.positions import Range


@dataclass(frozen=True, slots=True)
class Written:
    """A dialogue as it is read: `text`, of which `span` holds all that counts, and `counted` are its ranges;
    `tokens` of it all, and `span_tokens` of what lies within the span."""

    id: str
    text: str
    span: Range
    tokens: int
    span_tokens: int
    counted: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class WrittenOut:
    """What can be read, whether the tokenizer adds its special tokens to it, and ids of what is too long."""

    texts: tuple[Written, ...]
    special_tokens: bool
    too_long: tuple[str, ...]


ROOM: Final = "the model has room for {:,}; shorten it, or leave such out: --skip-too-long"


def write_out(
    labelled: Sequence[Labelled],
    tokenizer: Tokenizer,
    window: int | None,
    where: str,
    skip_too_long: bool,
    room: str = ROOM,
) -> WrittenOut:
    """Every dialogue, messages as the model's template writes them; `room` says what the window is.

    Raises InputError, with a line for each, for what counts and stands nowhere, for spans without a token,
    and for dialogues longer than `window` tokens unless these may be skipped.
    """
    mistakes = Mistakes(where)
    texts: list[tuple[Labelled, str, list[Range]]] = []
    frames = Frames(lambda: tokenizer)
    for one in labelled:
        try:
            text = one.text if one.text is not None else written(one.messages, tokenizer)
            frame = frames.of(one.messages) if one.messages else None
        except InputError as error:
            mistakes.add(one.line, str(error))
            continue
        counted = one.counted(text, frame)
        if counted is None:
            mistakes.add(
                one.line, "what counts does not stand in the dialogue as the model's template writes it"
            )
        else:
            texts.append((one, text, counted))
    special = not any(one.messages for one in labelled)
    kept, too_long = [], []
    encoded = encode(tokenizer, [text for _, text, _ in texts], special)
    for (one, text, ranges), (ids, offsets) in zip(texts, encoded, strict=True):
        span = ranges[0][0], ranges[-1][1]
        inside = [at for at, (low, high) in enumerate(offsets) if low < span[1] and high > span[0]]
        if not inside:
            mistakes.add(one.line, f"no token lies in characters {span[0]} to {span[1]}")
        elif window is not None and len(ids) > window:
            too_long.append(one.id)
            if not skip_too_long:
                mistakes.add(
                    one.line,
                    f"dialogue {one.id!r} has {len(ids):,} tokens, and {room.format(window)}",
                )
        else:
            kept.append(Written(one.id, text, span, len(ids), inside[-1] + 1 - inside[0], tuple(ranges)))
    mistakes.tell()
    if not kept:
        raise InputError(f"{where}: every dialogue is longer than the {window:,} tokens there is room for")
    return WrittenOut(tuple(kept), special, tuple(too_long))
