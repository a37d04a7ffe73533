"""``POST /v1/restore`` and ``POST /v1/detect``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from revisage.restore.pipeline import Restorer
from revisage.serve.engine import Engine
from revisage.serve.fields import DetectFields, RestoreFields, controls_of, with_form
from revisage.serve.one_image import MEDIA_TYPES, RestoredImage, detect_upload, read_references, restore_upload
from revisage.serve.openapi import body_of, face_schema, restored_schema
from revisage.serve.problems import OF_UPLOADS
from revisage.serve.replies import JSON, choose_reply, run_while_connected
from revisage.serve.uploads import receive_upload

BINARY = {"schema": {"type": "string", "format": "binary"}}


def make_router(engine: Engine) -> APIRouter:
    """Routes that answer with what one image became."""
    settings = engine.settings
    router = APIRouter(tags=["restore"], responses=OF_UPLOADS)

    @router.post(
        "/v1/restore",
        summary="Restore the faces of an image.",
        response_class=Response,
        responses={
            200: {
                "description": "The image, in the format of the upload, `format` or `Accept`; or JSON.",
                "content": {"application/json": restored_schema(), **dict.fromkeys(MEDIA_TYPES.values(), BINARY)},
            }
        },
        openapi_extra=body_of(RestoreFields, references=True),
    )
    async def restore(request: Request, fields: Annotated[RestoreFields, Query()]) -> Response:
        """Send the bytes of an image, or a form with a file in the part `image`.

        Controls are fields of the query or of the form. `Accept: application/json` asks for the faces instead of the
        image. Animations and pages are restored frame by frame.
        """
        reply = choose_reply(request.headers.get("accept", ""))
        async with receive_upload(request, settings.max_bytes, settings.max_seconds) as upload:
            given: Any = with_form(fields, upload.fields)

            def work(restorer: Restorer) -> RestoredImage:
                return restore_upload(
                    restorer,
                    upload.images[0][0],
                    controls_of(given, read_references(upload.references, settings)),
                    settings,
                    format=given.format or ("" if reply == JSON else reply),
                    keep_metadata=given.metadata == "keep",
                    include=given.include.split(","),
                )

            restored = await run_while_connected(request, engine, work, given.model)
        if reply == JSON:
            model = given.model or engine.models()[0].name
            return JSONResponse({"model": model, **restored.fields})
        return Response(restored.data, media_type=restored.media_type, headers=restored.headers)

    @router.post(
        "/v1/detect",
        summary="Find the faces of an image.",
        response_class=JSONResponse,
        responses={200: {"description": "The faces.", "content": {"application/json": face_schema()}}},
        openapi_extra=body_of(DetectFields),
    )
    async def detect(request: Request, fields: Annotated[DetectFields, Query()]) -> JSONResponse:
        """Send an image as for `/v1/restore`. Faces have the numbers by which `faces` of `/v1/restore` selects."""
        async with receive_upload(request, settings.max_bytes, settings.max_seconds) as upload:
            given: Any = with_form(fields, upload.fields)
            selection = controls_of(given).selection

            def work(restorer: Restorer) -> dict[str, Any]:
                return detect_upload(restorer, upload.images[0][0], selection.order, selection.min_score, settings)

            return JSONResponse(await run_while_connected(request, engine, work))

    return router
