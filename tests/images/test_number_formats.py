import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revisage.images.pixels import from_float, from_nchw, to_float, to_nchw


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_level_survives_the_way_to_float_and_back(dtype):
    levels = np.arange(np.iinfo(dtype).max + 1, dtype=dtype)[None, :, None].repeat(3, axis=2)
    assert np.array_equal(from_float(to_float(levels), dtype), levels)


def test_levels_are_rounded_not_truncated():
    image = np.full((1, 1, 3), 199.6 / 255, np.float32)
    assert (from_float(image, np.uint8) == 200).all()


@given(st.floats(-10, 10, width=32))
def test_values_outside_the_range_are_clipped(value):
    image = np.full((1, 1, 3), value, np.float32)
    assert 0 <= from_float(image, np.float32).min() <= from_float(image, np.float32).max() <= 1
    # The product is taken in float32, so next to a half either neighbour is right.
    assert abs(int(from_float(image, np.uint16)[0, 0, 0]) - min(max(value, 0), 1) * 65535) <= 0.51


def test_network_input_is_rgb_planes_between_minus_one_and_one():
    image = np.zeros((2, 4, 3), np.float32)
    image[..., 0] = 1
    tensor = to_nchw([image])
    assert tensor.shape == (1, 3, 2, 4)
    assert (tensor[0, 0] == 1).all()
    assert (tensor[0, 1:] == -1).all()


def test_network_input_and_image_are_inverse():
    image = np.random.default_rng(0).random((8, 8, 3), dtype=np.float32)
    assert np.allclose(from_nchw(to_nchw([image]))[0], image, atol=1e-7)


def test_other_dtypes_are_refused():
    with pytest.raises(TypeError, match="int32"):
        to_float(np.zeros((1, 1, 3), np.int32))
