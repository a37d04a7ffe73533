"""Identity networks from the files that people have, applied to images; all networks on their own device."""

import json

import numpy as np
import pytest
import torch
from golden_weights import golden_arrays

from revisage.errors import CheckpointError
from revisage.evaluation.metrics.faces import angle, euclidean_distance
from revisage.evaluation.metrics.networks import (
    describe_faces,
    embed_faces,
    inception_features,
    read_arcface,
    read_descriptor,
    read_vgg16,
    vgg_features,
)
from revisage.models.nets.dlib_face_net import DlibFaceNet


class TestDlibFaceNet:
    def test_distance_equals_the_reference(self, descriptor_state, aligned_pair, references):
        """To a percent: the reference rounds the chip that it cuts out to whole numbers."""
        network = DlibFaceNet().eval()
        network.load_state_dict(descriptor_state)
        found = euclidean_distance(*describe_faces(network, aligned_pair))
        assert found == pytest.approx(references["id_l2"], rel=0.01)

    def test_eight_bit_arrays_under_their_old_names(self, descriptor_state, tmp_path):
        names = {".conv.weight": "/conv/filters", ".conv.bias": "/conv/bias", ".scale": "/scale/weights"}
        names[".shift"] = "/scale/biases"
        arrays, ranges = {}, {}
        for key, value in descriptor_state.items():
            for ending, old in names.items():
                if key.endswith(ending):
                    key = key.removesuffix(ending) + old
                    break
            name = key.removeprefix("units.").replace("stem", "conv32_down").replace(".", "/")
            array = value.numpy().squeeze() if "scale/" in name else value.numpy()
            array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
            low, step = float(array.min()), float(np.ptp(array)) / 255
            arrays[name] = np.round((array - low) / step).astype(np.uint8)
            ranges[name] = {"scale": step, "min": low}
        np.savez(tmp_path / "old.npz", quantisation=json.dumps(ranges), **arrays)
        for key, value in read_descriptor(tmp_path / "old.npz").state_dict().items():
            expected = descriptor_state[key]
            assert (value - expected).abs().max() <= (expected.max() - expected.min()) / 255, key

    def test_own_keys(self, descriptor_state, descriptor_file):
        found = read_descriptor(descriptor_file).state_dict()
        assert all(torch.equal(value, descriptor_state[key]) for key, value in found.items())

    def test_an_array_that_is_none_of_its_is_refused(self, tmp_path):
        np.savez(tmp_path / "other.npz", weights=np.zeros(3))
        with pytest.raises(CheckpointError, match="DlibFaceNet"):
            read_descriptor(tmp_path / "other.npz")


@pytest.fixture(scope="module")
def network(arcface_file):
    return read_arcface(arcface_file)


class TestArcFace:
    def test_the_network_of_the_file_is_the_published_one(self, network):
        gray = torch.from_numpy(np.random.RandomState(1234).uniform(-1, 1, (1, 1, 128, 128))).float()
        expected = torch.from_numpy(golden_arrays("arcface")["emb"]).float()
        torch.testing.assert_close(network(gray), expected, rtol=0, atol=1e-4)

    def test_a_gray_image_of_its_size_is_shown_as_it_is(self, network):
        gray = np.random.default_rng(0).integers(0, 256, (128, 128, 1), np.uint8)
        expected = network(torch.from_numpy(gray).permute(2, 0, 1)[None].float() / 127.5 - 1)[0]
        np.testing.assert_allclose(embed_faces(network, [gray.repeat(3, axis=2)])[0], expected, atol=2e-3)

    def test_colour_counts_as_luma(self, network):
        """Red and a gray of 0.2989 of its lightness are the same to it."""
        red, gray = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 60, np.uint8)
        red[..., 0] = 201
        assert angle(*embed_faces(network, [red, gray])) < 0.1


class OnMeta(torch.nn.Module):
    """A network on another device than the CPU, as far as its input shows."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, device="meta"))

    def forward(self, x):
        assert x.device.type == "meta"
        return torch.zeros(len(x), 4)


@pytest.mark.parametrize("function", [inception_features, embed_faces, describe_faces])
def test_images_are_moved_to_the_device_of_the_network(function):
    images = [np.zeros((32, 32, 3), np.uint8)] * 3
    assert [vector.shape for vector in function(OnMeta(), images)] == [(4,)] * 3


def test_a_batch_is_as_good_as_one_image_at_a_time(aligned_pair, arcface_file, caffe_file):
    arcface, vgg = read_arcface(arcface_file), read_vgg16(caffe_file, stages=2)
    for alone, together in zip(aligned_pair, embed_faces(arcface, aligned_pair), strict=True):
        np.testing.assert_allclose(together, embed_faces(arcface, [alone])[0], atol=1e-4)
    for alone, together in zip(aligned_pair, vgg_features(vgg, aligned_pair), strict=True):
        torch.testing.assert_close(together, vgg_features(vgg, [alone])[0], rtol=1e-4, atol=1e-3)
