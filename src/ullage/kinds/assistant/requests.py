"""Requests of a file: who says what in which talk, and the picture that comes with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ullage.errors import InputError, nearest
from ullage.files import check_ordinary, placed

FIELDS: Final = ("id", "conversation", "user", "text", "image")
SAID: Final = 20
"""Mistakes of a file that are told; of further ones their number."""
NOBODY: Final = ""
Talk = tuple[str, str]
"""An owner and a conversation: what others say in one of the same name is another."""


@dataclass(frozen=True, slots=True)
class Request:
    """One thing said by a `user` in a `conversation`; `image` is a picture's file. `line` is where."""

    line: int
    id: str
    conversation: str
    user: str
    text: str
    image: Path | None = None

    @property
    def owner(self) -> str:
        """As `owner_of`."""
        return owner_of(self.user, self.conversation)

    @property
    def talk(self) -> Talk:
        """What it goes on with."""
        return self.owner, self.conversation

    @property
    def key(self) -> str:
        """Its name among the owner's notes: two files may number their lines alike and say other things."""
        return f"{self.conversation}/{self.id}: {self.text}"


def owner_of(user: str, conversation: str) -> str:
    """Whose notes and talks are kept apart from all others': a user's, or, of nobody, a conversation's."""
    return f"user {user}" if user else f"talk {conversation}"


def read_requests(path: Path, base: Path) -> list[Request]:
    """Every request of a file of JSON lines, in order; an `id` that is not given is the line's number.

    Images are relative to `base`. Raises InputError that names every line that is no request.
    """
    check_ordinary(path)
    found: list[Request] = []
    wrong: list[str] = []
    lines: dict[str, int] = {}
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    request = _request(line, number, base)
                except InputError as error:
                    wrong += [f"{path}:{number}: {text}" for text in error.args]
                    continue
                if request.id in lines:
                    wrong.append(
                        f"{path}:{number}: id {request.id!r} is that of line {lines[request.id]} too"
                    )
                lines.setdefault(request.id, number)
                found.append(request)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if wrong:
        more = [f"{path}: {len(wrong) - SAID:,} more lines are no requests"] if len(wrong) > SAID else []
        raise InputError(*wrong[:SAID], *more)
    if not found:
        raise InputError(f"{path}: holds no requests")
    return found


def _request(line: bytes, number: int, base: Path) -> Request:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}") from error
    if not isinstance(row, dict):
        raise InputError("not an object of JSON")
    problems = [*_unknown(row), *_wrong(row)]
    if problems:
        raise InputError(*problems)
    given = {name: str(row[name]) for name in FIELDS if row.get(name) is not None}
    image = placed(given["image"], base) if "image" in given else None
    talk = given.get("conversation", f"line {number}")
    return Request(
        number, given.get("id", str(number)), talk, given.get("user", NOBODY), given["text"], image
    )


def _unknown(row: Mapping[str, object]) -> Iterator[str]:
    for name in row:
        if name not in FIELDS:
            close = nearest(name, FIELDS)
            hint = f"nearest: {', '.join(close)}" if close else f"there are: {', '.join(FIELDS)}"
            yield f"field {name!r} means nothing here; {hint}"


def _wrong(row: Mapping[str, object]) -> Iterator[str]:
    for name in FIELDS:
        value = row.get(name)
        if value is None:
            if name == "text":
                yield "text is missing"
        elif not isinstance(value, str) and not (name != "text" and type(value) is int):
            yield f"{name} is no text"
        elif isinstance(value, str):
            if not value.strip():
                yield f"{name} is empty"
            if not _is_text(value):
                yield f"{name} holds half of a character, which is no text"


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def in_rounds(requests: Sequence[Request], most: int) -> list[list[Request]]:
    """Requests that are answered side by side, up to `most`: of each user and talk one at a time, in order.

    Nobody's users are apart by talk. What is in which round follows from the file alone.
    """
    queues: dict[str, list[Request]] = {}
    for request in requests:
        queues.setdefault(request.owner, []).append(request)
    for queue in queues.values():
        queue.reverse()
    found: list[list[Request]] = []
    while queues:
        some = [queue.pop() for queue in [*queues.values()][:most]]
        found.append(some)
        queues = {who: queue for who, queue in queues.items() if queue}
    return found
