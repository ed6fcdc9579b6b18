"""What else is served at the same address: an application of its own, under a path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.responses import RedirectResponse

from ullage.serving.guard import App, Door, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Beside:
    """What is under `path`: `made` guards itself as a door says, and `stop` ends what it has going on."""

    path: str
    made: Callable[[Door], App]
    stop: Callable[[], None]


def with_beside(app: App, beside: Beside, door: Door) -> App:
    """`app`, but for what is under the path; that sees its own paths, and the path as `root_path`."""
    other, begins = beside.made(door), f"{beside.path}/"

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not (path == beside.path or path.startswith(begins)):
            await app(scope, receive, send)
        elif path == beside.path:
            await RedirectResponse(begins, 307)(scope, receive, send)
        else:
            inner = path.removeprefix(beside.path)
            await other({**scope, "path": inner, "root_path": beside.path}, receive, send)

    return either
