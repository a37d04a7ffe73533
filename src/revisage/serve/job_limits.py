"""Limits of the files of a job, checked by their headers: when they come, and of videos once more before the work."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from revisage.errors import ImageError, InputError
from revisage.images.decode import count_pixels, open_image
from revisage.jobs.collector import VIDEOS
from revisage.restore.controls import Controls
from revisage.serve.settings import Settings


def check_upload(path: Path, controls: Controls, video_scale: float, settings: Settings) -> None:
    """Refuse an image or video of too many pixels. Files that cannot be read are reported by the job.

    Raises:
        InputError: it has too many, or is a video, and PyAV is not installed.
    """
    is_video = path.suffix.lower() in VIDEOS
    if is_video:
        _require_pyav()
    try:
        pixels = _video_pixels(path) if is_video else count_pixels(open_image(path))
    except InputError:
        return
    scale = video_scale if is_video else 1 if controls.aligned else controls.scale
    _check(path.name, pixels, scale, settings)


def check_video(path: Path, scale: float, settings: Settings) -> None:
    """Refuse a video whose frames have too many pixels; its name need not say that it is one (InputError)."""
    _check(path.name, _video_pixels(path), scale, settings)


def check_reference(file: BinaryIO, settings: Settings) -> None:
    """Refuse a photo of the person to restore that no file of the job could be restored with (InputError)."""
    try:
        open_image(file.read(), settings.max_pixels, allow_damaged=False)
    except ImageError as error:
        raise InputError(f"reference: {error}") from error
    file.seek(0)


def _require_pyav() -> None:
    import revisage.video.restore  # noqa: F401  # pyright: ignore[reportUnusedImport]


def _video_pixels(path: Path) -> int:
    """Pixels of a frame, as the header has them (InputError: it cannot be read)."""
    from revisage.video.reading import read_header

    header = read_header(path)
    return header.width * header.height


def _check(name: str, pixels: int, scale: float, settings: Settings) -> None:
    for count, most in ((pixels, settings.max_pixels), (pixels * scale**2, settings.max_output_pixels)):
        if count > most:
            raise InputError(f"{name}: {count / 1e6:g} million pixels are more than the limit of {most / 1e6:g}")
