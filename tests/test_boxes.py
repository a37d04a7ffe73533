import numpy as np
import pytest

from revisage.boxes import iou, nms


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_iou_of_known_boxes(dtype):
    boxes = np.array([[0, 0, 2, 2]], dtype)
    others = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]], dtype)
    np.testing.assert_allclose(iou(boxes, others), [[1, 1 / 3, 0]], atol=1e-6)


def test_of_boxes_that_overlap_the_best_is_kept_best_first():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    assert nms(boxes, np.array([0.7, 0.8, 0.9], np.float32), 0.4).tolist() == [2, 1]


def test_nothing_stays_nothing():
    assert nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 0.4).tolist() == []
