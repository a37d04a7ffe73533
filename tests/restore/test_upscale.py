import numpy as np
import pytest

from revisage.errors import InputError
from revisage.restore.upscale import lanczos


def dot(scale, dtype=np.float32):
    """A smooth spot at a known place -> its centroid in the enlarged picture."""
    y, x = np.mgrid[:41, :51]
    spot = np.exp(-((x - 23) ** 2 + (y - 18) ** 2) / (2 * 3.0**2)).astype(np.float32)
    weight = lanczos(np.repeat(spot[..., None], 3, 2), scale)[..., 0]
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return (columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()


@pytest.mark.parametrize("scale", [1, 1.3, 2, 2.5, 3, 4])
def test_pixel_centres_go_where_the_docstring_says(scale):
    shift = (scale - 1) / 2
    assert dot(scale) == pytest.approx((23 * scale + shift, 18 * scale + shift), abs=0.02)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_flat_pictures_stay_flat(dtype):
    value = 0.3 if dtype == np.float32 else 77
    assert np.allclose(lanczos(np.full((9, 9, 3), value, dtype), 2.7), value)


def test_overshoot_stays_in_range():
    edge = np.zeros((16, 16, 3), np.float32)
    edge[:, 8:] = 1
    assert 0 <= lanczos(edge, 3).min() <= lanczos(edge, 3).max() <= 1


def test_scale_one_is_the_picture_itself():
    image = np.zeros((3, 3, 3), np.uint8)
    assert lanczos(image, 1) is image


def test_nothing_left_is_refused():
    with pytest.raises(InputError, match="nothing would be left"):
        lanczos(np.zeros((1, 1, 3), np.uint8), 0.2)
