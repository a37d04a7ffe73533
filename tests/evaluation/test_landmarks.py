import math

import numpy as np
import pytest

from revisage.evaluation.metrics.landmarks import landmark_distance

POINTS = np.array([[40.0, 50.0], [80, 50], [60, 70], [45, 90], [75, 90]])


def test_distance_is_the_mean_over_points_in_pixels_at_512():
    moved = POINTS.copy()
    moved[0] += [3, 4]
    assert landmark_distance(POINTS, moved, 512) == pytest.approx(1)
    assert landmark_distance(POINTS, moved, 128) == pytest.approx(4)


def test_equal_points_have_no_distance():
    assert landmark_distance(POINTS, POINTS, 256) == 0


@pytest.mark.parametrize("pair", [(None, POINTS), (POINTS, None), (None, None)])
def test_without_a_face_there_is_no_figure(pair):
    assert math.isnan(landmark_distance(*pair, 512))
