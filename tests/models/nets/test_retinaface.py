"""RetinaFace against its golden arrays, its published keys, and its own geometry."""

import json
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locations import GOLDEN
from revisage.models.nets.retinaface import RetinaFace, anchors, decode, encode, fuse_batch_norms, preprocess, propose

BODIES = {"mobile0.25": "mobile025", "resnet50": "resnet50"}


def golden_state(network):
    """Tensors drawn from a generator seeded by each key: the recipe the golden arrays were made with."""
    state = {}
    for key, value in network.state_dict().items():
        draw = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(tuple(value.shape))
        if key.endswith("num_batches_tracked"):
            draw = np.zeros(())
        elif key.endswith("running_var"):
            draw = 1 + 0.1 * draw
        elif value.ndim >= 2:
            draw = draw * np.sqrt(1 / np.prod(value.shape[1:]))
        elif key.endswith("weight") and value.numel() > 1:
            draw = 1 + 0.1 * draw
        else:
            draw = 0.1 * draw
        state[key] = torch.as_tensor(draw).to(value.dtype)
    return state


def golden_network(name):
    network = RetinaFace(name).double().eval()
    network.load_state_dict(golden_state(network))
    return network


def images(count):
    return torch.from_numpy(50 * np.random.RandomState(1234).uniform(-1, 1, (count, 3, 48, 64)))


@pytest.fixture(scope="module", params=list(BODIES))
def golden(request):
    with torch.inference_mode():
        outputs = golden_network(request.param)(images(1))
    return outputs, np.load(GOLDEN / f"retinaface_{BODIES[request.param]}.npz")


def test_outputs_equal_the_reference(golden):
    outputs, arrays = golden
    for name, output in zip(("loc", "conf", "landm"), outputs, strict=True):
        np.testing.assert_allclose(output, arrays[name], rtol=0, atol=1e-9, err_msg=name)


def test_anchors_equal_the_reference(golden):
    np.testing.assert_allclose(anchors(48, 64, dtype=torch.float64), golden[1]["priors"], rtol=0, atol=1e-12)


def test_decode_equals_the_reference(golden):
    (loc, _, landm), arrays = golden
    boxes, points = decode(0.1 * loc[0], 0.1 * landm[0], anchors(48, 64, dtype=torch.float64))
    np.testing.assert_allclose(boxes, arrays["boxes"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(points, arrays["lm"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", list(BODIES))
def test_keys_and_shapes_are_the_published_ones(name):
    manifest = json.loads((GOLDEN / f"RetinaFace_{BODIES[name]}.json").read_text())
    with torch.device("meta"):
        network = RetinaFace(name)
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == manifest["state_dict"]
    assert sum(p.numel() for p in network.parameters()) == manifest["num_params"]


def test_an_unknown_body_is_named_in_the_error():
    with pytest.raises(ValueError, match="mobile9"):
        RetinaFace("mobile9")


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 130), st.integers(1, 130))
def test_there_is_one_output_for_each_anchor_at_any_size(height, width):
    network = RetinaFace().eval()
    with torch.inference_mode():
        boxes, scores, landmarks = network(torch.zeros(1, 3, height, width))
    count = len(anchors(height, width))
    assert (boxes.shape, scores.shape, landmarks.shape) == ((1, count, 4), (1, count, 2), (1, count, 10))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_encode_inverts_decode(seed):
    generator = torch.Generator().manual_seed(seed)
    priors = anchors(40, 72, dtype=torch.float64)
    offsets = torch.randn(2, len(priors), 4, generator=generator, dtype=torch.float64)
    points = torch.randn(2, len(priors), 10, generator=generator, dtype=torch.float64)
    boxes, landmarks = decode(offsets, points, priors)
    again, points_again = encode(boxes, landmarks, priors)
    torch.testing.assert_close(again, offsets)
    torch.testing.assert_close(points_again, points)


@pytest.mark.parametrize("name", list(BODIES))
def test_folded_batch_norms_change_nothing(name):
    network = RetinaFace(name).double().eval()
    network.load_state_dict(golden_state(network))
    folded = fuse_batch_norms(network)
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in folded.fpn.modules()) == 0
    with torch.inference_mode():
        image = torch.rand(1, 3, 40, 56, dtype=torch.float64)
        for mine, theirs in zip(folded(image), network(image), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", list(BODIES))
def test_results_do_not_depend_on_the_batch(name):
    network, x = golden_network(name), images(3)
    with torch.inference_mode():
        for together, alone in zip(network(x), network(x[1:2]), strict=True):
            torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.003), (torch.bfloat16, 0.02)], ids=str)
@pytest.mark.parametrize("name", list(BODIES))
def test_half_precision_is_finite_and_close(name, dtype, tolerance):
    network, x = golden_network(name), images(1)
    with torch.inference_mode():
        expected = network(x)
        for actual, exact in zip(network.to(dtype)(x.to(dtype)), expected, strict=True):
            assert torch.isfinite(actual).all()
            assert (actual - exact).norm() < tolerance * exact.norm()


def test_preprocess_gives_blue_first_and_subtracts_the_mean():
    image = torch.tensor([123.0, 117.0, 104.0]).view(1, 3, 1, 1)
    assert preprocess(image).abs().max() == 0
    assert preprocess(image + torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)).flatten().tolist() == [3, 2, 1]


def test_proposals_are_in_pixels():
    network = RetinaFace().eval()
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.inference_mode():
        found = propose(network, torch.zeros(2, 3, 33, 70))
    # All offsets are zero: boxes are the anchors themselves, landmarks their centres.
    assert found.boxes.shape == (2, len(anchors(33, 70)), 4)
    torch.testing.assert_close(found.boxes[1, 2], torch.tensor([4.0, -4.0, 20.0, 12.0]))
    torch.testing.assert_close(found.landmarks[0, 2], torch.tensor([[12.0, 4.0]]).expand(5, 2))
    assert found.scores.unique().tolist() == [0.5]
