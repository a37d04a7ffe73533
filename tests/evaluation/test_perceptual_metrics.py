"""LPIPS and the cosine of VGG16 features, against other implementations and written out."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from revisage.errors import CheckpointError, MissingWeightsError
from revisage.evaluation.metrics.networks import read_channel_weights, read_vgg16
from revisage.evaluation.metrics.perceptual import face_region, lpips, vgg_cosine
from revisage.images.pixels import to_float, to_nchw


def compare(network, a, b, weights=None):
    features = [network(torch.from_numpy(to_nchw([to_float(image)]))) for image in (a, b)]
    return float(vgg_cosine(*features) if weights is None else lpips(*features, weights))


def test_vgg_cosine_of_the_face_equals_the_reference(caffe_file, aligned_pair, references):
    faces = map(face_region, aligned_pair)
    assert compare(read_vgg16(caffe_file), *faces) == pytest.approx(references["vgg_cosine"], abs=1e-6)


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
        odd = (image[:67, :59] for image in aligned_pair)
        assert compare(network, *odd, weights) == pytest.approx(references["lpips_odd_size"], abs=1e-6)

    def test_equal_images_have_no_distance(self, network, aligned_pair):
        assert compare(network, aligned_pair[0], aligned_pair[0]) == 0

    def test_distance_is_symmetric(self, network, aligned_pair):
        assert compare(network, *aligned_pair) == pytest.approx(compare(network, *aligned_pair[::-1]), rel=1e-6)


def test_vgg_cosine_is_the_mean_of_one_minus_cosine():
    a, b = torch.zeros(1, 2, 1, 2), torch.zeros(1, 2, 1, 2)
    a[0, 0] = b[0, 0] = 1
    b[0, :, 0, 1] = torch.tensor([0.0, 1.0])  # at right angles in one of two positions
    assert float(vgg_cosine([a, a], [b, a])) == pytest.approx((1 + 0) / 2 / 2)


@pytest.mark.parametrize("distance", [vgg_cosine, lambda x, y: lpips(x, y, [torch.ones(4)])])
def test_gradients_are_finite_where_nothing_is_active(distance):
    """After a ReLU whole vectors are 0 now and then; the root of their length has no slope there."""
    x = torch.zeros(1, 4, 3, 3, requires_grad=True)
    distance([x], [torch.ones(1, 4, 3, 3) / 2]).sum().backward()
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


def maps(seed=0, n=2):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(n, channels, 3, 3, generator=generator) for channels in (4, 8)]


def test_equal_features_have_no_distance():
    assert vgg_cosine(maps(), maps()).abs().max() < 1e-6


def test_the_strength_of_features_does_not_count_only_their_direction():
    features = [torch.rand(1, 4, 3, 3)]
    assert float(vgg_cosine(features, [features[0] * 7])) == pytest.approx(0, abs=1e-6)


def test_opposite_and_orthogonal_features():
    a, b = torch.tensor([1.0, 0]).view(1, 2, 1, 1), torch.tensor([0, 1.0]).view(1, 2, 1, 1)
    assert float(vgg_cosine([a], [b])) == pytest.approx(1)
    assert float(vgg_cosine([a], [-a])) == pytest.approx(2)


def test_stages_count_alike():
    a, b = torch.tensor([1.0, 0]).view(1, 2, 1, 1), torch.tensor([0, 1.0]).view(1, 2, 1, 1)
    assert float(vgg_cosine([a, a], [a, b])) == pytest.approx(0.5)


def test_lpips_of_features_written_out():
    f, t = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1), torch.tensor([0.0, 5.0]).view(1, 2, 1, 1)
    weights = torch.tensor([0.5, 2.0])
    expected = 0.5 * 0.6**2 + 2 * 0.2**2
    assert float(lpips([f], [t], [weights])) == pytest.approx(expected)
    assert float(lpips([f, f], [t, t], [weights, weights])) == pytest.approx(2 * expected)


def test_lpips_is_a_mean_over_positions_for_each_image():
    features, targets = maps(), maps(1)
    weights = [torch.rand(4), torch.rand(8)]
    both = lpips(features, targets, weights)
    assert both.shape == (2,)
    alone = lpips([f[1:] for f in features], [t[1:] for t in targets], weights)
    torch.testing.assert_close(both[1:], alone)


def test_derivatives_are_right():
    features, targets = ([x.double()[:1, :3] for x in maps(seed)] for seed in (0, 1))
    mine = [feature.requires_grad_() for feature in features]
    weights = [torch.tensor([0.5, 1, 2], dtype=torch.float64)] * 2
    assert gradcheck(lambda *x: lpips(x, targets, weights), mine)
    assert gradcheck(lambda *x: vgg_cosine(x, targets), mine)


def test_features_of_half_precision_are_compared_in_float32():
    features = [torch.full((1, 8, 40, 40), 300.0, dtype=torch.float16)]
    targets = [torch.zeros_like(features[0])]
    assert float(lpips(features, targets, [torch.full((8,), 1 / 8)])) == pytest.approx(1 / 8)
    assert float(vgg_cosine(features, features)) == 0
