"""Errors as clients of OpenAI's protocol read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ullage.errors import (
    DoesNotFitError,
    EngineError,
    InputError,
    MissingPackageError,
    OutOfMemoryError,
    PinnedError,
    UllageError,
    UnsupportedError,
    WaitError,
)
from ullage.serving.answered import Refused

AGAIN: Final = 5
"""Seconds after which to come again where nothing tells how long it will take."""
LONGEST: Final = 2000
"""Characters of what is told."""
_TYPES: Final = {
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


_SAID: Final[Mapping[int, str]] = {
    400: "What was asked is wrong, or not done here",
    401: "No token, or another one",
    404: "No such model",
    408: "The body did not come in time",
    413: "More than is read",
    429: "Too many wait; Retry-After says when to come again",
    502: "The role gave no answer, or another machine none for it",
    503: "The role cannot be had now",
    504: "There was no answer in time",
}
REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": Refused, "description": said} for status, said in _SAID.items()
}
"""What a path that is asked for work may say instead, for its documentation."""


class Refusal(Exception):
    """Why a request has no answer: `message` for a person, `code` for a program, `param` the field at fault.

    `again` are seconds after which the same may be answered; 0: not by waiting.
    """

    def __init__(
        self, status: int, message: str, code: str, *, param: str | None = None, again: int = 0
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.again = status, _text(message), code, again
        self.param = None if param is None else _text(param)

    @property
    def body(self) -> dict[str, object]:
        """In OpenAI's form."""
        usual = "invalid_request_error" if self.status < 500 else "server_error"
        kind = _TYPES.get(self.status, usual)
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """What goes before the body."""
        found = {"Retry-After": str(self.again)} if self.again else {}
        if self.status >= 500 and not self.again:
            found["x-should-retry"] = "false"  # the official client asks the same again by itself
        if self.status == 401:
            found["WWW-Authenticate"] = "Bearer"
        return found


def ended() -> Refusal:
    """The server has ended before the answer was there."""
    return Refusal(503, "the server ends, and this was not answered in time", "closing", again=AGAIN)


def _text(quoted: str) -> str:
    """What can be sent, whatever was quoted."""
    return quoted[:LONGEST].encode("utf-8", "replace").decode()


def refusal_of(error: Exception) -> Refusal:
    """What a client is told of an error; of one that is nobody's mistake here, no more than that."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, PinnedError):
        return Refusal(error.status, str(error), "role_pinned_out")
    if isinstance(error, WaitError):
        return Refusal(503, str(error), "role_busy", again=AGAIN)
    if isinstance(error, OutOfMemoryError | DoesNotFitError):
        return Refusal(503, str(error), "out_of_memory", again=AGAIN)
    if isinstance(error, EngineError):
        return Refusal(502, str(error), "role_failed")
    if isinstance(error, MissingPackageError):
        return Refusal(501, str(error), "not_installed")
    if isinstance(error, InputError | UnsupportedError):
        return Refusal(400, str(error), "invalid_request")
    if isinstance(error, UllageError):
        return Refusal(502, str(error), "role_failed")
    return Refusal(500, "the server failed at this request; its log says where", "internal_error")
