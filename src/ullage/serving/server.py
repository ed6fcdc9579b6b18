"""From a plan to a socket, and to its end."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from ullage.errors import InputError, MissingExtraError
from ullage.runtime.opening import Options
from ullage.serving.guard import Guard, door, is_loopback
from ullage.serving.idle import Idle

if TYPE_CHECKING:
    from types import FrameType

    from uvicorn import Config, Server

    from ullage.serving.served import Served
    from ullage.workloads.served import Plans

PORT: Final = 8321
QUEUE: Final = 128
LARGEST_BODY: Final = 64 * 2**20
BACKLOG: Final = 2048


Ready = Callable[[str, Callable[[], None]], None]


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
) -> None:
    """Serves plans until it is told to end; then answers whom it has let in, as far as `drain_seconds` go.
    `ready` is told the address once it listens, and what ends the server as a signal does.

    Raises InputError for an address that cannot be taken, or that others reach and no token guards;
    DoesNotFitError for a plan that does not fit.
    """
    check(listening)
    _check_installed()
    from ullage.serving.lending import open_lending
    from ullage.serving.served import Served

    with _bound(listening) as bound, open_lending(plans, options or Options()) as lending:
        served = Served(lending, listening.queue, listening.answer_seconds)
        config = _config(served, listening)
        server = _server(config, served, listening.body_seconds, lambda: ready(_address(bound), stop))

        def stop() -> None:
            served.closing = server.should_exit = True

        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_run(server, served, bound))


def check(listening: Listening) -> None:
    """Raises InputError for settings that cannot be."""
    if not is_loopback(listening.address) and not listening.token:
        raise InputError(
            f"{listening.address}: others reach it, so it takes a token: give one in ULLAGE_TOKEN or "
            "--token-file, or bind to 127.0.0.1"
        )
    if listening.token is not None and len(listening.token) < 16:
        raise InputError("the token has fewer than 16 characters; `openssl rand -hex 32` makes a good one")
    if listening.token is not None and not (listening.token.isascii() and listening.token.isprintable()):
        raise InputError("the token has characters that no header carries; `openssl rand -hex 32` makes one")
    if not 0 <= listening.port <= 65_535:
        raise InputError(f"--port: {listening.port} is none; 0 takes a free one")
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


def _config(served: Served, listening: Listening) -> Config:
    from uvicorn import Config

    from ullage.serving.routes import make_app

    guarded = Guard(
        make_app(served, version("ullage")),
        door(
            listening.address,
            listening.token,
            listening.hosts,
            listening.largest_body,
            listening.body_seconds,
        ),
        served.metrics.requested,
    )
    return Config(
        guarded,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        ws="none",
        backlog=BACKLOG,
        timeout_graceful_shutdown=max(1, round(listening.drain_seconds)),
    )


def _server(config: Config, served: Served, idle_seconds: float, ready: Callable[[], None]) -> Server:
    """A server that tells, from the signal on, that it closes, and whose end by a signal is a good one; from
    when it is `ready` on it obeys signals."""
    import uvicorn

    idle = Idle(idle_seconds)

    class Draining(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        async def on_tick(self, counter: int) -> bool:
            idle.close(self.server_state.connections, time.monotonic())  # type: ignore[arg-type]
            return await super().on_tick(counter)

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            with super().capture_signals():
                yield
                self._captured_signals.clear()  # which would be raised again: they have been obeyed

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            served.closing = True
            super().handle_exit(sig, frame)

    return Draining(config)


async def _run(server: Server, served: Served, bound: socket.socket) -> None:
    bound.listen(BACKLOG)  # who comes before the first turn of the loop waits, and is not turned away
    loading = asyncio.ensure_future(_load(served))
    try:
        await server.serve([bound])
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def _load(served: Served) -> None:
    """Brings those that stay; what fails is said, and tried again by whoever asks."""
    for name in served.lending.staying():
        try:
            async with served.lending.pool.lease(name):
                pass
        except Exception as error:
            served.lending.session.say(f"role {name}: {error}")


@contextmanager
def _bound(listening: Listening) -> Iterator[socket.socket]:
    """A socket at the address, before anything is loaded for it. Raises InputError."""
    where = f"{listening.address}:{listening.port}"
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            listening.address, listening.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind)
    except OSError as error:
        raise InputError(f"{where}: cannot be listened at: {error.strerror or error}") from error
    with bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(address)
        except OSError as error:
            raise InputError(
                f"{where}: cannot be listened at: {error.strerror or error}; another --port may be free"
            ) from error
        yield bound
