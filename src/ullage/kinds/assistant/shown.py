"""Single requests as the page of an assistant shows them."""

from __future__ import annotations

import io
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ullage.engines.pictures import open_picture
from ullage.errors import InputError, MissingExtraError
from ullage.fields import Fields
from ullage.kinds.assistant.memory.chroma_memory import id_of
from ullage.kinds.assistant.requests import Request
from ullage.kinds.assistant.rows import WHOLE
from ullage.kinds.assistant.summary import Row, Taken
from ullage.reports.pages.page import Code, Entry, Facts, Listed, Part, Picture, Prose
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span, Tone

Fact = tuple[str, tuple[Part, ...]]
Told = tuple[int, tuple[Row, Taken]]
"""A request's place among all, what came of it, and how long it took."""

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
    _seen: dict[str, tuple[Part, ...]] = field(default_factory=dict)

    def of_request(self, id: str, name: str) -> tuple[Part, ...]:
        """The picture that came with a request, made smaller, or why it is not shown."""
        request = self.given.get(id)
        path = None if request is None else request.image
        if path is None:
            return (_said(f"{name}: the requests do not name it any more", "note"),)
        if str(path) not in self._seen:
            try:
                picture = open_picture(path)
                size = picture.size
                picture.thumbnail((SIDE, SIDE))
                file = io.BytesIO()
                picture.save(file, "PNG")
            except (InputError, MissingExtraError) as error:
                self._seen[str(path)] = (_said(f"{name}: {error}", "note"),)
            else:
                said = f"{name}, {size[0]:,} x {size[1]:,} pixels, as it is now"
                png = b64encode(file.getvalue()).decode()
                self._seen[str(path)] = self._within(png, "picture given", said)
        return self._seen[str(path)]

    def of_answer(self, id: str, about: Fields) -> tuple[Part, ...]:
        """The picture that answers a request, bit for bit."""
        width, height = about.array("size")
        cut = about.whole("cut")
        said = f"{width} x {height} pixels, {about.whole('steps')} steps, seed {about.whole('seed')}"
        said += f"; {cut:,} tokens of the request were too many to be read" if cut else ""
        return self._within(self.painted.get(id, ""), "picture painted", said)

    def _within(self, png: str, name: str, said: str) -> tuple[Part, ...]:
        """A picture and what is said of it; that alone where the page has no room."""
        if not png or len(png) > self.room:
            return (_said(f"{said}; the page has no room for it: see pictures.jsonl", "note"),)
        self.room -= len(png)
        return Picture(png, name), _said(said, "note")


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


def listed(
    rows: Sequence[Told], specialists: Iterable[str], notes: Mapping[str, str], pictures: Pictures
) -> Listed:
    """Requests, the worst first, to be looked through by what became of them and by who answered; `notes` are
    what this run's requests left, by id."""
    views = ("all", *specialists)
    orders = (("worst", "worst first"), ("slow", "slowest first"), ("place", "as answered"))
    entries = tuple(_entry(worst, *each, views, notes, pictures) for worst, each in enumerate(rows))
    return Listed(entries, tuple(FILTERS.items()), orders, "Specialist", views)


def _entry(
    worst: int,
    place: int,
    told: tuple[Row, Taken],
    views: Sequence[str],
    notes: Mapping[str, str],
    pictures: Pictures,
) -> Entry:
    row, taken = told
    found = Fields(row, "an answer")
    specialist, own = found.text("specialist"), tuple(marks(row, taken))
    said = row.get("voice") or row.get("answer") or row.get("failed")
    line = (
        Span(found.text("id"), "note"),
        " ",
        Span(found.text("text")),
        " ",
        Span(str(said or ("(a picture)" if row.get("picture") else "(nothing)")), "strong"),
        " ",
        Span(specialist, "note"),
    )
    held = tuple(own if view in ("all", specialist) else None for view in views)
    slow = -taken["seconds"].get(WHOLE, 0.0)
    return Entry(line, (Facts(tuple(_facts(row, taken, notes, pictures))),), held, (worst, slow, place))


def _facts(row: Row, taken: Taken, notes: Mapping[str, str], pictures: Pictures) -> Iterator[Fact]:
    """All that is known of a request."""
    found = Fields(row, "an answer")
    if row.get("failed"):
        yield "Failed", (_said(row["failed"], "bad"),)
    if problems := found.array("problems"):
        yield "Problems", tuple(map(_said, problems))
    yield "Conversation", (_said(_conversation(found)),)
    given = pictures.of_request(found.text("id"), found.text("image")) if row.get("image") else ()
    yield "Request", (_said(found.text("text")), *given)
    yield "Route", tuple(_route(found.inner("route")))
    if before := found.array("notes"):
        yield (
            "Notes put before it",
            tuple(_said(notes.get(str(note), f"{note}, of an earlier run")) for note in before),
        )
    if calls := tuple(each for one in found.each("tools") for each in _call(one)):
        yield "Tools", calls
    answer = (_said(row["answer"]),) if row.get("answer") else ()
    painted = pictures.of_answer(found.text("id"), found.inner("picture")) if row.get("picture") else ()
    yield found.text("specialist"), (*answer, *painted) or (_said("(nothing)"),)
    yield "Voice", (_said(row.get("voice") or "(nothing)"),)
    seconds = taken["seconds"]
    if stages := [f"{name} {value:.3f}" for name, value in seconds.items() if name != WHOLE]:
        yield "Seconds", (Prose(f"{', '.join(stages)}, until all were answered {seconds[WHOLE]:.3f}"),)


def _said(text: object, tone: Tone = "") -> Prose:
    return Prose(Span(str(text)), tone)


def _conversation(found: Fields) -> str:
    user, left_out = found.value("user"), found.whole("turns_left_out")
    more = f"; {left_out} earlier turns were left out" if left_out else ""
    return f"{found.text('conversation')}{f', user {user}' if user else ''}{more}"


def _call(one: Fields) -> Iterator[Part]:
    failed = one.flag("failed")
    arguments = json.dumps(one.value("arguments"), ensure_ascii=False)
    yield _said(f"{one.text('name')}({arguments}){' failed' if failed else ''}", "bad" if failed else "")
    yield Code(one.text("text"))


def _route(route: Fields) -> Iterator[Part]:
    """Where it led, and what weight the router gave to each."""
    yield _said(_led(route))
    shares = route.inner("probabilities").numbers() if route.value("probabilities") else {}
    if shares:
        rows = tuple(
            (name, f"{share:.3f}") for name, share in sorted(shares.items(), key=lambda each: -each[1])
        )
        yield Table(("to", "weight"), rows, frozenset({"weight"}))


def _led(route: Fields) -> str:
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
