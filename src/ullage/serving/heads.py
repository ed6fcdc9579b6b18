"""What a request may have beside its body: a head, trailers, and what its chunks are told apart by."""

from __future__ import annotations

from typing import Any, Final

LARGEST: Final = 2**16
"""Bytes of it, beyond one read of the socket's; what h11 takes too."""
FRAMING: Final = 8
"""Bytes beside each one of a body: a chunk of one byte has five."""
_REFUSED: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


def protocol() -> Any:
    """uvicorn's protocol, which takes heads without end where httptools reads them, with a bound; without
    httptools its name for h11, which has one."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        return "h11"

    class Bounded(HttpToolsProtocol):
        """Invariant: of a message that goes on over several reads no more than LARGEST bytes, and FRAMING for
        each of its body, are beside that."""

        _messages = _read = _body = 0

        def data_received(self, data: bytes) -> None:
            before = self._messages
            super().data_received(data)
            self._read = self._read + len(data) if self._messages == before else 0
            if self._read > LARGEST + (1 + FRAMING) * self._body:
                if self.cycle is None or self.cycle.response_complete:
                    self.transport.write(_REFUSED)
                self.transport.close()

        def on_message_begin(self) -> None:
            self._messages += 1
            self._body = 0
            super().on_message_begin()

        def on_body(self, body: bytes) -> None:
            self._body += len(body)
            super().on_body(body)

    return Bounded
