import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revisage.evaluation.metrics.verification import equal_error, roc_auc, threshold_at, verification

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


def test_all_figures_together():
    assert verification([1.0, 0.5], [0.0]) == {
        "auc": 1.0,
        "eer": 0.0,
        "threshold_1": 0.0,
        "same": 0.75,
        "different": 0.0,
    }


def test_no_pairs_have_no_figures():
    with pytest.raises(ValueError, match="no pairs"):
        roc_auc([], [0.5])
