"""Images to compare two forms of a network on: a real face, in the size and range that each role takes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.types import Array

INPUT_RANGES = {"detector": (0, 255), "upscaler": (0, 1), "repairer": (0, 1)}
"""Role -> values that stand for black and white; (-1, 1) for the other roles."""
CROP_FROM_PHOTO = np.array([[3.85398, 0.28109, -442.674], [-0.28109, 3.85398, -9.2067]])
"""The alignment of the photo's only face in a crop of 512 pixels; a test holds it to what the detector says."""
MIN_PSNR = 45.0
"""dB against float32 that a half-precision form of a network must keep; the difference is then hardly visible."""


def check_images(role: str, height: int, width: int, count: int = 2) -> NDArray[np.float32]:
    """(count, 3, height, width) RGB in the range of the role of a network, the same images every time.

    Restorers, parsers and embedders get the aligned face, the others the photo. Every second image is mirrored, all but
    the first are noisy.
    """
    photo = _read_photo()
    if role in INPUT_RANGES:
        factors = width / photo.shape[1], height / photo.shape[0]
        matrix = np.array([[factors[0], 0, 0], [0, factors[1], 0]])
    else:
        matrix = CROP_FROM_PHOTO * np.array([[width / 512], [height / 512]])
    image: Array = cv2.warpAffine(photo, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    rng = np.random.default_rng(0)
    images = np.stack([image[:, ::-1] if index % 2 else image for index in range(count)]).astype(np.float32) / 255
    images[1:] += rng.normal(0, 0.05, images[1:].shape)
    low, high = INPUT_RANGES.get(role, (-1, 1))
    scaled = images.clip(0, 1).transpose(0, 3, 1, 2) * (high - low) + low
    return np.ascontiguousarray(scaled, np.float32)


@cache
def _read_photo() -> NDArray[np.uint8]:
    """(400, 400, 3) RGB; shared, not to be written to."""
    content = (files("revisage") / "weights" / "check_photo.jpg").read_bytes()
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(decoded[..., ::-1], np.uint8)


def largest_difference(outputs: Sequence[Array], exact: Sequence[Array]) -> float:
    """Largest absolute difference between the outputs of two forms of a network."""
    return max(float(np.abs(a - b).max()) for a, b in zip(outputs, exact, strict=True))


def psnr(outputs: Sequence[Array], exact: Sequence[Array]) -> float:
    """PSNR in dB of a network's outputs against exact ones, the lowest of all outputs.

    The peak is the range of the exact output, so that images, scores and embeddings are measured alike. Infinite for
    equal outputs, -inf for outputs that are not finite.
    """
    lowest = np.inf
    for output, reference in zip(outputs, exact, strict=True):
        error = float(np.sqrt(np.mean(np.square(output - reference, dtype=np.float64))))
        if not np.isfinite(error):
            return -np.inf
        peak = float(reference.max() - reference.min())
        if error:
            lowest = min(lowest, 20 * np.log10(max(peak, 1e-12) / error))
    return float(lowest)
