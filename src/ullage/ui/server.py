"""From a file to a socket, and to its end."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ullage.errors import InputError
from ullage.serving.guard import door
from ullage.serving.listening import (
    LEAST_TOKEN,
    Ready,
    bound_at,
    check_reach,
    config_of,
    server_that,
    url_of,
)
from ullage.ui.door import ENTER, LARGEST_BODY, guarded
from ullage.ui.pages import check_installed
from ullage.ui.runs import Runs
from ullage.ui.source import read_source
from ullage.ui.worker import Workers

PORT: Final = 8322
BACKLOG: Final = 128
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
    ready: Ready = lambda address, stop: None,
) -> None:
    """Serves the page of a file, without one of a small workload, until it is told to end. `ready` is told
    the address once it listens, and what ends it.

    Raises InputError for a file that cannot be read, an address that cannot be taken, or one that others
    reach and no token guards; MissingExtraError.
    """
    check_installed()
    _check(listening)
    source = read_source(file)
    with bound_at(listening.address, listening.port) as bound:
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
    ready: Ready,
) -> None:
    app = application(workers, listening)
    server = server_that(workers.stop)(config_of(app, drain_seconds=2))

    def stop() -> None:
        workers.stop()
        server.should_exit = True

    enter = "/" if listening.token is None else f"{ENTER}?token=TOKEN"
    bound.listen(BACKLOG)  # who comes before the first turn of the loop waits, and is not turned away
    ready(f"{url_of(bound)}{enter}", stop)
    server.run([bound])


def _check(listening: Listening) -> None:
    check_reach(listening.address, listening.port, listening.token)
    if listening.token is not None and (len(listening.token) < LEAST_TOKEN or not listening.token.isalnum()):
        raise InputError(
            f"the token: {LEAST_TOKEN} letters and digits or more; `openssl rand -hex 32` makes a good one"
        )
    if listening.runs is not None and not listening.runs.is_dir():
        raise InputError(f"--runs {listening.runs}: is no folder")
