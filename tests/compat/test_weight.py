import pytest
from hypothesis import given
from hypothesis import strategies as st

from revisage.compat import strength_of
from revisage.errors import InputError

weights = st.floats(0, 1)


@pytest.mark.parametrize(("weight", "strength"), [(0, 1), (0.5, 1), (0.75, 0.5), (1, 0)])
def test_the_default_restores_fully_and_one_not_at_all(weight, strength):
    assert strength_of(weight) == strength


@given(weights, weights)
def test_more_weight_never_restores_more(a, b):
    low, high = sorted((a, b))
    assert 0 <= strength_of(high) <= strength_of(low) <= 1


@pytest.mark.parametrize("weight", [-0.1, 1.1, 50, float("nan")])
def test_a_weight_out_of_range_is_refused(weight):
    with pytest.raises(InputError, match="weight must be between 0"):
        strength_of(weight)
