"""From a file to a socket, and to its end."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ullage.errors import InputError
from ullage.serving.guard import door, is_loopback
from ullage.ui.door import ENTER, LARGEST_BODY, guarded
from ullage.ui.pages import check_installed
from ullage.ui.runs import Runs
from ullage.ui.source import read_source
from ullage.ui.worker import Workers

if TYPE_CHECKING:
    from types import FrameType

PORT: Final = 8322
LEAST_TOKEN: Final = 16
READING: Final = 30.0
"""Seconds for a body to come."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the page is served. `port` 0 takes a free one. `token` is asked of everybody; None: of nobody,
    which is for loopback alone. `hosts` are names it goes by beside loopback's; `runs` a folder of runs."""

    address: str = "127.0.0.1"
    port: int = PORT
    token: str | None = None
    hosts: tuple[str, ...] = ()
    runs: Path | None = None


def listen(
    file: str | None,
    listening: Listening = Listening(),
    ready: Callable[[str, Callable[[], None]], None] = lambda address, stop: None,
) -> None:
    """Serves the page of a file, without one of a small workload, until it is told to end. `ready` is told
    the address once it listens, and what ends it.

    Raises InputError for a file that cannot be read, an address that cannot be taken, or one that others
    reach and no token guards; MissingExtraError.
    """
    check_installed()
    _check(listening)
    source = read_source(file)
    with _bound(listening) as bound:
        workers = Workers(source)
        workers.begin()
        try:
            _serve(workers, bound, listening, ready)
        finally:
            workers.close()


def application(workers: Workers, listening: Listening) -> Any:
    """The ASGI application, with all that guards it."""
    from ullage.ui.app import make_app

    return guarded(
        make_app(workers, Runs(listening.runs)),
        door(listening.address, listening.token, listening.hosts, LARGEST_BODY, READING),
    )


def _serve(
    workers: Workers,
    bound: socket.socket,
    listening: Listening,
    ready: Callable[[str, Callable[[], None]], None],
) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        """One whose end by a signal is a good one, and waits for no answer."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            with super().capture_signals():
                yield
                self._captured_signals.clear()  # which would be raised again: they have been obeyed

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            workers.stop()
            super().handle_exit(sig, frame)

    app = application(workers, listening)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=2,
    )
    server = Server(config)
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host

    def stop() -> None:
        workers.stop()
        server.should_exit = True

    enter = "" if listening.token is None else f"{ENTER}?token=TOKEN"
    ready(f"http://{shown}:{port}{enter or '/'}", stop)
    server.run([bound])


def _check(listening: Listening) -> None:
    if not is_loopback(listening.address) and not listening.token:
        raise InputError(
            f"{listening.address}: others reach it, so it takes a token: give one in ULLAGE_TOKEN or "
            "--token-file, or bind to 127.0.0.1"
        )
    if listening.token is not None and (len(listening.token) < LEAST_TOKEN or not listening.token.isalnum()):
        raise InputError(
            f"the token: {LEAST_TOKEN} letters and digits or more; `openssl rand -hex 32` makes a good one"
        )
    if not 0 <= listening.port <= 65_535:
        raise InputError(f"--port: {listening.port} is none; 0 takes a free one")
    if listening.runs is not None and not listening.runs.is_dir():
        raise InputError(f"--runs {listening.runs}: is no folder")


def _bound(listening: Listening) -> socket.socket:
    """A socket at the address, before anything is begun for it. Raises InputError."""
    where = f"{listening.address}:{listening.port}"
    try:
        found = socket.getaddrinfo(listening.address, listening.port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        said = f"{where}: cannot be listened at: {error.strerror or error}; another --port may be free"
        raise InputError(said) from error
