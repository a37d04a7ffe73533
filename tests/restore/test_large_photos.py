"""Whole photos are held once: memory of a photo is that of its result, not several times as much."""

import tracemalloc

import numpy as np
import pytest

from revisage.images.write import write_image
from revisage.restore.align import TEMPLATE
from revisage.restore.pipeline import Restorer
from revisage.restore.upscale import TiledUpscaler, lanczos
from revisage.types import Face

RESULT = 2000 * 2800 * 3
"""Bytes of an enlarged photo."""
WORKING = 8e6
"""Bytes that tiles, crops and rows in progress may take besides."""


def photo(height=1000, width=1400, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (height, width, 3), dtype)


def peak(call):
    """Bytes of arrays that a call needs at a time."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def nearest_twice(x):
    return x.repeat(2, axis=2).repeat(2, axis=3)


def restore(scale, **options):
    landmarks = (TEMPLATE * 100 / 512 + 300).astype(np.float32)
    face = Face(np.array([300, 300, 400, 400], np.float32), landmarks, 0.9)
    upscale = TiledUpscaler(nearest_twice, 2, tile=100)
    restorer = Restorer("test", lambda _: [face], lambda x: -x, 64, upscale=upscale)
    return restorer(photo(), scale=scale, **options)


@pytest.mark.parametrize(
    ("options", "images"), [({"background_strength": 0.0}, 1), ({}, 1), ({"background_strength": 0.5}, 2)]
)
def test_background_and_faces_share_the_memory_of_the_result(options, images):
    assert peak(lambda: restore(2, **options)) < images * RESULT + WORKING + RESULT / 4  # the last: the photo itself


def test_a_network_that_enlarges_needs_no_enlarged_photo_for_a_result_of_the_same_size():
    assert peak(lambda: restore(1)) < 2 * RESULT / 4 + WORKING


def test_pieces_that_are_reduced_at_once_give_the_bytes_of_the_whole():
    upscaler = TiledUpscaler(nearest_twice, 2, tile=64)
    image = photo(150, 211)
    np.testing.assert_array_equal(upscaler(image, 1), lanczos(upscaler(image, 2), 0.5))


def test_the_callers_photo_stays_as_it_is_where_the_background_is_that_photo():
    image = photo(120, 160)
    before = image.copy()
    landmarks = (TEMPLATE * 80 / 512 + 20).astype(np.float32)
    face = Face(np.array([20, 20, 100, 100], np.float32), landmarks, 0.9)
    result = Restorer("test", lambda _: [face], lambda x: -x, 64, upscale=lambda given, _: given)(image, scale=1)
    assert (result.image != before).any()
    np.testing.assert_array_equal(image, before)


def test_sixteen_bits_become_eight_without_floats_of_the_whole(tmp_path):
    image = photo(dtype=np.uint16)
    assert peak(lambda: write_image(tmp_path / "o.jpg", image)) < 2 * image.size
