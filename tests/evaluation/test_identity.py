"""Angles and distances of identity descriptors, and the files that the networks come from."""

import json
import math

import numpy as np
import pytest
import torch
from golden_weights import golden_arrays
from hypothesis import given
from hypothesis import strategies as st

from revisage.errors import CheckpointError
from revisage.evaluation.metrics.identity import angle, cosine_distance, describe, embed, euclidean_distance
from revisage.evaluation.metrics.networks import read_arcface, read_descriptor
from revisage.models.nets.face_descriptor import FaceDescriptor

vectors = st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3).map(np.array).filter(lambda v: v @ v > 0.01)


@pytest.mark.parametrize("degrees", [0, 30, 90, 179])
def test_angles_are_in_degrees(degrees):
    radians = math.radians(degrees)
    assert angle(np.array([2.0, 0.0]), np.array([math.cos(radians), math.sin(radians)])) == pytest.approx(degrees)


@given(vectors, vectors, st.floats(0.1, 10))
def test_angle_and_cosine_do_not_depend_on_length_or_order(a, b, factor):
    assert 0 <= angle(a, b) <= 180
    assert cosine_distance(a, b) == pytest.approx(cosine_distance(factor * b, a), abs=1e-9)
    assert math.cos(math.radians(angle(a, b))) == pytest.approx(1 - cosine_distance(a, b), abs=1e-9)


def test_equal_descriptors_have_no_distance():
    a = np.array([0.3, -0.1, 0.2], np.float32)
    assert (angle(a, a), cosine_distance(a, a), euclidean_distance(a, a)) == pytest.approx((0, 0, 0), abs=1e-5)


def test_euclidean_distance_is_the_length_of_the_difference():
    assert euclidean_distance(np.array([1.0, 2.0]), np.array([4.0, 6.0])) == 5


class TestFaceDescriptor:
    def test_distance_equals_the_reference(self, descriptor_state, aligned_pair, references):
        """To a percent: the reference rounds the chip that it cuts out to whole numbers."""
        network = FaceDescriptor().eval()
        network.load_state_dict(descriptor_state)
        found = euclidean_distance(*(describe(network, picture) for picture in aligned_pair))
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
        with pytest.raises(CheckpointError, match="FaceDescriptor"):
            read_descriptor(tmp_path / "other.npz")


@pytest.fixture(scope="module")
def network(arcface_file):
    return read_arcface(arcface_file)


class TestArcFace:
    def test_the_network_of_the_file_is_the_published_one(self, network):
        gray = torch.from_numpy(np.random.RandomState(1234).uniform(-1, 1, (1, 1, 128, 128))).float()
        expected = torch.from_numpy(golden_arrays("arcface")["emb"]).float()
        torch.testing.assert_close(network(gray), expected, rtol=0, atol=1e-4)

    def test_a_gray_picture_of_its_size_is_shown_as_it_is(self, network):
        gray = np.random.default_rng(0).integers(0, 256, (128, 128, 1), np.uint8)
        expected = network(torch.from_numpy(gray).permute(2, 0, 1)[None].float() / 127.5 - 1)[0]
        np.testing.assert_allclose(embed(network, gray.repeat(3, axis=2)), expected, atol=2e-3)

    def test_colour_counts_as_luma(self, network):
        """Red and a gray of 0.2989 of its lightness are the same to it."""
        red, gray = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 60, np.uint8)
        red[..., 0] = 201
        assert angle(embed(network, red), embed(network, gray)) < 0.1
