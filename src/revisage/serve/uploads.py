"""Bodies of requests -> files, in memory up to a limit and on the disk beyond it; nothing of them stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive

IN_MEMORY = 2**20
"""Bytes of a file that are kept in memory; the rest goes to the disk."""
MAX_FIELDS = 100
MAX_FIELD_BYTES = 10_000
MAX_REFERENCES = 8
IMAGE, REFERENCE = "image", "reference"
"""Names of the parts that hold files."""


@dataclass
class Upload:
    """The parts of a request.

    Attributes:
        images: files and their names, as they were given.
        references: photos of the person to restore.
        fields: texts of the form.
    """

    images: list[tuple[BinaryIO, str]] = field(default_factory=list[tuple[BinaryIO, str]])
    references: list[BinaryIO] = field(default_factory=list[BinaryIO])
    fields: dict[str, str] = field(default_factory=dict[str, str])


@asynccontextmanager
async def receive_upload(
    request: Request, max_bytes: int, seconds: float, max_images: int = 1, *, raw: bool = True
) -> AsyncGenerator[Upload]:
    """Receive a body: a multipart form, or the bytes of one image. Its files are deleted on leaving.

    Args:
        request: nothing of its body has been read.
        max_bytes: of the body.
        seconds: in which the body must arrive.
        max_images: files in parts ``image``.
        raw: take the bytes of one image without a form.

    Raises:
        TimeoutError: it took longer.
        ClientDisconnect: the client left before the end.
        HTTPException: 400: no form; 413: too large; 415: another type of body; 422: no image, or too many.
        OSError: the disk is full.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HTTPException(415, "send the body as it is, without Content-Encoding")
    limited = Request(request.scope, _limit(request, max_bytes))
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        form = limited.form(max_files=max_images + MAX_REFERENCES, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
        async with asyncio.timeout(seconds):
            content = await form
        try:
            yield _checked(_sort_parts(content), max_images)
        finally:
            await content.close()
    elif raw and (kind in ("", "application/octet-stream") or kind.startswith("image/")):
        spooled: Any = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (closed with the upload)
        file = UploadFile(spooled, filename="image")
        try:
            async with asyncio.timeout(seconds):
                size = 0
                async for chunk in limited.stream():
                    size += len(chunk)
                    await file.write(chunk)
            await file.seek(0)
            yield _checked(Upload([(file.file, "image")] if size else []), max_images)
        finally:
            await file.close()
    else:
        bytes_alone = ", or the bytes of an image as image/* or application/octet-stream" if raw else ""
        raise HTTPException(415, f"send multipart/form-data{bytes_alone}")


def _limit(request: Request, max_bytes: int) -> Receive:
    """Wrap ``receive`` to take the body of a request, up to a limit; refuse it at once if its header exceeds it."""
    told = HTTPException(413, f"the upload is larger than the limit of {max_bytes / 1e6:g} MB")
    length, received = request.headers.get("content-length", "0"), 0
    if length.isdecimal() and int(length) > max_bytes:
        raise told

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > max_bytes:
            raise told
        return message

    return receive


def _sort_parts(form: FormData) -> Upload:
    upload = Upload()
    for name, value in form.multi_items():
        if isinstance(value, str):
            if name in upload.fields:
                raise HTTPException(422, f"{name} is given twice")
            upload.fields[name] = value
        elif name == IMAGE:
            upload.images.append((value.file, value.filename or "image"))
        elif name == REFERENCE:
            upload.references.append(value.file)
        else:
            raise HTTPException(422, f"no file is taken in a part {name!r}; name it {IMAGE!r}")
    return upload


def _checked(upload: Upload, max_images: int) -> Upload:
    if not upload.images:
        raise HTTPException(422, f"no image: send its bytes, or a form with a file in the part {IMAGE!r}")
    if len(upload.images) > max_images:
        raise HTTPException(422, f"{len(upload.images)} files are more than the limit of {max_images}")
    return upload
