"""One uploaded image -> its restoration or its faces; runs in a thread of the engine."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from revisage.batch.photos import restore_photo
from revisage.errors import InputError
from revisage.images import Photo, formats, read_image, read_photo, write_image
from revisage.images.decode import open_image
from revisage.images.fitting import find_misfit
from revisage.jobs.json_fields import face_fields
from revisage.restore.controls import Controls
from revisage.restore.pipeline import Restorer
from revisage.restore.select import sort_faces
from revisage.serve.engine import check_task
from revisage.serve.settings import Settings
from revisage.types import Image, RestoredFace

MEDIA_TYPES: Mapping[str, str] = {".jpg": "image/jpeg", ".png": "image/png", ".tif": "image/tiff"} | {
    f".{name}": f"image/{name}" for name in ("webp", "avif", "heic", "bmp", "gif")
}


@dataclass(frozen=True, eq=False)
class RestoredImage:
    """A restored image as it is sent.

    Attributes:
        data: the file.
        media_type: of the file.
        fields: what a JSON reply says of it.
    """

    data: bytes
    media_type: str
    fields: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        """Headers of an image reply."""
        left_out = "; ".join(self.fields["left_out"]).encode("ascii", "replace").decode()
        return {"X-Faces": str(len(self.fields["faces"]))} | ({"X-Left-Out": left_out} if left_out else {})


def restore_upload(
    restorer: Restorer,
    file: BinaryIO,
    controls: Controls,
    settings: Settings,
    *,
    format: str = "",
    keep_metadata: bool = True,
    include: Sequence[str] = (),
) -> RestoredImage:
    """Restore an image file.

    Args:
        restorer: restores it.
        file: the upload.
        controls: how.
        settings: limits.
        format: of the result, an extension without its dot; "": that of the upload, or PNG where it cannot hold it.
        keep_metadata: copy the metadata of the upload.
        include: "image" and "faces": what the JSON fields hold as base64.

    Raises:
        RevisageError: the image cannot be read or restored, or is beyond a limit.
    """
    start = time.perf_counter()
    data = file.read()
    photo = read_photo(data, max_pixels=settings.max_pixels)
    check_task()
    _check_output(photo, controls, settings.max_output_pixels)
    extension = _choose_format(data, photo, controls, format)
    restored = restore_photo(restorer, photo, restorer.resolve(controls))
    images = [one.image for one in restored.results]
    check_task()
    written = io.BytesIO()
    left_out = write_image(written, images, like=data, format=extension[1:], keep_metadata=keep_metadata)
    result = written.getvalue()
    media_type = MEDIA_TYPES[extension]
    fields: dict[str, Any] = {
        "width": images[0].shape[1],
        "height": images[0].shape[0],
        "media_type": media_type,
        "faces": [face_fields(*numbered) | _crops(numbered[1], include) for numbered in enumerate(restored.faces)],
        "left_out": list(left_out),
        "warnings": list(photo.warnings),
        "seconds": round(time.perf_counter() - start, 3),
    }
    if "image" in include:
        fields["image"] = base64.b64encode(result).decode()
    return RestoredImage(result, media_type, fields)


def detect_upload(
    restorer: Restorer, file: BinaryIO, order: str, min_score: float, settings: Settings
) -> dict[str, Any]:
    """Detect the faces of an image file.

    Args:
        restorer: detects them.
        file: the upload.
        order: of the numbers of faces, see ``Selection.order``.
        min_score: faces below it are left out.
        settings: limits.

    Raises:
        RevisageError: the image cannot be read, or is beyond a limit.
    """
    image = read_image(file, max_pixels=settings.max_pixels)
    check_task()
    numbered = enumerate(sort_faces(restorer.detect(image), order))
    faces = [face_fields(number, face) for number, face in numbered if face.score >= min_score]
    return {"width": image.shape[1], "height": image.shape[0], "faces": faces}


def read_references(files: Sequence[BinaryIO], settings: Settings) -> list[Image]:
    """Read photos of the person to restore."""
    return [read_image(file, max_pixels=settings.max_pixels) for file in files]


def _check_output(photo: Photo, controls: Controls, most: int) -> None:
    """Refuse a result that would be too large."""
    pixels = sum(frame.shape[0] * frame.shape[1] for frame in photo.frames) * controls.scale**2
    if pixels > most and not controls.aligned:
        told = f"the result would have {pixels / 1e6:.4g} million pixels, more than the limit of {most / 1e6:g}"
        raise InputError(f"{told}; choose a smaller scale")


def _choose_format(data: bytes, photo: Photo, controls: Controls, format: str) -> str:
    """The extension of the result, with its dot.

    Raises:
        InputError: the format that was asked for cannot hold it.
    """
    scale = 0 if controls.aligned else controls.scale
    if format:
        extension = formats.extension_of(formats.FORMATS[f".{format}"])
        if misfit := find_misfit(photo, extension, scale):
            raise InputError(f"format: {misfit}")
        return extension
    found = formats.by_name(open_image(data).opened.format) or formats.PNG
    extension = formats.extension_of(found)
    return ".png" if find_misfit(photo, extension, scale) else extension


def _crops(face: RestoredFace, include: Sequence[str]) -> dict[str, str]:
    """A face before and after as base64 of PNG files, if they are wanted and there."""
    if "faces" not in include or face.crop is None or face.restored is None:
        return {}
    return {
        name: base64.b64encode(_png(crop)).decode() for name, crop in (("crop", face.crop), ("restored", face.restored))
    }


def _png(image: Image) -> bytes:
    written = io.BytesIO()
    write_image(written, image, format="png")
    return written.getvalue()
