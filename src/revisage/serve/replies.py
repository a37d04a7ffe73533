"""Which reply a client wants, and leaving work that nobody awaits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from revisage.restore.pipeline import Restorer
from revisage.serve.engine import Engine, TooSlowError

Result = TypeVar("Result")

JSON = "json"
ACCEPTED = {
    "*/*": "",
    "image/*": "",
    "application/json": JSON,
    "application/*": JSON,
    **{f"image/{name}": name for name in ("png", "webp", "avif", "heic", "bmp")},
    "image/jpeg": "jpg",
    "image/tiff": "tif",
}
"""Media type -> ``JSON``, a format, or "" for an image like the upload."""


def choose_reply(accept: str) -> str:
    """Choose what to send by an ``Accept`` header; see ``ACCEPTED``.

    Raises:
        HTTPException: 406: nothing of it can be sent.
    """
    wanted: list[tuple[float, str]] = []
    for entry in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in entry.split(";"))
        quality = next((one[2:] for one in parameters if one.startswith("q=")), "1")
        try:
            wanted.append((-float(quality), kind))
        except ValueError:
            continue
    for quality, kind in sorted(wanted, key=lambda one: one[0]):
        if kind in ACCEPTED and quality < 0:
            return ACCEPTED[kind]
    if not accept.strip():
        return ""
    raise HTTPException(406, f"an image or application/json can be sent, not {accept[:200]!r}")


async def run_while_connected(
    request: Request, engine: Engine, work: Callable[[Restorer], Result], model: str = ""
) -> Result:
    """Run work; it is cancelled when the client leaves. The body must have been received.

    Raises:
        ClientDisconnect: the client left.
        TooSlowError: it took longer than the server allows, in whatever step it is.
        RevisageError: as the engine and the work raise it.
    """
    done = asyncio.ensure_future(engine.run(work, model))
    left = asyncio.ensure_future(_wait_until_left(request))
    try:
        seconds = engine.settings.max_seconds
        await asyncio.wait([done, left], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            return done.result()
        raise ClientDisconnect if left.done() else TooSlowError
    finally:
        for one in (done, left):
            one.cancel()
        await asyncio.gather(done, left, return_exceptions=True)


async def _wait_until_left(request: Request) -> None:
    message: Any = {}
    while message.get("type") != "http.disconnect":
        message = await request.receive()
