"""Embeddings, verification, landmarks and detections: distances, rates and counts against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revisage.evaluation.metrics.faces import (
    DetectionEvaluator,
    angle,
    central_landmarks,
    cosine_distance,
    equal_error,
    euclidean_distance,
    landmark_error,
    roc_auc,
    threshold_at,
    verification,
)
from revisage.types import Face

vectors = st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3).map(np.array).filter(lambda v: v @ v > 0.01)


@pytest.mark.parametrize("degrees", [0, 30, 90, 179])
def test_angles_are_in_degrees(degrees):
    radians = math.radians(degrees)
    assert angle(np.array([2.0, 0.0]), np.array([math.cos(radians), math.sin(radians)])) == pytest.approx(degrees)


@given(vectors, vectors, st.floats(0.1, 10))
def test_angle_and_cosine_do_not_depend_on_length_or_order(a, b, factor):
    assert 0 <= angle(a, b) <= 180
    assert cosine_distance(a, b) == pytest.approx(cosine_distance(factor * b, a), abs=1e-9)
    assert math.cos(math.radians(angle(a, b))) == pytest.approx(1 - cosine_distance(a, b), abs=1e-9)


def test_equal_descriptors_have_no_distance():
    a = np.array([0.3, -0.1, 0.2], np.float32)
    assert (angle(a, a), cosine_distance(a, a), euclidean_distance(a, a)) == pytest.approx((0, 0, 0), abs=1e-5)


def test_euclidean_distance_is_the_length_of_the_difference():
    assert euclidean_distance(np.array([1.0, 2.0]), np.array([4.0, 6.0])) == 5


VALUES = st.lists(st.floats(-1, 1).map(lambda value: round(value, 2)), min_size=1, max_size=30)


@given(VALUES, VALUES)
def test_the_area_is_the_share_of_pairs_in_order(same, different):
    order = np.subtract.outer(same, different)
    assert roc_auc(same, different) == pytest.approx(((order > 0) + 0.5 * (order == 0)).mean())


def test_kinds_that_do_not_overlap_are_told_apart_without_error():
    assert roc_auc([0.8, 0.9], [0.1, 0.2]) == 1
    rate, threshold = equal_error([0.8, 0.9], [0.1, 0.2])
    assert rate == 0
    assert 0.2 < threshold <= 0.8


def test_at_the_equal_error_as_many_fail_as_pass():
    generator = np.random.default_rng(0)
    same, different = generator.normal(0.6, 0.2, 2000), generator.normal(0.2, 0.2, 3000)
    rate, threshold = equal_error(same, different)
    assert (same < threshold).mean() == pytest.approx((different >= threshold).mean(), abs=0.002)
    assert rate == pytest.approx(0.1587, abs=0.02)  # a deviation from either mean


def test_the_threshold_lets_the_asked_share_pass():
    different = np.linspace(-1, 1, 1001)
    assert (different >= threshold_at(different, 0.01)).mean() == pytest.approx(0.01, abs=0.001)


def test_all_metrics_together():
    assert verification([1.0, 0.5], [0.0]) == {
        "auc": 1.0,
        "eer": 0.0,
        "threshold_1": 0.0,
        "same": 0.75,
        "different": 0.0,
    }


def test_no_pairs_have_no_metrics():
    with pytest.raises(ValueError, match="no pairs"):
        roc_auc([], [0.5])


POINTS = np.array([[40.0, 50.0], [80, 50], [60, 70], [45, 90], [75, 90]])


def test_distance_is_the_mean_over_points_in_pixels_at_512():
    moved = POINTS.copy()
    moved[0] += [3, 4]
    assert landmark_error(POINTS, moved, 512) == pytest.approx(1)
    assert landmark_error(POINTS, moved, 128) == pytest.approx(4)


def test_equal_points_have_no_distance():
    assert landmark_error(POINTS, POINTS, 256) == 0


@pytest.mark.parametrize("pair", [(None, POINTS), (POINTS, None), (None, None)])
def test_without_a_face_there_is_no_metric(pair):
    assert math.isnan(landmark_error(*pair, 512))


class TestCentralLandmarks:
    def face(self, x):
        return Face(np.zeros(4, np.float32), np.full((5, 2), x, np.float32), 0.9)

    def test_the_central_face_counts(self):
        find = central_landmarks(lambda _: [self.face(1), self.face(9), self.face(15)])
        assert find(np.zeros((16, 16, 3), np.uint8)).mean() == 9

    def test_no_face_is_none(self):
        assert central_landmarks(lambda _: [])(np.zeros((16, 16, 3), np.uint8)) is None


BOXES = np.array([[0, 0, 20, 25], [50, 0, 150, 130], [200, 0, 240, 50]], float)
SHAPE = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


def points(boxes):
    return boxes[:, None, :2] + SHAPE * (boxes[:, None, 2:] - boxes[:, None, :2])


def evaluate(found, counts=(True, True, False), shift=0.0):
    result = DetectionEvaluator()
    result.add(BOXES, points(BOXES), np.array(counts), found, points(found) + np.array([shift, 0]))
    return result.metrics()


def test_perfect_detections():
    metrics = evaluate(BOXES, counts=(True, True, True))
    assert (metrics["recall"], metrics["precision"], metrics["nme"]) == (1, 1, 0)


def test_misses_and_false_faces_are_counted():
    metrics = evaluate(np.array([[50, 0, 150, 130], [300, 300, 340, 350]], float))
    assert metrics["recall"] == 0.5
    assert metrics["precision"] == 0.5
    assert metrics["false_per_image"] == 1
    assert (metrics["recall/0-24"], metrics["recall/64-inf"]) == (0, 1)


def test_a_face_that_does_not_count_is_neither_hit_nor_false():
    metrics = evaluate(BOXES[2:] + 1)
    assert metrics["recall"] == 0
    assert metrics["false_per_image"] == 0


def test_a_second_detection_of_a_face_is_false():
    metrics = evaluate(np.concatenate([BOXES[1:2], BOXES[1:2] + 2]))
    assert metrics["false_per_image"] == 1


def test_landmark_error_is_in_eye_distances_and_in_widths():
    metrics = evaluate(BOXES[1:2], shift=4.0)
    assert metrics["nme"] == pytest.approx(4 / 40)
    assert metrics["error/64-inf"] == pytest.approx(4 / 100)


def test_no_images_give_no_metrics():
    assert np.isnan(DetectionEvaluator().metrics()["recall"])


def test_images_without_faces_or_detections_are_fine():
    result = DetectionEvaluator()
    none = np.zeros((0, 4)), np.zeros((0, 5, 2)), np.zeros(0, bool)
    result.add(*none, np.zeros((0, 4)), np.zeros((0, 5, 2)))
    result.add(*none, BOXES, points(BOXES))
    assert result.metrics()["false_per_image"] == 1.5
