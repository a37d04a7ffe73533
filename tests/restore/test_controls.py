import dataclasses

import pytest

from revisage.errors import InputError
from revisage.restore.controls import Controls, RestoreOptions, Selection, parse_face_strengths


def test_a_restorer_takes_every_control_as_a_keyword():
    assert set(RestoreOptions.__annotations__) == {field.name for field in dataclasses.fields(Controls)}


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"strength": 1.1}, "strength must be between 0 and 1, not 1.1"),
        ({"strength": float("nan")}, "strength"),
        ({"keep_grain": -0.1}, "keep_grain must be between 0 and 1"),
        ({"min_identity": 1.5}, "min_identity must be between -1 and 1"),
        ({"strength": "0.5"}, "strength is a number between 0 and 1, not '0.5'"),
        ({"eyes": 2}, "eyes must be between 0 and 1, not 2"),
        ({"selection": "largest"}, "selection is a revisage.Selection"),
        ({"aligned": 1}, "aligned is True or False, not 1"),
        ({"identity_action": "cry"}, "reduce or skip"),
        ({"face_strengths": {0: 1.5}}, "face_strengths are strengths between 0 and 1 by face number"),
        ({"face_strengths": {-1: 0.5}}, "face_strengths are strengths"),
        ({"face_strengths": 0.5}, "face_strengths are strengths"),
        ({"only_center_face": True, "selection": Selection("largest")}, "only_center_face"),
    ],
)
def test_values_out_of_range_are_one_clear_line(choices, message):
    with pytest.raises(InputError, match=message) as caught:
        Controls(**choices)
    assert "\n" not in str(caught.value)


def test_the_classic_name_chooses_the_center_face():
    assert Controls(only_center_face=True).effective_selection.which == "center"
    kept = Controls(only_center_face=True, selection=Selection(min_size=20)).effective_selection
    assert (kept.which, kept.min_size) == ("center", 20)


def test_the_same_choices_are_equal():
    assert Controls(strength=0.5, eyes=1) == Controls(strength=0.5, eyes=1)
    assert hash(Controls(eyes=1)) == hash(Controls(eyes=1))
    assert hash(Controls(face_strengths={0: 0.5})) == hash(Controls(face_strengths={0: 0.5}))


def test_strengths_of_faces_are_read_from_a_text():
    assert parse_face_strengths("0=0.5,2=0") == {0: 0.5, 2: 0}
    with pytest.raises(InputError, match=r"NUMBER=STRENGTH such as 0=0.5,2=0, not '0:1'"):
        parse_face_strengths("0:1")
