"""Single requests as the page of an assistant shows them."""

from __future__ import annotations

import io
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ullage.engines.pictures import open_picture
from ullage.errors import InputError, MissingExtraError
from ullage.fields import Fields
from ullage.kinds.assistant.memory.chroma_memory import id_of
from ullage.kinds.assistant.requests import Request
from ullage.kinds.assistant.rows import WHOLE
from ullage.kinds.assistant.summary import Row, Taken

FILTERS: Final = {
    "all": "All",
    "failed": "Failed",
    "problem": "Problems",
    "fell": "Fell back",
    "replaced": "Replaced",
    "switched": "Switched",
    "pictures": "Pictures",
}
SHOWN: Final = 400
"""Requests on a page."""
SIDE: Final = 640
"""Pixels of the longer side of a picture that was given, as it is shown."""
ROOM: Final = 24 * 2**20
"""Bytes of pictures on a page."""


@dataclass(slots=True)
class Pictures:
    """What is shown of the pictures of a run. Invariant: `room` is what is left of a page's."""

    given: Mapping[str, Request]
    painted: Mapping[str, str]
    room: int = ROOM
    _seen: dict[str, dict[str, str]] = field(default_factory=dict)

    def of_request(self, id: str, name: str) -> dict[str, str]:
        """The picture that came with a request, made smaller, or why it is not shown."""
        request = self.given.get(id)
        path = None if request is None else request.image
        if path is None:
            return {"data": "", "said": f"{name}: the requests do not name it any more"}
        if str(path) not in self._seen:
            try:
                picture = open_picture(path)
                size = picture.size
                picture.thumbnail((SIDE, SIDE))
                file = io.BytesIO()
                picture.save(file, "PNG")
            except (InputError, MissingExtraError) as error:
                self._seen[str(path)] = {"data": "", "said": f"{name}: {error}"}
            else:
                data = self._within(b64encode(file.getvalue()).decode())
                said = f"{name}, {size[0]:,} x {size[1]:,} pixels, as it is now{_unless(data)}"
                self._seen[str(path)] = {"data": data, "said": said}
        return self._seen[str(path)]

    def of_answer(self, id: str, about: Fields) -> dict[str, str]:
        """The picture that answers a request, bit for bit."""
        width, height = about.array("size")
        data = self._within(self.painted.get(id, ""))
        cut = about.whole("cut")
        said = f"{width} x {height} pixels, {about.whole('steps')} steps, seed {about.whole('seed')}"
        said += f"; {cut:,} tokens of the request were too many to be read" if cut else ""
        return {"data": data, "said": said + _unless(data)}

    def _within(self, data: str) -> str:
        """The same, or nothing where the page has no room for it."""
        if len(data) > self.room:
            return ""
        self.room -= len(data)
        return data


def _unless(data: str) -> str:
    return "" if data else "; the page has no room for it: see pictures.jsonl"


def marks(row: Row, taken: Taken) -> list[str]:
    """The filters that a request passes, but for `all`."""
    found = Fields(row, "an answer")
    to, specialist = found.inner("route").text("to"), found.text("specialist")
    passed = {
        "failed": row.get("failed"),
        "problem": row.get("problems"),
        "fell": found.inner("route").value("problem"),
        "replaced": specialist != to,
        "switched": specialist in taken["brought"],
        "pictures": row.get("picture") or row.get("image"),
    }
    return [name for name, holds in passed.items() if holds]


def badness(row: Row) -> tuple[bool, bool, float]:
    """What sorts the worst first: without an answer, with problems, by the least sure route."""
    confidence = Fields(row, "an answer").inner("route").value("confidence")
    sure = confidence if isinstance(confidence, float) else 1.0
    return not row.get("failed"), not row.get("problems"), sure


def shown(
    place: int, row: Row, taken: Taken, notes: Mapping[str, str], pictures: Pictures
) -> dict[str, object]:
    """A request; `notes` are the ids of those that this run's requests left, by the request."""
    found = Fields(row, "an answer")
    route = found.inner("route")
    id, seconds = found.text("id"), taken["seconds"]
    shares = route.inner("probabilities").numbers() if route.value("probabilities") else {}
    stages = [f"{name} {value:.3f}" for name, value in seconds.items() if name != WHOLE]
    return {
        "place": place,
        "id": id,
        "conversation": found.text("conversation"),
        "user": row.get("user") or "",
        "text": found.text("text"),
        "image": pictures.of_request(id, found.text("image")) if row.get("image") else None,
        "route": _route(route),
        "shares": sorted(shares.items(), key=lambda each: -each[1]),
        "notes": [notes.get(str(note), f"{note}, of an earlier run") for note in found.array("notes")],
        "tools": [
            {
                "name": one.text("name"),
                "arguments": json.dumps(one.value("arguments"), ensure_ascii=False),
                "text": one.text("text"),
                "failed": one.flag("failed"),
            }
            for one in found.each("tools")
        ],
        "specialist": found.text("specialist"),
        "answer": row.get("answer") or "",
        "voice": row.get("voice") or "",
        "told": row.get("voice") or row.get("answer") or "",
        "painted": pictures.of_answer(id, found.inner("picture")) if row.get("picture") else None,
        "problems": [*found.array("problems")],
        "failed": row.get("failed") or "",
        "left_out": found.whole("turns_left_out"),
        "marks": marks(row, taken),
        "seconds": f"{seconds.get(WHOLE, 0.0):.6g}",
        "stages": ", ".join(stages + ([f"until all were answered {seconds[WHOLE]:.3f}"] if stages else [])),
    }


def _route(route: Fields) -> str:
    """Where it led, how, and what was wrong."""
    how, confidence = route.text("how"), route.value("confidence")
    said = f"to {route.text('to')} ({how}"
    said += f", confidence {confidence:.3f})" if isinstance(confidence, float) else ")"
    weight = route.value("weight")
    if isinstance(weight, float):
        said += f"; its words have {weight:.3f} of all it might have written"
    if route.value("written"):
        said += f"; the router wrote: {route.text('written')}"
    return said + (f"; fell back: {route.text('problem')}" if route.value("problem") else "")


def notes_of(requests: Sequence[Request]) -> dict[str, str]:
    """What each note says that requests leave, by its id."""
    return {id_of(each.key): f"{each.id}: {each.text}" for each in requests}
