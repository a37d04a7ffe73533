"""The Fréchet distance against closed forms and the reference; statistics in files."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from revisage.errors import CheckpointError, InputError, MissingWeightsError
from revisage.evaluation.metrics.fid import Statistics, frechet_distance, read_statistics, statistics


def gaussian(seed, size=6, rank=None):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((size, rank or size))
    return Statistics(rng.standard_normal(size), root @ root.T)


def test_distance_equals_the_reference(references):
    rng = np.random.default_rng(5)
    mine = rng.standard_normal((50, 12))
    theirs = rng.standard_normal((40, 12)) @ rng.standard_normal((12, 12)) + 0.3
    found = frechet_distance(statistics(mine), statistics(theirs))
    assert found == pytest.approx(references["frechet"], rel=1e-9)


def test_equal_statistics_have_no_distance():
    assert frechet_distance(gaussian(0), gaussian(0)) == pytest.approx(0, abs=1e-12)


def test_independent_features_have_the_distance_of_their_deviations():
    a = Statistics(np.array([1.0, 2.0]), np.diag([4.0, 9.0]))
    b = Statistics(np.array([1.0, 5.0]), np.diag([1.0, 16.0]))
    assert frechet_distance(a, b) == pytest.approx(3**2 + (2 - 1) ** 2 + (3 - 4) ** 2)


def test_covariances_that_do_not_commute():
    """In two dimensions tr sqrt(AB) = sqrt(tr AB + 2 sqrt(det A det B)), as for any 2 x 2 matrix."""
    a, b = gaussian(1, 2), gaussian(2, 2)
    product = a.covariance @ b.covariance
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    expected = np.sum((a.mean - b.mean) ** 2) + np.trace(a.covariance) + np.trace(b.covariance) - 2 * root
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-10)


@given(st.integers(0, 2**31), st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_distance_is_symmetric_and_not_negative(first, second, rank_a, rank_b):
    """Of covariances without an inverse too: sets smaller than the features are long."""
    a, b = gaussian(first, rank=rank_a), gaussian(second, rank=rank_b)
    assert frechet_distance(a, b) >= 0
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-5, abs=1e-5)


def test_a_shift_costs_its_square():
    a = gaussian(3)
    moved = Statistics(a.mean + np.array([3.0, 4, 0, 0, 0, 0]), a.covariance)
    assert frechet_distance(a, moved) == pytest.approx(25)


def test_statistics_come_one_by_one():
    rows = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32) + 1000
    found = statistics(iter(rows))
    np.testing.assert_allclose(found.mean, rows.mean(axis=0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(rows.astype(np.float64), rowvar=False), rtol=1e-7)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_images_are_refused(count):
    with pytest.raises(InputError, match="at least two"):
        statistics(np.zeros((count, 4)))


def test_features_of_two_lengths_are_refused():
    with pytest.raises(InputError, match="6 and 5"):
        frechet_distance(gaussian(0, 6), gaussian(0, 5))


class TestFiles:
    def same(self, path):
        found, expected = read_statistics(path), gaussian(7)
        np.testing.assert_array_equal(found.mean, expected.mean)
        np.testing.assert_array_equal(found.covariance, expected.covariance)

    def test_npz_with_mu_and_sigma(self, tmp_path):
        np.savez(tmp_path / "own.npz", mu=gaussian(7).mean, sigma=gaussian(7).covariance)
        self.same(tmp_path / "own.npz")

    def test_pth_with_arrays(self, tmp_path):
        """As BasicSR writes it: arrays of numpy, besides notes."""
        given_ = gaussian(7)
        content = {"name": "FFHQ", "size": 512, "mean": given_.mean, "cov": given_.covariance}
        torch.save(content, tmp_path / "ffhq.pth")
        self.same(tmp_path / "ffhq.pth")

    def test_a_pickle_that_runs_code_is_refused(self, tmp_path):
        class Bomb:
            def __reduce__(self):
                return Path.touch, (tmp_path / "ran",)

        from pathlib import Path

        torch.save({"mean": Bomb(), "cov": 1}, tmp_path / "bomb.pth")
        with pytest.raises(CheckpointError, match="bomb"):
            read_statistics(tmp_path / "bomb.pth")
        assert not (tmp_path / "ran").exists()

    def test_shapes_must_go_together(self, tmp_path):
        np.savez(tmp_path / "odd.npz", mu=np.zeros(3), sigma=np.eye(4))
        with pytest.raises(CheckpointError, match="does not go with"):
            read_statistics(tmp_path / "odd.npz")

    def test_other_content_is_refused(self, tmp_path):
        np.savez(tmp_path / "other.npz", x=np.zeros(3))
        with pytest.raises(CheckpointError, match="mu"):
            read_statistics(tmp_path / "other.npz")

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(MissingWeightsError, match="none"):
            read_statistics(tmp_path / "none.npz")
