"""The door's paths."""

# Annotations are not postponed here: FastAPI reads them.

import base64
import secrets
import struct
import time
from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from ullage.engines.painter import Canvas
from ullage.errors import UllageError
from ullage.serving.answered import (
    Embeddings,
    Health,
    ModelCard,
    ModelList,
    Pictures,
)
from ullage.serving.answering import refused, while_there
from ullage.serving.asked import EmbeddingRequest, ImageRequest, StatesRequest
from ullage.serving.completions import add_completions
from ullage.serving.metrics import CONTENT_TYPE
from ullage.serving.refusal import REFUSED, Refusal, refusal_of
from ullage.serving.responses import add_responses
from ullage.serving.served import Served

SAFETENSORS: Final = "application/octet-stream"
ONE_MODEL: Final = "model"
FIRST_LISTED: Final = {"operationId": ONE_MODEL, "parameters": {"model": "$response.body#/data/0/id"}}
"""What can be asked of one path by the answer of another: nothing else here leaves a name behind."""
STARTED: Final = int(time.time())


def make_app(served: Served, version: str) -> FastAPI:
    """The application of a server's paths, without its guard."""
    app = FastAPI(title="ullage serve", version=version, docs_url=None, redoc_url=None)
    _tell_errors(app)
    add_completions(app, served)
    add_responses(app, served)
    _embeddings(app, served)
    _states(app, served)
    _images(app, served)
    _models(app, served)
    _state(app, served)
    document = app.openapi

    def openapi() -> dict[str, Any]:
        found = document()
        _mend(found, [*served.names])
        return found

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _embeddings(app: FastAPI, served: Served) -> None:
    @app.post("/v1/embeddings", response_model=None, responses={200: {"model": Embeddings}, **REFUSED})
    async def embeddings(body: EmbeddingRequest, request: Request) -> Response:
        """A vector of length 1 of each text."""
        name = served.role(body.model, "embeddings")
        texts = [body.input] if isinstance(body.input, str) else body.input
        work = served.embedded(name, texts)
        vectors, tokens = await while_there(request, work, served.seconds)
        as_text = body.encoding_format == "base64"
        data = [
            {"object": "embedding", "index": at, "embedding": _packed(one) if as_text else one}
            for at, one in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return JSONResponse({"object": "list", "data": data, "model": name, "usage": usage})


def _packed(vector: list[float]) -> str:
    """Floats of four bytes, the lowest first, in base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _states(app: FastAPI, served: Served) -> None:
    @app.post(
        "/v1/states",
        response_model=None,
        responses={
            200: {
                "content": {SAFETENSORS: {"schema": {"type": "string", "format": "binary"}}},
                "description": "A safetensors file",
            },
            **REFUSED,
        },
    )
    async def states(body: StatesRequest, request: Request) -> Response:
        """Hidden states of a text, where the file captures them."""
        name = served.role(body.model, "states")
        work = served.states(name, body.text, body.sites)
        found = await while_there(request, work, served.seconds)
        return Response(found, media_type=SAFETENSORS)


def _images(app: FastAPI, served: Served) -> None:
    @app.post("/v1/images/generations", response_model=None, responses={200: {"model": Pictures}, **REFUSED})
    async def images(body: ImageRequest, request: Request) -> Response:
        """A picture of what the prompt says, by chance of its own."""
        name = served.role(body.model, "images")
        role = served.roles[name]
        width, height = role.image_size
        if body.size not in (None, f"{width}x{height}"):
            said = f"size: role {name} is planned to paint {width}x{height}"
            raise Refusal(400, said, "invalid_value", param="size")
        work = served.painted(name, body.prompt, Canvas(role.image_size, role.steps), secrets.randbits(31))
        found = await while_there(request, work, served.seconds)
        data = [{"b64_json": base64.b64encode(found.png).decode()}]
        return JSONResponse({"created": int(time.time()), "data": data})


def _models(app: FastAPI, served: Served) -> None:
    listed = {"model": ModelList, "links": {"first": FIRST_LISTED}}

    @app.get("/v1/models", response_model=None, responses={200: listed, 401: REFUSED[401]})
    async def models() -> Response:
        """The roles, and where they are."""
        return JSONResponse({"object": "list", "data": [_card(served, name) for name in served.names]})

    @app.get(
        "/v1/models/{model}",
        operation_id=ONE_MODEL,
        response_model=None,
        responses={200: {"model": ModelCard}, **{status: REFUSED[status] for status in (400, 401, 404)}},
    )
    async def model(model: str) -> Response:
        """A role, and where it is."""
        if model not in served.names:
            raise Refusal(404, f"unknown model {model[:200]!r}", "model_not_found", param="model")
        return JSONResponse(_card(served, model))


def _card(served: Served, name: str) -> dict[str, Any]:
    seen = {
        alias: role for role in served.lending.pool.snapshot().roles for alias in (role.name, *role.aliases)
    }
    role = seen.get(name)
    return {
        "id": name,
        "object": "model",
        "created": STARTED,
        "owned_by": "ullage",
        "ullage": {
            "model": name if served.is_whole(name) else served.roles[name].model,
            "where": "roles" if served.is_whole(name) else "elsewhere" if role is None else role.where,
            "bytes": {} if role is None else dict(role.bytes),
            "lent": 0 if role is None else role.leases,
            "does": served.does(name),
        },
    }


def _state(app: FastAPI, served: Served) -> None:
    @app.get("/health", response_model=None, responses={200: {"model": Health}, 503: {"model": Health}})
    async def health() -> Response:
        """Whether it serves; it needs no token."""
        seen = served.lending.pool.snapshot()
        status = "closing" if served.closing else "ok"
        body = {
            "status": status,
            "waiting": served.queue.waiting,
            "answering": served.queue.answering,
            "roles": {role.name: role.where for role in seen.roles},
        }
        return JSONResponse(body, 503 if served.closing else 200)

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, 401: REFUSED[401]},
    )
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(served.metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _tell_errors(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return refused(_invalid(error))

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = "not_found" if error.status_code == 404 else "invalid_request"
        answer = refused(Refusal(error.status_code, str(error.detail), code))
        answer.headers.update(error.headers or {})
        return answer

    # Starlette raises again what the handler of all exceptions has answered: the connection would be broken
    # off, and a mistake of whoever asks be a traceback in the log.
    @app.exception_handler(UllageError)
    @app.exception_handler(Refusal)
    async def refusal(_: Request, error: Exception) -> Response:
        return refused(refusal_of(error))

    @app.exception_handler(Exception)
    async def other(_: Request, error: Exception) -> Response:
        return refused(refusal_of(error))


def _invalid(error: RequestValidationError) -> Refusal:
    """What is wrong with a body: of the forms that a field may have, in the one that it comes closest to."""
    problems = error.errors()
    if isinstance(error.body, bytes) and error.body:  # which FastAPI leaves as it is without that header
        said = "the body is not told to be JSON: send Content-Type: application/json"
        return Refusal(400, said, "invalid_content_type")
    if problems[0]["type"] == "json_invalid":
        return Refusal(400, "the body is no JSON", "invalid_json")
    places = [_place(each["loc"], error.body) for each in problems]
    close = [(not each["type"].endswith("_type"), len(at)) for each, at in zip(problems, places, strict=True)]
    at = close.index(max(close))
    found, param = problems[at], ".".join(places[at]) or None
    empty = (
        found["type"] == "too_long" and found["ctx"]["max_length"] == 0
    )  # it may stand there with nothing in it
    if found["type"] == "extra_forbidden" or empty:
        said = f"unsupported parameter: {param} is not done here; leave it out"
        return Refusal(400, said, "unsupported_parameter", param=param)
    said = f"{param}: {found['msg']}" if param else f"the body: {found['msg']}"
    return Refusal(400, said, "invalid_value", param=param)


def _place(loc: Sequence[str | int], body: object) -> list[str]:
    """The way to what is wrong, without the names that a schema gives to forms of a field."""
    found = []
    for part in loc[1:]:
        if isinstance(body, dict):
            if part not in body and part is not loc[-1]:
                continue
            body = body.get(part)  # none of its last: it is what lacks
        elif isinstance(body, list) and isinstance(part, int) and part < len(body):
            body = body[part]
        else:
            continue
        found.append(str(part))
    return found


def _mend(document: dict[str, Any], roles: list[str]) -> None:
    """Says what FastAPI does not: the roles there are, and that nothing is ever refused with 422."""
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    for schema in document["components"]["schemas"].values():
        if schema.get("title", "").endswith("Request"):
            schema["properties"]["model"]["enum"] = roles
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    security = {"token": {"type": "http", "scheme": "bearer"}}
    document["components"]["securitySchemes"] = security
