"""A server in a thread of the caller's own process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def threaded(listen: Callable[[Callable[[str, Callable[[], None]], None]], object]) -> Iterator[str]:
    """The address of a server that ends with the block; what it raises is raised. `listen` is given what it
    tells its address, and what ends it."""
    begun = threading.Event()
    held: list[tuple[str, Callable[[], None]]] = []
    problems: list[BaseException] = []

    def ready(address: str, stop: Callable[[], None]) -> None:
        held.append((address, stop))
        begun.set()

    def work() -> None:
        try:
            listen(ready)
        except BaseException as error:
            problems.append(error)
        finally:
            begun.set()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    try:
        if held:
            yield held[0][0]
    finally:
        if held:
            held[0][1]()
        thread.join()
    if problems:
        raise problems[0]
