"""Recall, precision and landmark error of detections."""

import numpy as np
import pytest

from revisage.evaluation.metrics.detection import Tally

BOXES = np.array([[0, 0, 20, 25], [50, 0, 150, 130], [200, 0, 240, 50]], float)
SHAPE = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


def points(boxes):
    return boxes[:, None, :2] + SHAPE * (boxes[:, None, 2:] - boxes[:, None, :2])


def tally(found, counts=(True, True, False), shift=0.0):
    result = Tally()
    result.add(BOXES, points(BOXES), np.array(counts), found, points(found) + np.array([shift, 0]))
    return result.metrics()


def test_perfect_detections():
    metrics = tally(BOXES, counts=(True, True, True))
    assert (metrics["recall"], metrics["precision"], metrics["nme"]) == (1, 1, 0)


def test_misses_and_false_faces_are_counted():
    metrics = tally(np.array([[50, 0, 150, 130], [300, 300, 340, 350]], float))
    assert metrics["recall"] == 0.5
    assert metrics["precision"] == 0.5
    assert metrics["false_per_picture"] == 1
    assert (metrics["recall/0-24"], metrics["recall/64-inf"]) == (0, 1)


def test_a_face_that_does_not_count_is_neither_hit_nor_false():
    metrics = tally(BOXES[2:] + 1)
    assert metrics["recall"] == 0
    assert metrics["false_per_picture"] == 0


def test_a_second_detection_of_a_face_is_false():
    metrics = tally(np.concatenate([BOXES[1:2], BOXES[1:2] + 2]))
    assert metrics["false_per_picture"] == 1


def test_landmark_error_is_in_eye_distances_and_in_widths():
    metrics = tally(BOXES[1:2], shift=4.0)
    assert metrics["nme"] == pytest.approx(4 / 40)
    assert metrics["error/64-inf"] == pytest.approx(4 / 100)


def test_no_pictures_give_no_figures():
    assert np.isnan(Tally().metrics()["recall"])


def test_pictures_without_faces_or_detections_are_fine():
    result = Tally()
    none = np.zeros((0, 4)), np.zeros((0, 5, 2)), np.zeros(0, bool)
    result.add(*none, np.zeros((0, 4)), np.zeros((0, 5, 2)))
    result.add(*none, BOXES, points(BOXES))
    assert result.metrics()["false_per_picture"] == 1.5
