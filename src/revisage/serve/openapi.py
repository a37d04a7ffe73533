"""The parts of the OpenAPI description that no signature says: bodies, and examples of replies."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from revisage.serve.problems import Problem
from revisage.serve.uploads import IMAGE, REFERENCE

FILE = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
FACE = {
    "number": 0,
    "box": [110.4, 81.2, 289.7, 320.1],
    "landmarks": [[158.1, 171.0], [238.6, 169.2], [199.9, 220.3], [165.2, 262.8], [233.0, 261.1]],
    "score": 0.9987,
}
RESTORED = {"status": "restored", "reason": "", "strength": 1.0, "similarity": None, "change": 6.1}
NUMBERS = {"type": "array", "items": {"type": "number"}}
FACES = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["number", "box", "landmarks", "score"],
        "properties": {
            "number": {"type": "integer", "description": "By which `faces` selects."},
            "box": {**NUMBERS, "type": ["array", "null"], "description": "x1, y1, x2, y2 in pixels of the upload."},
            "landmarks": {
                "type": ["array", "null"],
                "items": NUMBERS,
                "description": "Image-left eye, image-right eye, nose, image-left and image-right mouth corner.",
            },
            "score": {"type": "number", "description": "Of the detection, 0 to 1."},
            "status": {"type": "string", "description": "restored, not selected, too small, kept or failed."},
            "reason": {"type": "string", "description": "Why it was not restored, or empty."},
            "strength": {"type": "number"},
            "similarity": {"type": ["number", "null"], "description": "To itself before; with `min_identity`."},
            "change": {"type": "number", "description": "Mean change in levels of 255."},
            "crop": {"type": "string", "contentEncoding": "base64", "description": "PNG before, if asked for."},
            "restored": {"type": "string", "contentEncoding": "base64", "description": "PNG after, if asked for."},
        },
    },
}
SIZE: dict[str, Any] = {"width": {"type": "integer"}, "height": {"type": "integer"}}

JOB: dict[str, Any] = {
    "schema": {
        "type": "object",
        "required": ["id", "state", "error", "total", "done", "files"],
        "properties": {
            "id": {"type": "string"},
            "model": {"type": "string"},
            "fields": {"type": "object", "description": "Controls, as they were given."},
            "state": {"enum": ["queued", "running", "done", "failed", "cancelled"]},
            "error": {"type": "string", "description": "Why it failed, or empty."},
            "created": {"type": "number", "description": "Seconds since 1970."},
            "finished": {"type": "number", "description": "Seconds since 1970, or 0."},
            "total": {"type": "integer", "description": "Files of the job."},
            "done": {"type": "integer", "description": "Files that are restored or failed."},
            "frames": {"type": "integer", "description": "Frames that are done of the video in progress."},
            "all_frames": {"type": "integer", "description": "Frames of that video, 0 if unknown."},
            "files": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "result", "status", "error", "faces"],
                    "properties": {
                        "name": {"type": "string"},
                        "result": {"type": ["string", "null"], "description": "Name of the result, if there is one."},
                        "status": {"enum": ["done", "failed"]},
                        "error": {"type": "string"},
                        "faces": FACES,
                    },
                },
            },
        },
    },
    "example": {
        "id": "0123456789abcdef0123456789abcdef",
        "model": "",
        "fields": {"scale": 2.0},
        "state": "done",
        "error": "",
        "created": 1790000000.0,
        "finished": 1790000003.5,
        "total": 1,
        "done": 1,
        "frames": 0,
        "all_frames": 0,
        "files": [
            {
                "name": "photo.jpg",
                "result": "photo.jpg",
                "status": "done",
                "error": "",
                "faces": [FACE | RESTORED],
                "left_out": [],
                "warnings": [],
                "seconds": 0.41,
            }
        ],
    },
}


def body_of(fields: type[BaseModel], *, references: bool = False, many: bool = False) -> dict[str, Any]:
    """The body of a route: a form with these fields, or the bytes of an image.

    Args:
        fields: of the form; they may also stand in the query.
        references: the form may hold photos of the person to restore.
        many: the form holds several files, and bytes alone are not taken.
    """
    texts = fields.model_json_schema()["properties"]
    image: dict[str, Any] = {"type": "array", "items": FILE, "minItems": 1} if many else dict(FILE)
    properties: dict[str, Any] = {IMAGE: image, **texts}
    if references:
        properties[REFERENCE] = {"type": "array", "items": FILE, "description": "Photos of the person to restore."}
    form = {"type": "object", "required": [IMAGE], "properties": properties, "additionalProperties": False}
    content: dict[str, Any] = {"multipart/form-data": {"schema": form}}
    if not many:
        content |= {kind: {"schema": FILE} for kind in ("application/octet-stream", "image/jpeg", "image/png")}
    return {"requestBody": {"required": True, "content": content}}


def face_schema() -> dict[str, Any]:
    """What ``/v1/detect`` sends."""
    schema = {"type": "object", "required": ["width", "height", "faces"], "properties": {**SIZE, "faces": FACES}}
    return {"schema": schema, "example": {"width": 400, "height": 400, "faces": [FACE]}}


def restored_schema() -> dict[str, Any]:
    """The JSON that ``/v1/restore`` sends."""
    texts = {"type": "array", "items": {"type": "string"}}
    properties: dict[str, Any] = {
        "model": {"type": "string"},
        **SIZE,
        "media_type": {"type": "string", "description": "Of the image that would be sent, or is in `image`."},
        "faces": FACES,
        "left_out": {**texts, "description": "What the upload holds and the result does not."},
        "warnings": texts,
        "seconds": {"type": "number"},
        "image": {"type": "string", "contentEncoding": "base64", "description": "The result, if asked for."},
    }
    required = [name for name in properties if name != "image"]
    example = {
        "model": "embedded",
        "width": 800,
        "height": 800,
        "media_type": "image/jpeg",
        "faces": [FACE | RESTORED],
        "left_out": [],
        "warnings": [],
        "seconds": 0.412,
    }
    return {"schema": {"type": "object", "required": required, "properties": properties}, "example": example}


def describe(app: FastAPI) -> None:
    """Add to the description of an application the schema of errors, which no signature names."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        described = make()
        described.setdefault("components", {}).setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        return described

    app.openapi = openapi
