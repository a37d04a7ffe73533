"""LPIPS with and without the published channel weights, against two other implementations."""

import numpy as np
import pytest
import torch

from revisage.errors import CheckpointError, MissingWeightsError
from revisage.evaluation.metrics.lpips import distance, face_region, unit_features
from revisage.evaluation.metrics.networks import read_channel_weights, read_vgg16
from revisage.images.pixels import to_float, to_tensor


def compare(network, a, b, weights=None):
    features = (unit_features(network, to_tensor([to_float(picture)])) for picture in (a, b))
    return float(distance(*features, weights))


def test_equal_weights_on_the_face_equal_the_reference(caffe_file, aligned_pair, references):
    faces = map(face_region, aligned_pair)
    assert compare(read_vgg16(caffe_file), *faces) == pytest.approx(references["lpips_equal"], abs=1e-6)


@pytest.fixture(scope="module")
def network(torchvision_file):
    return read_vgg16(torchvision_file)


class TestPublishedForm:
    def test_distance_equals_the_reference(self, network, channel_weights_file, aligned_pair, references):
        weights = read_channel_weights(channel_weights_file)
        assert compare(network, *aligned_pair, weights) == pytest.approx(references["lpips"], abs=1e-6)

    def test_odd_sizes_are_halved_as_the_reference_halves_them(
        self, network, channel_weights_file, aligned_pair, references
    ):
        weights = read_channel_weights(channel_weights_file)
        odd = (picture[:67, :59] for picture in aligned_pair)
        assert compare(network, *odd, weights) == pytest.approx(references["lpips_odd_size"], abs=1e-6)

    def test_equal_pictures_have_no_distance(self, network, aligned_pair):
        assert compare(network, aligned_pair[0], aligned_pair[0]) == 0

    def test_distance_is_symmetric(self, network, aligned_pair):
        assert compare(network, *aligned_pair) == pytest.approx(compare(network, *aligned_pair[::-1]), rel=1e-6)


def test_equal_weights_give_the_mean_of_one_minus_cosine():
    a, b = torch.zeros(1, 2, 1, 2), torch.zeros(1, 2, 1, 2)
    a[0, 0] = b[0, 0] = 1
    b[0, :, 0, 1] = torch.tensor([0.0, 1.0])  # at right angles in one of two places
    assert float(distance([a, a], [b, a])) == pytest.approx((1 + 0) / 2 / 2)


def test_gradients_are_finite_where_nothing_is_active():
    x = torch.zeros(1, 4, 3, 3, requires_grad=True)
    target = [torch.ones(1, 4, 3, 3) / 2]
    distance(unit_features(lambda value: [value], x), target).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_the_face_region_scales_with_the_crop():
    assert face_region(np.zeros((512, 512, 3), np.uint8)).shape == (320, 320, 3)
    rows = np.arange(256, dtype=np.uint8)[:, None, None].repeat(256, axis=1).repeat(3, axis=2)
    assert face_region(rows)[[0, -1], 0, 0].tolist() == [60, 219]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingWeightsError, match=r"none\.npz"):
        read_vgg16(tmp_path / "none.npz")


def test_missing_layers_are_named(tmp_path):
    np.savez(tmp_path / "some.npz", **{"conv1_1.weight": np.zeros((64, 3, 3, 3))})
    with pytest.raises(CheckpointError, match=r"conv1_1\.bias"):
        read_vgg16(tmp_path / "some.npz")


def test_channel_weights_of_another_network_are_refused(tmp_path):
    torch.save({f"lin{n}.model.1.weight": torch.zeros(1, 192, 1, 1) for n in range(5)}, tmp_path / "alex.pth")
    with pytest.raises(CheckpointError, match="lin0"):
        read_channel_weights(tmp_path / "alex.pth")
