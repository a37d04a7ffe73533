import cv2
import numpy as np
import pytest

from revisage.restore.background import (
    BLOCKED,
    AutoUpscaler,
    estimate_blocking,
    estimate_noise,
    estimate_sharpness,
    mix,
    needs_repair,
)
from revisage.restore.upscale import TiledUpscaler, lanczos


def scene(side=256):
    """Blocks with sharp edges, and smooth shades between: (side, side, 3) float32."""
    rng = np.random.default_rng(0)
    coarse = rng.random((side // 16, side // 16), np.float32)
    sharp = np.kron(coarse, np.ones((16, 16), np.float32))
    sharp[:, : side // 2] = cv2.resize(coarse, (side // 2, side), interpolation=cv2.INTER_CUBIC)
    return np.repeat(np.clip(sharp, 0, 1)[..., None], 3, 2)


def noisy(levels):
    noise = np.random.default_rng(1).normal(0, levels / 255, scene().shape[:2]).astype(np.float32)
    return (scene() * 0.6 + 0.2 + noise[..., None]).astype(np.float32)


@pytest.mark.parametrize("levels", [3, 6, 12])
def test_noise_is_estimated(levels):
    assert estimate_noise(noisy(levels)[..., 0]) == pytest.approx(levels, rel=0.25)


def test_shades_and_edges_are_no_noise():
    assert estimate_noise(scene()[..., 0]) < 1


def test_blur_lowers_the_sharpness():
    luma = scene()[..., 0]
    values = [estimate_sharpness(cv2.GaussianBlur(luma, (0, 0), sigma)) for sigma in (0.5, 1, 2, 4)]
    assert values == sorted(values, reverse=True)


def compressed(image, quality):
    """(H, W) luma in [0, 1] of a float photo that went through a JPEG file."""
    pixels = np.rint(image * 255).astype(np.uint8)
    decoded = cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)
    return decoded.astype(np.float32) / 255


def clouds(side=256):
    """Smooth shapes and a little noise: (side, side, 3) float32."""
    rng = np.random.default_rng(0)
    shapes = cv2.GaussianBlur(rng.standard_normal((side, side), np.float32), (0, 0), 6)
    noise = rng.normal(0, 3 / 255, (side, side)).astype(np.float32)
    return np.repeat(np.clip(0.5 + 0.12 * shapes / shapes.std() + noise, 0, 1)[..., None], 3, 2)


def test_blocks_are_seen_in_a_photo_that_was_compressed_too_much_and_not_in_an_ordinary_one():
    heights = [estimate_blocking(compressed(clouds(), quality)) for quality in (90, 75, 50, 25)]
    assert heights[0] < BLOCKED < heights[2]
    assert heights == sorted(heights)
    assert needs_repair(np.repeat(compressed(clouds(), 25)[..., None], 3, 2))


def test_blocks_are_found_in_a_cropped_photo():
    luma = compressed(clouds(), 25)
    assert estimate_blocking(luma[5:, 3:]) == pytest.approx(estimate_blocking(luma), rel=0.2)


def test_stripes_of_a_photo_are_no_blocks():
    fence = np.full((256, 256), 0.5, np.float32)
    fence[:, ::8] = 0.2
    assert estimate_blocking(fence) < 0.01


def test_a_flat_photo_counts_as_good():
    assert not needs_repair(np.full((64, 64, 3), 90, np.uint8))


def test_a_sharp_photo_is_left_to_lanczos_and_a_noisy_one_is_repaired():
    auto = AutoUpscaler(TiledUpscaler(lambda x: x.repeat(2, -1).repeat(2, -2), 2))
    assert auto.choose(scene()) is lanczos
    assert auto.choose(noisy(8)) is auto.repair


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 200, 3), (40, 3, 3)])
def test_small_photos_have_an_estimate(shape):
    assert needs_repair(np.zeros(shape, np.uint16)) is False


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_share_of_the_repair_lies_between(dtype):
    dark, light = np.zeros((300, 2, 3), dtype), np.full((300, 2, 3), 1 if dtype == np.float32 else 200, dtype)
    assert mix(dark, light.copy(), 0.5) == pytest.approx(light / 2, abs=1e-6 if dtype == np.float32 else 1)
