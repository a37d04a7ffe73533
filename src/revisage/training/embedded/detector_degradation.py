"""How photographs of faces get small, blurred, noisy, dark and old: strong degradation for training a detector.

Works on uint8, in place where it can: a detector sees many times more pixels than a restorer and cares less about exact
values. Order: lens (blur), sensor or print (shrink, tone, noise), file (JPEG), screen (enlarge), age (scratches), file.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.training.data.degradations.steps import LUMA

Pixels = NDArray[np.uint8]

SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]], np.float32)
GRAY = np.tile(LUMA, (3, 1))
ENLARGE = (cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4, cv2.INTER_NEAREST)
SHRINK = (cv2.INTER_AREA, cv2.INTER_AREA, cv2.INTER_LINEAR)
_BANK_SIZE = 1 << 21


class DetectorDegradation:
    """Degrades images.

    Args:
        seed: of the bank of noise that is drawn once; taking parts of it is far quicker than drawing anew.
    """

    def __init__(self, seed: int = 0) -> None:
        bank = np.random.default_rng((seed, 77)).standard_normal(_BANK_SIZE, dtype=np.float32)
        self._bank = np.clip(bank * 32, -127, 127).astype(np.int8)  # 1/32 of a standard deviation a level

    def __call__(self, image: Pixels, rng: np.random.Generator, strongest: float = 3.0) -> tuple[Pixels, float]:
        """Degrade (H, W, 3) uint8 RGB; ``strongest`` bounds the loss of resolution.

        Returns the image, of the same size, and by how much its finest details have grown (1: none lost).
        """
        if rng.random() < 0.12:
            return image, 1.0
        height, width = image.shape[:2]
        loss = 1.0
        if rng.random() < 0.5:
            image, loss = blur(image, rng, strongest)
        if rng.random() < 0.5:
            factor = strongest ** rng.random()
            size = max(round(width / factor), 4), max(round(height / factor), 4)
            image = np.asarray(cv2.resize(image, size, interpolation=int(rng.choice(SHRINK))), np.uint8)
            loss = float(np.hypot(loss, factor)) if loss > 1 else factor
        if rng.random() < 0.6:
            image = adjust_tone(image, rng)
        if rng.random() < 0.55:
            image = self.add_noise(image, rng, 25 * rng.random() ** 1.5 + 1)
        if rng.random() < 0.65:
            image = jpeg(image, int(rng.integers(20, 96)))
        if image.shape[:2] != (height, width):
            method = int(rng.choice(ENLARGE))
            image = np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
        if rng.random() < 0.08:
            image = scratch(image, rng)
        if rng.random() < 0.2:
            image = jpeg(self.add_noise(image, rng, 4 * rng.random()), int(rng.integers(60, 96)))
        return image, loss

    def add_noise(self, image: Pixels, rng: np.random.Generator, sigma: float) -> Pixels:
        """Add Gaussian noise of ``sigma`` levels; in a third of the cases the same in all channels."""
        height, width = image.shape[:2]
        channels = 1 if rng.random() < 1 / 3 else 3
        count = height * width * channels
        start = int(rng.integers(0, max(_BANK_SIZE - count, 1)))
        noise = np.resize(self._bank[start : start + count], (height, width, channels))
        return np.clip(image + noise * np.float32(sigma / 32), 0, 255).astype(np.uint8)


def blur(image: Pixels, rng: np.random.Generator, strongest: float) -> tuple[Pixels, float]:
    """Gaussian, defocus or motion blur -> (image, growth of details); the growth stays below ``strongest``."""
    growth = strongest ** rng.random()
    kind = rng.random()
    if kind < 0.6:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), growth / 2), np.uint8), growth
    length = max(round(1.5 * growth), 2)
    kernel = np.zeros((2 * length + 1, 2 * length + 1), np.float32)
    if kind < 0.8:
        cv2.circle(kernel, (length, length), length // 2, 1.0, -1, cv2.LINE_AA)
    else:
        angle = rng.uniform(0, np.pi)
        end = length * np.cos(angle), length * np.sin(angle)
        first, last = (tuple(round(float(length + sign * value)) for value in end) for sign in (-1, 1))
        cv2.line(kernel, first, last, 1.0, 1, cv2.LINE_AA)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8), growth


def adjust_tone(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Gray, sepia or a color cast, then another brightness, contrast and gamma (down to very dark)."""
    kind = rng.random()
    if kind < 0.35:
        mix = SEPIA if kind < 0.08 else GRAY
        image = np.asarray(cv2.transform(image, mix), np.uint8)
    levels = np.arange(256, dtype=np.float32) / 255
    gamma = float(np.exp(rng.normal(0, 0.35)))
    gain = rng.uniform(0.15, 0.6) if rng.random() < 0.25 else rng.uniform(0.7, 1.3)
    cast = rng.normal(1, 0.08, 3) if kind > 0.35 else np.ones(3)
    offset = rng.uniform(-0.1, 0.2) if rng.random() < 0.4 else 0.0
    curve = (levels[:, None] ** gamma * gain * cast + offset) * 255
    return np.asarray(cv2.LUT(image, np.clip(curve, 0, 255).astype(np.uint8)[None]), np.uint8)


def jpeg(image: Pixels, quality: int) -> Pixels:
    """Through a JPEG encoder and back. The channel order is of no account here: luma weights differ a little."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"no JPEG of an image of shape {image.shape}")
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def scratch(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Thin bright or dark lines and spots, as on old prints."""
    image = image.copy()
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(2, 12))):
        level = float(rng.choice((rng.uniform(0, 60), rng.uniform(190, 255))))
        x, y = int(rng.integers(width)), int(rng.integers(height))
        if rng.random() < 0.5:
            end = int(x + rng.normal(0, width / 12)), int(y + rng.normal(0, height / 2))
            cv2.line(image, (x, y), end, (level, level, level), 1, cv2.LINE_AA)
        else:
            cv2.circle(image, (x, y), int(rng.integers(1, 4)), (level, level, level), -1, cv2.LINE_AA)
    return image
