"""A socket and a server at it, for every door: where it is bound, who may reach it, and how it ends."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ullage.errors import InputError
from ullage.serving.guard import App, is_loopback

if TYPE_CHECKING:
    from types import FrameType

    from uvicorn import Config, Server

Ready = Callable[[str, Callable[[], None]], None]
"""Is told the address once it is listened at, and what ends the server as a signal does."""
LEAST_TOKEN: Final = 16
"""Characters of a token."""


def check_reach(address: str, port: int, token: str | None) -> None:
    """Raises InputError for a port that cannot be, and for an address that others reach without a token."""
    if not is_loopback(address) and not token:
        raise InputError(
            f"{address}: others reach it, so it takes a token: give one in ULLAGE_TOKEN or "
            "--token-file, or bind to 127.0.0.1"
        )
    if not 0 <= port <= 65_535:
        raise InputError(f"--port: {port} is none; 0 takes a free one")


@contextmanager
def bound_at(address: str, port: int) -> Iterator[socket.socket]:
    """A socket there, before anything is begun for it. Raises InputError."""
    where = f"{address}:{port}"
    try:
        family, kind, _, _, found = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind)
    except OSError as error:
        raise InputError(f"{where}: cannot be listened at: {error.strerror or error}") from error
    with bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(found)
        except OSError as error:
            raise InputError(
                f"{where}: cannot be listened at: {error.strerror or error}; another --port may be free"
            ) from error
        yield bound


def url_of(bound: socket.socket) -> str:
    """What is typed to come there."""
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def config_of(app: App, drain_seconds: int, **more: Any) -> Config:
    """uvicorn's, of a server that says nothing of itself and waits so long for answers when it ends."""
    from uvicorn import Config

    from ullage.serving.heads import protocol

    return Config(
        app,
        http=protocol(),
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=drain_seconds,
        **more,
    )


def server_that(closes: Callable[[], None]) -> type[Server]:
    """uvicorn's server, whose end by a signal is a good one; it `closes` from the signal on."""
    import uvicorn

    class Obeying(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            with super().capture_signals():
                yield
                self._captured_signals.clear()  # which would be raised again: they have been obeyed

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            closes()
            super().handle_exit(sig, frame)

    return Obeying
