"""Rows of a run's answers: what is kept of each request, and read back."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ullage.fields import Fields
from ullage.kinds.assistant.requests import Talk, owner_of
from ullage.kinds.assistant.turn import Said, Turn
from ullage.records.lines import read_lines

ANSWERS, PICTURES = "answers", "pictures"
WHOLE = "whole"
"""Beside the seconds of a request's stages, in the journal: those until its answer was there, the stages of
others that were answered side by side with it included."""


def answer_row(turn: Turn) -> dict[str, object]:
    """One request, by whom it was answered and how; `voice` is null where the voice said nothing, and
    `development` true where a script stood in for every model."""
    request, route = turn.request, turn.route
    assert route is not None
    chosen = route.chosen
    return {
        "id": request.id,
        "conversation": request.conversation,
        "user": request.user or None,
        "text": request.text,
        "image": None if request.image is None else request.image.name,
        "route": {
            "to": route.to,
            "how": route.how,
            "label": chosen.label,
            "confidence": chosen.confidence,
            "probabilities": dict(chosen.probabilities),
            "weight": chosen.weight,
            "written": chosen.written or None,
            "problem": route.problem or None,
        },
        "development": turn.development,
        "specialist": turn.specialist,
        "notes": list(turn.notes),
        "turns_left_out": turn.left_out,
        "tools": [
            {"name": one.name, "arguments": one.arguments, "text": one.text, "failed": one.failed}
            for one in turn.tools
        ],
        "answer": turn.answer or None,
        "stop": turn.stop or None,
        "voice": turn.voice or None,
        "picture": turn.painted or None,
        "problems": turn.problems,
        "failed": turn.failed or None,
    }


def picture_row(turn: Turn) -> dict[str, object]:
    """The picture that answers a request, a PNG file in base 64."""
    return {"id": turn.request.id, "png": b64encode(turn.picture).decode()}


@dataclass(frozen=True, slots=True)
class Kept:
    """What a row says of a request, for those that follow and for the summary."""

    id: str
    talk: Talk
    said: Said | None
    specialist: str
    fell_back: bool
    failed: str


def read_answers(folder: Path) -> Iterator[Kept]:
    """Every answer kept so far. Raises FormatError naming a line that is none."""
    path = folder / f"{ANSWERS}.jsonl"
    for number, row in enumerate(read_lines(path), 1):
        found = Fields(row, f"{path}:{number}")
        answer = row.get("voice") or row.get("answer")
        said = Said(found.text("text"), str(answer)) if answer else None
        talk = found.text("conversation")
        yield Kept(
            found.text("id"),
            (owner_of(str(row.get("user") or ""), talk), talk),
            said,
            found.text("specialist"),
            bool(found.inner("route").value("problem")),
            str(row.get("failed") or ""),
        )
