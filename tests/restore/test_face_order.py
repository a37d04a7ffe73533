"""Face numbers: left to right in rows from top to bottom, whatever the detector is surest of."""

import numpy as np
import pytest

from revisage import Face, Restorer, Selection
from revisage.restore.select import sort_faces

SHAPE = np.array([[12, 16], [28, 16], [20, 24], [14, 32], [26, 32]], np.float32)


def face(x, y, score=0.9, width=40):
    """A face with its box centered at x, y."""
    box = np.array([x - width / 2, y - width * 0.6, x + width / 2, y + width * 0.6], np.float32)
    return Face(box, SHAPE + box[:2], score)


def centers(faces):
    return [tuple(((one.box[:2] + one.box[2:]) / 2).tolist()) for one in faces]


ROW = [(50, 100), (150, 110), (250, 95), (350, 105)]


@pytest.mark.parametrize("seed", range(5))
def test_four_people_in_a_row_keep_their_numbers_when_scores_and_boxes_shake(seed):
    random = np.random.default_rng(seed)
    shaken = [face(x + random.normal(0, 2), y + random.normal(0, 2), random.uniform(0.6, 1)) for x, y in ROW]
    shuffled = [shaken[index] for index in random.permutation(4)]
    assert sort_faces(shuffled) == shaken


def test_rows_are_read_from_top_to_bottom():
    rows = [(60, 50), (160, 60), (260, 45), (40, 150), (150, 140), (260, 155)]
    assert centers(sort_faces([face(*rows[index]) for index in (5, 2, 0, 4, 1, 3)])) == rows


def test_a_small_face_between_large_ones_belongs_to_their_row():
    row = [face(100, 100, width=90), face(200, 130, width=30), face(300, 110, width=90)]
    assert sort_faces(row[::-1]) == row


def test_other_orders():
    faces = [face(50, 50, 0.7, 30), face(150, 50, 0.9, 40), face(250, 50, 0.8, 60)]
    assert [one.score for one in sort_faces(faces, "score")] == [0.9, 0.8, 0.7]
    assert [one.score for one in sort_faces(faces, "size")] == [0.8, 0.9, 0.7]


@pytest.fixture
def restorer():
    faces = [face(x, y, score) for (x, y), score in zip(ROW, (0.7, 0.9, 0.8, 0.95), strict=True)]
    best_first = sorted(faces, key=lambda one: -one.score)
    return Restorer("stand-in", lambda _: best_first, lambda batch: batch, 64)


def test_results_list_faces_in_the_order_of_their_numbers(restorer):
    image = np.zeros((200, 400, 3), np.uint8)
    result = restorer(image, scale=1, selection=Selection((0,)))
    assert [one.score for one in result.faces] == [0.7, 0.9, 0.8, 0.95]
    assert [str(one.status) for one in result.faces] == ["restored", *["not selected"] * 3]
    result = restorer(image, scale=1, selection=Selection((0,), order="score"))
    assert [one.score for one in result.faces] == [0.95, 0.9, 0.8, 0.7]


def test_faces_that_are_given_keep_their_order(restorer):
    given = [face(*ROW[2]), face(*ROW[0])]
    result = restorer(np.zeros((200, 400, 3), np.uint8), scale=1, faces=given)
    assert centers(result.faces) == [ROW[2], ROW[0]]
