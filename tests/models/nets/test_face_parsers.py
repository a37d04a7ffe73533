"""ParseNet and BiSeNet against the reference's outputs and their published keys."""

import pytest
import torch
from golden_weights import golden_arrays, golden_input, golden_state, manifest, shapes

from revisage.models.nets import bisenet, parsenet
from revisage.models.nets.bisenet import BiSeNet
from revisage.models.nets.parsenet import ConvLayer, ParseNet


def golden(network):
    network = network.double().eval().requires_grad_(False)
    network.load_state_dict(golden_state(network.state_dict()))
    return network


@pytest.fixture(scope="module")
def small_parsenet():
    return golden(ParseNet(64, 64, 16, 32, 19, 2, ch_range=(32, 64)))


@pytest.fixture(scope="module")
def full_bisenet():
    return golden(BiSeNet())


def test_parsenet_equals_the_reference(small_parsenet):
    outputs, expected = small_parsenet(golden_input(1, 3, 64, 64)), golden_arrays("parsenet_small")
    for output, name in zip(outputs, ("mask", "img"), strict=True):
        torch.testing.assert_close(output[..., ::4, ::4], torch.from_numpy(expected[name]), rtol=0, atol=1e-9)


def test_bisenet_equals_the_reference(full_bisenet):
    outputs, expected = full_bisenet(golden_input(1, 3, 64, 64)), golden_arrays("bisenet")
    for output, name in zip(outputs, ("out", "out16", "out32"), strict=True):
        torch.testing.assert_close(output[..., ::8, ::8], torch.from_numpy(expected[name]), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("build", "name"),
    [(lambda: ParseNet(512, 512), "ParseNet"), (lambda: BiSeNet(19), "BiSeNet")],
    ids=["parsenet", "bisenet"],
)
def test_keys_and_shapes_are_the_published_ones(build, name):
    with torch.device("meta"):
        network = build()
    published = manifest(name)
    assert shapes(network) == published["state_dict"]
    assert list(shapes(network)) == list(published["state_dict"])
    assert sum(parameter.numel() for parameter in network.parameters()) == published["num_params"]
    assert [name for name, _ in network.named_buffers()] == published["buffers"]


@pytest.mark.parametrize("which", ["small_parsenet", "full_bisenet"])
def test_results_do_not_depend_on_the_batch(which, request):
    network, x = request.getfixturevalue(which), golden_input(2, 3, 64, 64)
    torch.testing.assert_close(network(x[1:])[0], network(x)[0][1:], rtol=0, atol=1e-11)


@pytest.mark.parametrize("which", ["small_parsenet", "full_bisenet"])
def test_every_pixel_is_judged_at_other_sizes_too(which, request):
    mask, *_ = request.getfixturevalue(which)(torch.zeros(1, 3, 32, 96).double())
    assert mask.shape == (1, 19, 32, 96)


def test_parsenet_refuses_sizes_that_do_not_halve(small_parsenet):
    with pytest.raises(ValueError, match="multiples of 4"):
        small_parsenet(torch.zeros(1, 3, 66, 64).double())


def test_parsenet_may_give_a_larger_result():
    with torch.device("meta"):
        mask, image = ParseNet(64, 256, res_depth=1)(torch.empty(1, 3, 64, 64))
    assert mask.shape == (1, 19, 256, 256)
    assert image.shape == (1, 3, 256, 256)


def test_a_layer_without_norm_has_a_bias_instead():
    assert "conv2d.bias" in ConvLayer(3, 4).state_dict()
    assert "conv2d.bias" not in ConvLayer(3, 4, norm_type="bn").state_dict()


def test_bisenet_gives_its_features_on_request(full_bisenet):
    outputs = full_bisenet(golden_input(1, 3, 32, 32), return_feat=True)
    assert [tuple(y.shape[:2]) for y in outputs] == [(1, 19)] * 3 + [(1, 256), (1, 128), (1, 128)]


def test_both_know_the_same_classes_in_their_own_order():
    assert len(parsenet.CLASSES) == 19
    assert set(parsenet.CLASSES) == set(bisenet.CLASSES)
    assert parsenet.CLASSES.index("hair") == 13
    assert bisenet.CLASSES.index("hair") == 17


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.01), (torch.bfloat16, 0.08)], ids=str)
@pytest.mark.parametrize("which", ["small_parsenet", "full_bisenet"])
def test_half_precision_is_finite_and_close(which, dtype, tolerance, request):
    network, x = request.getfixturevalue(which), golden_input(1, 3, 64, 64)
    with torch.autocast("cpu", dtype):
        actual = network.float()(x.float())[0]
    expected = network.double()(x)[0]
    assert torch.isfinite(actual).all()
    assert (actual - expected).norm() < tolerance * expected.norm()
