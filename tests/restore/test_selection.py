import numpy as np
import pytest

from revisage.errors import InputError
from revisage.restore.controls import Selection
from revisage.restore.select import unselected_reasons
from revisage.types import Face

SHAPE = (200, 300, 3)


def face(x, y, width, score=0.9):
    return Face(np.array([x, y, x + width, y + 1.3 * width], np.float32), np.zeros((5, 2), np.float32), score)


FACES = [face(0, 0, 40, 0.99), face(120, 80, 30, 0.9), face(200, 20, 90, 0.8), face(20, 120, 12, 0.6)]
"""Best score first: in the corner, in the middle, the largest, the smallest."""


def chosen(similarity=None, **conditions):
    reasons = unselected_reasons(FACES, SHAPE, Selection(**conditions), similarity)
    return [index for index, reason in enumerate(reasons) if not reason]


@pytest.mark.parametrize(
    ("conditions", "indices"),
    [
        ({}, [0, 1, 2, 3]),
        ({"which": "largest"}, [2]),
        ({"which": "center"}, [1]),
        ({"which": (0, 2)}, [0, 2]),
        ({"which": (3, 17)}, [3]),
        ({"min_size": 30}, [0, 1, 2]),
        ({"max_size": 40}, [0, 1, 3]),
        ({"min_score": 0.85}, [0, 1]),
        ({"roi": (100, 50, 200, 150)}, [1]),
    ],
)
def test_a_condition_chooses(conditions, indices):
    assert chosen(**conditions) == indices


def test_largest_and_center_are_meant_among_those_that_pass_the_other_conditions():
    assert chosen(which="largest", max_size=50) == [0]
    assert chosen(which="center", min_size=35) == [2]


def test_places_count_all_faces_whatever_the_conditions_say():
    assert chosen(which=(0, 2), max_size=50) == [0]


def test_a_face_on_the_border_of_the_box_is_within():
    assert chosen(roi=(135, 99.5, 140, 110)) == [1]
    assert chosen(roi=(135.1, 99.5, 140, 110)) == []


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ({"which": "largest"}, "not the largest face"),
        ({"which": "center"}, "not the center face"),
        ({"which": (1,)}, "not among the faces asked for"),
        ({"min_size": 60}, "only 40 px wide"),
        ({"max_size": 35}, "40 px wide"),
        ({"min_score": 0.995}, "score only 0.99"),
        ({"roi": (100, 50, 200, 150)}, "outside of the region of interest"),
        ({"reference": (np.ones(4),)}, "not the person asked for (similarity 0.10)"),
    ],
)
def test_every_face_left_out_has_a_reason(conditions, reason):
    similarity = (lambda faces: [0.1] * len(faces)) if "reference" in conditions else None
    assert unselected_reasons(FACES, SHAPE, Selection(**conditions), similarity)[0] == reason


def test_likeness_is_asked_only_of_faces_that_pass_the_other_conditions():
    asked = []

    def similarity(faces):
        asked.extend(faces)
        return [0.3, 0.5]

    assert chosen(similarity, max_size=60, min_score=0.7, min_similarity=0.4) == [1]
    assert asked == FACES[:2]


def test_nobody_to_choose_from_is_no_error():
    assert unselected_reasons([], SHAPE, Selection(which="largest")) == []
    assert chosen(which="center", min_size=1000) == []


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"which": "biggest"}, "largest"),
        ({"which": ()}, "from 0"),
        ({"which": (-1,)}, "from 0"),
        ({"min_size": 50, "max_size": 40}, "between 50 and 40"),
        ({"min_size": -1}, "at least 0"),
        ({"min_size": float("nan")}, "nan"),
        ({"min_score": 1.5}, "score"),
        ({"min_similarity": 2}, "min_similarity must be between -1 and 1"),
        ({"roi": (10, 0, 5, 5)}, "x1 <= x2"),
    ],
)
def test_values_that_make_no_sense_are_refused(conditions, message):
    with pytest.raises(InputError, match=message):
        Selection(**conditions)
