"""NIQE: equal to the reference, and a model that anyone can fit."""

import math

import numpy as np
import pytest

from metric_images import softened, texture
from revisage.errors import CheckpointError, InputError, MissingWeightsError
from revisage.evaluation.metrics.niqe import NaturalModel, block_features, fit, niqe, read_model, write_model


@pytest.fixture(scope="module")
def model():
    """An arbitrary model: the distance is a function of any mean and covariance."""
    rng = np.random.default_rng(0)
    mean, root = rng.uniform(0, 1, 36), rng.standard_normal((36, 36)) * 0.05
    taps = np.exp(-0.5 * (np.arange(-3, 4) / (7 / 6)) ** 2)
    taps /= taps.sum()
    return NaturalModel(mean, root @ root.T, np.outer(taps, taps))


def test_distance_equals_the_reference(model, references):
    image = texture(3, 220, 310)
    assert niqe(image, model) == pytest.approx(references["niqe"], rel=1e-4)
    assert niqe(softened(image), model) == pytest.approx(references["niqe_softened"], rel=1e-4)


def test_heavier_tails_have_a_smaller_shape(model):
    """The first feature is the shape of a generalised Gaussian, which falls from uniform over normal to Laplace."""
    rng = np.random.default_rng(1)
    shapes = []
    for draw in (rng.laplace, rng.normal, lambda *_: rng.uniform(-1.7, 1.7, (288, 288))):
        noise = (128 + 20 * draw(0, 1, (288, 288))).clip(0, 255).astype(np.uint8)
        features, _ = block_features(np.dstack([noise] * 3), model.window)
        assert features.shape == (9, 36)
        shapes.append(features[:, 0].mean())
    assert shapes[0] < shapes[1] - 0.5 < shapes[2] - 1


def test_only_whole_blocks_count(model):
    image = texture(4, 192, 192)
    wider = np.pad(image, ((0, 50), (0, 95), (0, 0)), mode="reflect")
    inner = block_features(image, model.window)[0]
    assert block_features(wider, model.window)[0].shape == inner.shape


def test_a_flat_image_has_no_metric(model):
    assert math.isnan(niqe(np.full((192, 192, 3), 90, np.uint8), model))


def test_a_image_below_a_block_is_refused(model):
    with pytest.raises(ValueError, match="96 x 96"):
        niqe(texture(1, 95, 200), model)


@pytest.fixture(scope="module")
def fitted():
    return fit((texture(seed, 384, 384) for seed in range(10, 16)), sharpness=0.5)


class TestFit:
    def test_good_images_lie_near_their_model(self, fitted):
        image = texture(20, 384, 384)
        assert niqe(image, fitted) < 0.6 * niqe(softened(image), fitted)

    def test_blocks_without_detail_do_not_count(self, fitted):
        half_empty = []
        for seed in range(10, 16):
            image = np.full((384, 768, 3), 128, np.uint8)
            image[:, :384] = texture(seed, 384, 384)
            half_empty.append(image)
        np.testing.assert_allclose(fit(half_empty, sharpness=0.5).mean, fitted.mean, rtol=0.1, atol=0.02)

    def test_a_written_model_reads_the_same(self, fitted, tmp_path):
        write_model(tmp_path / "own.npz", fitted)
        read = read_model(tmp_path / "own.npz")
        for name in ("mean", "covariance", "window"):
            np.testing.assert_array_equal(getattr(read, name), getattr(fitted, name))

    @pytest.mark.parametrize("images", [[], [texture(1, 96, 192)]])
    def test_too_few_blocks_are_refused(self, images):
        with pytest.raises(InputError, match="at least 37"):
            fit(images)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingWeightsError, match=r"none\.npz"):
        read_model(tmp_path / "none.npz")


def test_another_file_is_no_model(tmp_path):
    np.savez(tmp_path / "other.npz", mu_pris_param=np.zeros(36))
    with pytest.raises(CheckpointError, match="cov_pris_param"):
        read_model(tmp_path / "other.npz")
