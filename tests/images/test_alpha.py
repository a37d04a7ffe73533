"""Transparency at a scale: hidden colors never bleed into what is visible."""

import cv2
import numpy as np
import PIL.Image
import pytest

from revisage.images import read_image, write_image
from revisage.images.alpha import extend_colors, with_alpha
from revisage.restore.upscale import lanczos

BACKGROUNDS = {"white": (255, 255, 255), "black": (0, 0, 0), "green": (0, 255, 0)}


def cutout(dtype=np.uint8, hidden=0, channels=3):
    """A colorful disk with a soft edge; under the transparency ``hidden`` lies."""
    y, x = np.mgrid[0:64, 0:64]
    alpha = np.clip(24.5 - np.hypot(x - 31.5, y - 31.5), 0, 1)
    colors = np.dstack([0.8 - 0.004 * x, 0.5 + 0.005 * y, 0.4 + 0.003 * x])[:, :, :channels]
    colors[alpha == 0] = hidden
    return np.rint(np.dstack([colors, alpha]) * np.iinfo(dtype).max).astype(dtype)


def composite(rgba, background):
    top = np.iinfo(rgba.dtype).max
    alpha = rgba[:, :, -1:] / top
    return rgba[:, :, :-1] * (255 / top) * alpha + np.array(background[: rgba.shape[2] - 1]) * (1 - alpha)


def edge_error(result, source, background):
    """Mean difference, in levels, from the composite enlarged, where the edge is soft."""
    expected = cv2.resize(composite(source, background), None, fx=2, fy=2, interpolation=cv2.INTER_LANCZOS4)
    soft = (result[:, :, -1] > 0) & (result[:, :, -1] < np.iinfo(result.dtype).max)
    assert soft.sum() > 200
    return np.abs(composite(result, background) - np.clip(expected, 0, 255))[soft].mean()


@pytest.mark.parametrize("hidden", [0, 1])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_hidden_colors_do_not_bleed_into_the_edge(background, dtype, hidden):
    source = cutout(dtype, hidden)
    result = with_alpha(lanczos(extend_colors(source), 2), source)
    assert edge_error(result, source, BACKGROUNDS[background]) < 1


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_a_file_with_transparency_at_scale_2_has_no_rim(tmp_path, background):
    PIL.Image.fromarray(cutout()).save(tmp_path / "a.png")
    write_image(tmp_path / "b.png", lanczos(read_image(tmp_path / "a.png"), 2), like=tmp_path / "a.png")
    result = np.asarray(PIL.Image.open(tmp_path / "b.png"))
    assert edge_error(result, cutout(), BACKGROUNDS[background]) < 1


def test_networks_see_the_visible_colors_go_on():
    extended = extend_colors(cutout())
    assert np.abs(extended.astype(int) - extend_colors(cutout(hidden=1))).max() == 0
    assert extended.min() > 80


def test_what_is_visible_stays_to_the_last_bit():
    source = cutout()
    assert np.array_equal(extend_colors(source)[source[:, :, 3] > 0], source[:, :, :3][source[:, :, 3] > 0])


def test_without_resampling_hidden_colors_stay():
    source = cutout(hidden=0.3)
    assert np.array_equal(with_alpha(extend_colors(source), source), source)


def test_gray_with_alpha_stays_gray():
    source = cutout(channels=1)
    result = with_alpha(np.repeat(extend_colors(source), 3, 2), source)
    assert result.shape == (64, 64, 4)
    assert np.array_equal(result[:, :, 0], result[:, :, 2])


def test_shrunk_transparency_is_averaged():
    result = with_alpha(np.zeros((32, 32, 3), np.uint8), cutout())
    assert abs(result[:, :, 3].mean() - cutout()[:, :, 3].mean()) < 0.5


@pytest.mark.parametrize("level", [0, 255])
def test_an_image_that_is_all_transparent_or_all_opaque_keeps_its_colors(level):
    source = np.dstack([cutout()[:, :, :3], np.full((64, 64), level, np.uint8)])
    assert np.array_equal(extend_colors(source), source[:, :, :3])
