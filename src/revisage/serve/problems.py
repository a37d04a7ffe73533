"""Errors as replies: problem details (RFC 9457), one clear line each."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from revisage.errors import (
    CancelledError,
    InputError,
    OutputError,
    RevisageError,
    UnknownModelError,
    WeightsError,
    did_you_mean,
    to_one_line,
)
from revisage.files import is_disk_full
from revisage.restore.controls import MEANT
from revisage.serve.engine import BusyError, TooSlowError
from revisage.serve.fields import RestoreFields

_log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
STATUS: tuple[tuple[type[Exception], int], ...] = (
    (BusyError, 429),
    (TooSlowError, 503),
    (UnknownModelError, 422),
    (InputError, 422),
    (WeightsError, 501),
    (OutputError, 422),  # a format that cannot hold the result; a full disk is told apart
    (CancelledError, 503),
    (MemoryError, 503),
)
"""The first row that fits decides; anything else is a fault of the server (500)."""


class Problem(BaseModel):
    """Problem details, RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None


PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"description": text, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for code, text in {
        400: "The body is no multipart form.",
        401: "The API key is missing or wrong.",
        404: "No such job, or no such result.",
        406: "No format of `Accept` can be given.",
        408: "The upload took too long.",
        409: "The job is not finished.",
        413: "The upload is larger than the limit.",
        415: "The body is of a type that is not taken.",
        421: "`Host` is no name of this server.",
        422: "The image or a field cannot be used; `detail` says which and why.",
        429: "Too many images are waiting; `Retry-After` says when to come again.",
        500: "A fault of the server.",
        501: "This server lacks a network that a field needs.",
        503: "The image took too long, or the server is stopping.",
        507: "The disk of the server is full.",
    }.items()
}
"""Status codes of errors, for OpenAPI."""
OF_UPLOADS = {code: reply for code, reply in PROBLEMS.items() if code not in (404, 409)}
"""Those of routes that take an upload."""


def make_problem(
    status: int, detail: str, headers: dict[str, str] | None = None, errors: list[dict[str, str]] | None = None
) -> JSONResponse:
    """A reply that tells of an error.

    Args:
        status: HTTP status code.
        detail: one line.
        headers: more headers.
        errors: of each wrong field: ``field`` and ``detail``.
    """
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors)
    return JSONResponse(problem.model_dump(exclude_none=True), status, headers, media_type=MEDIA_TYPE)


def problem_of(error: Exception) -> JSONResponse:
    """The reply for an error."""
    if is_disk_full(error):
        return make_problem(507, "the disk of the server is full")
    status = next((code for kind, code in STATUS if isinstance(error, kind)), 500)
    if status == 500:
        _log.error("a fault of the server", exc_info=error)
        return make_problem(500, "a fault of the server; its log says more")
    detail = "the server has not enough memory for this image" if isinstance(error, MemoryError) else str(error)
    headers = {"Retry-After": str(error.seconds)} if isinstance(error, BusyError) else None
    return make_problem(status, detail, headers)


class AnswerFaults:
    """Middleware: answers errors that no handler takes.

    Starlette would raise them again after its answer. The connection is then closed, at which a client (a proxy, say)
    may be sending its next request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        has_begun = False

        async def watch(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            if has_begun or scope["type"] != "http":
                raise
            await problem_of(error)(scope, receive, send)


def add_handlers(app: FastAPI) -> None:
    """Let an application answer every error with problem details."""
    app.add_middleware(AnswerFaults)

    async def on_error(request: Request, error: Exception) -> Response:  # noqa: ARG001
        return problem_of(error)

    async def on_http(request: Request, error: Exception) -> Response:  # noqa: ARG001
        assert isinstance(error, HTTPException)
        return make_problem(error.status_code, str(error.detail), dict(error.headers or {}))

    async def on_invalid(request: Request, error: Exception) -> Response:  # noqa: ARG001
        assert isinstance(error, RequestValidationError)
        errors = [{"field": str(one["loc"][-1]), "detail": _detail(one)} for one in error.errors()]
        return make_problem(422, "; ".join(f"{one['field']}: {one['detail']}" for one in errors), errors=errors)

    async def on_leave(request: Request, error: Exception) -> Response:  # noqa: ARG001
        return Response(status_code=499)  # nobody reads it; the metrics count it

    async def on_slow(request: Request, error: Exception) -> Response:  # noqa: ARG001
        return make_problem(408, "the upload took too long")

    for kind in (RevisageError, MemoryError, OSError):
        app.add_exception_handler(kind, on_error)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(ClientDisconnect, on_leave)
    app.add_exception_handler(TimeoutError, on_slow)


def _detail(error: dict[str, Any]) -> str:
    """The error of a field; for an unknown one also the likely meaning."""
    if error["type"] == "extra_forbidden":
        return f"unknown field{did_you_mean(str(error['loc'][-1]), RestoreFields.model_fields, MEANT)}"
    message = str(error["msg"])
    if isinstance(error.get("input"), str) and message.startswith("Input should"):  # it leaves out the value
        return f"{message.removeprefix('Input ').partition(', unable to parse')[0]}, not {to_one_line(error['input'])}"
    return message
