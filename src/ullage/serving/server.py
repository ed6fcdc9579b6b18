"""From a plan to a socket, and to its end."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from ullage.errors import InputError, MissingExtraError
from ullage.runtime.opening import Options
from ullage.serving.guard import App, Guard, door
from ullage.serving.idle import Idle
from ullage.serving.listening import (
    LEAST_TOKEN,
    Ready,
    bound_at,
    check_reach,
    config_of,
    server_that,
    url_of,
)

if TYPE_CHECKING:
    from uvicorn import Config, Server

    from ullage.serving.beside import Beside
    from ullage.serving.served import Served
    from ullage.workloads.served import Plans

PORT: Final = 8321
QUEUE: Final = 128
LARGEST_BODY: Final = 64 * 2**20
BACKLOG: Final = 2048
OPEN: Final = frozenset({"/health"})
"""What needs no token: whether the server lives."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where and how a server listens. `port` 0 takes a free one. `token` is asked of everybody; None: of
    nobody, which is for loopback alone. `hosts` are names it goes by beside loopback's. `queue` requests may
    wait. Seconds: for a body to come, for an answer, and for all of them at the end."""

    address: str = "127.0.0.1"
    port: int = PORT
    token: str | None = None
    hosts: tuple[str, ...] = ()
    queue: int = QUEUE
    largest_body: int = LARGEST_BODY
    body_seconds: float = 30.0
    answer_seconds: float = 600.0
    drain_seconds: float = 30.0


def listen(
    plans: Plans,
    listening: Listening = Listening(),
    options: Options | None = None,
    ready: Ready = lambda address, stop: None,
    beside: Beside | None = None,
) -> None:
    """Serves plans, and what is `beside` them, until it is told to end; then answers whom it has let in, as
    far as `drain_seconds` go. `ready` is told the address once it listens, and what ends the server as a
    signal does.

    Raises InputError for an address that cannot be taken, or that others reach and no token guards;
    DoesNotFitError for a plan that does not fit.
    """
    check(listening)
    _check_installed()
    from ullage.serving.lending import open_lending
    from ullage.serving.served import Served

    with (
        bound_at(listening.address, listening.port) as bound,
        open_lending(plans, options or Options()) as lending,
    ):
        served = Served(lending, listening.queue, listening.answer_seconds)
        config = _config(served, listening, beside)

        def closes() -> None:
            served.closing = True
            if beside is not None:
                beside.stop()

        def stop() -> None:
            closes()
            server.should_exit = True

        server = _server(config, closes, listening.body_seconds, lambda: ready(url_of(bound), stop))

        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_run(server, served, bound))


def check(listening: Listening) -> None:
    """Raises InputError for settings that cannot be."""
    check_reach(listening.address, listening.port, listening.token)
    if listening.token is not None and len(listening.token) < LEAST_TOKEN:
        raise InputError(
            f"the token has fewer than {LEAST_TOKEN} characters; `openssl rand -hex 32` makes a good one"
        )
    if listening.token is not None and not (listening.token.isascii() and listening.token.isprintable()):
        raise InputError("the token has characters that no header carries; `openssl rand -hex 32` makes one")
    for name, seconds in (
        ("--time-limit", listening.answer_seconds),
        ("--drain", listening.drain_seconds),
        ("body_seconds", listening.body_seconds),
    ):
        if not (math.isfinite(seconds) and seconds > 0):
            raise InputError(f"{name}: {seconds:g} is no time to wait; give seconds, more than 0")
    if listening.largest_body < 1:
        raise InputError(f"--largest: {listening.largest_body} lets no body in; as 64MiB")
    for host in listening.hosts:
        if not host or not set(host).isdisjoint("/@ ") or host.count(":") == 1:
            raise InputError(f"--allow-host {host}: give the name alone, without http:// and port")
    if listening.queue < 1:
        raise InputError(f"--queue: {listening.queue} lets nobody wait; give 1 or more")


def _check_installed() -> None:
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "fastapi", "serve", "serving") from error


def _config(served: Served, listening: Listening, beside: Beside | None) -> Config:
    from ullage.serving.beside import with_beside
    from ullage.serving.routes import make_app

    let_in = door(
        listening.address, listening.token, listening.hosts, listening.largest_body, listening.body_seconds
    )
    own = replace(let_in, open=OPEN)
    app: App = Guard(make_app(served, version("ullage")), own, served.metrics.requested)
    if beside is not None:
        app = with_beside(app, beside, let_in)
    return config_of(app, max(1, round(listening.drain_seconds)), backlog=BACKLOG)


def _server(
    config: Config, closes: Callable[[], None], idle_seconds: float, ready: Callable[[], None]
) -> Server:
    """A server that `closes` from the signal on, and whose end by a signal is a good one; from when it is
    `ready` on it obeys signals."""
    idle = Idle(idle_seconds)

    class Draining(server_that(closes)):  # type: ignore[misc]
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        async def on_tick(self, counter: int) -> bool:
            idle.close(self.server_state.connections, time.monotonic())
            return bool(await super().on_tick(counter))

    return Draining(config)


async def _run(server: Server, served: Served, bound: socket.socket) -> None:
    bound.listen(BACKLOG)  # who comes before the first turn of the loop waits, and is not turned away
    loading = asyncio.ensure_future(_load(served))
    try:
        await server.serve([bound])
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)


async def _load(served: Served) -> None:
    """Brings those that stay; what fails is said, and tried again by whoever asks."""
    for name in served.lending.staying():
        try:
            async with served.lending.pool.lease(name):
                pass
        except Exception as error:
            served.lending.session.say(f"role {name}: {error}")
