import numpy as np
import pytest

from revisage.errors import InputError
from revisage.geometry import compose, footprint, intersection, invert, resizing, shift

ROTATION = np.array([[0.8, -0.6, 5.0], [0.6, 0.8, -3.0]])


def test_a_map_and_its_inverse_cancel():
    np.testing.assert_allclose(compose(invert(ROTATION), ROTATION), shift(0, 0), atol=1e-12)


def test_compose_applies_the_second_map_first():
    np.testing.assert_allclose(compose(resizing(2, 2), shift(1, 0))[:, 2], [2.5, 0.5])


def test_resizing_keeps_the_corners_of_the_picture():
    corner = resizing(3, 0.5)
    np.testing.assert_allclose(corner[:, :2] @ [-0.5, -0.5] + corner[:, 2], [-0.5, -0.5])


@pytest.mark.parametrize("matrix", [np.zeros((2, 3)), np.full((2, 3), np.nan), np.array([[1.0, 2, 0], [2, 4, 0]])])
def test_a_map_without_an_inverse_is_an_input_error(matrix):
    with pytest.raises(InputError, match="no inverse"):
        invert(matrix)


def test_footprint_is_clipped_to_the_picture():
    assert footprint(shift(-5, 90), 20, (100, 200, 3), margin=1) == (0, 88, 17, 100)


def test_footprint_of_a_crop_outside_is_empty():
    left, _, right, _ = footprint(shift(500, 0), 20, (100, 200, 3), margin=2)
    assert left == right


def test_intersection_of_boxes_that_only_touch_is_none():
    assert intersection((0, 0, 10, 10), (10, 0, 20, 10)) is None
    assert intersection((0, 0, 10, 10), (5, -5, 20, 7)) == (5, 0, 10, 7)
