import dataclasses

import pytest

from revisage.errors import InputError
from revisage.restore.controls import Controls, RestoreOptions, Selection


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
