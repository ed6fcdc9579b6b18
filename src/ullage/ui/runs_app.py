"""The paths of runs."""

# Annotations are not postponed here: FastAPI reads them.

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from ullage.ui.door import report_policy
from ullage.ui.pages import render, root_of
from ullage.ui.runs import Runs, course_of, far_of, is_elsewhere, run_of, timeline_document
from ullage.ui.runs_shown import facts, figure, in_figures, listed, now

Found = TypeVar("Found")


def add_runs(app: FastAPI, runs: Runs) -> None:
    """A list, a page for each, what of it changes while it goes on, and its own report."""

    threads = ThreadPoolExecutor(2, "runs")  # its own: what else is served keeps those that it has

    async def aside(work: Callable[..., Found], *given: str) -> Found:
        return await asyncio.get_running_loop().run_in_executor(threads, work, *given)

    def found(id: str) -> Path:
        path = runs.find(id)
        if path is None:
            raise HTTPException(404, "there is no such run")
        return path

    @app.get("/runs")
    async def all_of_them(request: Request) -> Response:
        held = await aside(runs.list)
        root = root_of(request)
        shown = listed(held, runs.shown, root)
        return HTMLResponse(render("runs.html.jinja", root=root, folder=runs.shown, listed=shown))

    def shown(id: str, template: str, root: str) -> Response:
        path = found(id)
        run, course = run_of(path), course_of(path)
        page = render(
            template,
            root=root,
            run=run,
            facts=(facts(run),),
            now=now(run, course, far_of(path), is_elsewhere(path)),
            figure=figure(course),
            course=in_figures(course),
        )
        return HTMLResponse(page)

    @app.get("/runs/{id}")
    async def one(id: str, request: Request) -> Response:
        return await aside(shown, id, "run.html.jinja", root_of(request))

    @app.get("/runs/{id}/now")
    async def as_it_is(id: str, request: Request) -> Response:
        return await aside(shown, id, "run_now.html.jinja", root_of(request))

    def document(id: str) -> Response:
        path = found(id)
        return JSONResponse(timeline_document(run_of(path), course_of(path).chart))

    @app.get("/runs/{id}/timeline")
    async def timeline(id: str) -> Response:
        return await aside(document, id)

    @app.get("/runs/{id}/report")
    async def report(id: str) -> Response:
        page = await aside(runs.report, id)
        if page is None:
            raise HTTPException(404, "this run has no report")
        return HTMLResponse(page, headers={"Content-Security-Policy": report_policy(page)})
