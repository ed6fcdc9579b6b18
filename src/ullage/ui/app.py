"""The paths of the page."""

# Annotations are not postponed here: FastAPI reads them.

import mimetypes
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware

from ullage.errors import InputError, UllageError
from ullage.reports.pages.html import STYLE
from ullage.serving.refusal import Refusal
from ullage.ui.answers import Answered, Asked
from ullage.ui.controls import FIELD
from ullage.ui.pages import root_of
from ullage.ui.refused import is_part, refused
from ullage.ui.runs import Runs
from ullage.ui.runs_app import add_runs
from ullage.ui.state import LONGEST, THAN, State, pairs_of, read_state
from ullage.ui.worker import OverdueError, Workers

STATIC: Final = Path(__file__).with_name("static")
ADVICE: Final = "advice"
"""The parameter of a page that has its advice at once: for who has no script."""
Pairs = list[tuple[str, str]]


def make_app(workers: Workers, runs: Runs) -> FastAPI:
    """The application of the page's paths, without what guards it."""
    app = FastAPI(title="ullage ui", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)
    _tell_errors(app)
    _planner(app, workers)
    _changes(app, workers)
    _files(app, workers)
    add_runs(app, runs)
    _static(app)
    return app


async def _answered(workers: Workers, asked: Asked, request: Request) -> Answered:
    """The answer, as long as it is waited for."""
    await request.body()  # so that what comes next tells that they have gone
    return await workers.answer(asked, request.is_disconnected)


def _planner(app: FastAPI, workers: Workers) -> None:
    @app.get("/")
    async def planner(request: Request) -> Response:
        """The page of a state."""
        pairs = pairs_of(request.url.query)
        state = read_state([pair for pair in pairs if pair[0] != ADVICE])
        asked = Asked("page", state, root_of(request), advice=(ADVICE, "1") in pairs)
        return _page(await _answered(workers, asked, request))

    @app.get("/advice")
    async def advice(request: Request) -> Response:
        """What would make it fit, cheaper or faster: a part of the page."""
        asked = Asked("advice", read_state(pairs_of(request.url.query)), root_of(request))
        return _page(await _answered(workers, asked, request))

    @app.get("/enter")
    async def enter(request: Request) -> Response:
        """Where a token comes by the address; it is taken before."""
        return RedirectResponse(f"{root_of(request)}/", 303)


def _changes(app: FastAPI, workers: Workers) -> None:
    @app.get("/change")
    async def change(request: Request) -> Response:
        """What a form says, as the page of its state: at once for htmx, else by its address."""
        state, fields = _form(pairs_of(request.url.query))
        part = is_part(request.scope)
        asked = Asked("part" if part else "page", state, root_of(request), fields)
        return _moved(await _answered(workers, asked, request), request, part)

    @app.post("/text")
    async def text(request: Request) -> Response:
        """A whole file in place of the one there is, as changes to it."""
        body = (await request.body()).decode("utf-8", "replace")
        pairs = pairs_of(body)
        written = "".join(value for name, value in pairs if name == "text").replace("\r\n", "\n")
        beside = read_state([pair for pair in pairs if pair[0] == THAN])
        asked = Asked("page", beside, root_of(request), text=written)
        return _moved(await _answered(workers, asked, request), request, part=False)


def _form(pairs: Pairs) -> tuple[State, tuple[tuple[str, str], ...]]:
    """The state that a form carries, and its fields."""
    fields = tuple((name, value) for name, value in pairs if name.startswith(FIELD))
    return read_state([pair for pair in pairs if not pair[0].startswith(FIELD)]), fields


def _moved(found: Answered, request: Request, part: bool) -> Response:
    """The answer under the address of its state."""
    query = found.state.query
    if len(query) > LONGEST:
        raise InputError("the changes are too long for an address; edit the file itself")
    address = f"{root_of(request)}/{'?' if query else ''}{query}"
    if part:
        return HTMLResponse(found.body, found.status, {"HX-Push-Url": address})
    return RedirectResponse(address, 303) if found.status == 200 else _page(found)


def _files(app: FastAPI, workers: Workers) -> None:
    @app.get("/workload.yaml")
    async def workload(request: Request) -> Response:
        """The file that was planned."""
        asked = Asked("file", read_state(pairs_of(request.url.query)))
        found = await _answered(workers, asked, request)
        return _file(found, "application/yaml", "workload.yaml")

    @app.get("/plan.json")
    async def plan(request: Request) -> Response:
        """What `ullage plan --json` prints of it; without advice, unless that is asked for."""
        pairs = pairs_of(request.url.query)
        state = read_state([pair for pair in pairs if pair[0] != ADVICE])
        asked = Asked("document", state, advice=(ADVICE, "1") in pairs)
        found = await _answered(workers, asked, request)
        return _file(found, "application/json")


def _page(found: Answered) -> Response:
    return HTMLResponse(found.body, found.status)


def _file(found: Answered, kind: str, name: str = "") -> Response:
    """Raises InputError with the mistakes of a state that is not planned."""
    if found.status == 422:
        raise InputError(found.body)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'} if name else {}
    return Response(found.body, found.status, media_type=kind, headers=headers)


def _static(app: FastAPI) -> None:
    held = {path.name: path for path in (*STATIC.iterdir(), STYLE) if path.suffix in (".js", ".css")}

    @cache
    def read(name: str) -> bytes:
        return held[name].read_bytes()

    @app.get("/static/{name}")
    async def static(name: str) -> Response:
        """A script or a style: one of those that come with Ullage, by its name."""
        if name not in held:
            raise HTTPException(404)
        kind = mimetypes.guess_type(name)[0] or "text/plain"
        return Response(read(name), media_type=kind, headers={"Cache-Control": "max-age=3600"})


def _tell_errors(app: FastAPI) -> None:
    def told(request: Request, status: int, said: str) -> Response:
        code = HTTPStatus(status).phrase.lower().replace(" ", "_")
        kind, body = refused(request.scope, Refusal(status, said, code))
        return Response(body, status, media_type=kind)

    @app.exception_handler(UllageError)
    async def ours(request: Request, error: Exception) -> Response:
        return told(request, 422 if isinstance(error, InputError) else 503, str(error))

    @app.exception_handler(OverdueError)
    async def overdue(request: Request, error: Exception) -> Response:
        return told(request, 504, str(error))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return told(request, error.status_code, str(error.detail))
