"""ResNetArcFace against the reference's output and its published keys."""

import pytest
import torch
from golden_weights import golden_arrays, golden_input, golden_state, manifest, shapes

from revisage.models.nets.arcface import IRBlock, ResNetArcFace, SEBlock


def golden(network):
    network = network.double().eval().requires_grad_(False)
    network.load_state_dict(golden_state(network.state_dict()))
    return network


@pytest.fixture(scope="module")
def network():
    return golden(ResNetArcFace("IRBlock", (2, 2, 2, 2), use_se=False))


def test_embedding_equals_the_reference(network):
    expected = torch.from_numpy(golden_arrays("arcface")["emb"])
    torch.testing.assert_close(network(golden_input(1, 1, 128, 128)), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("use_se", "name"), [(False, "ResNetArcFace_IR2222_nose"), (True, "ResNetArcFace_IR2222_se")])
def test_keys_and_shapes_are_the_published_ones(use_se, name):
    with torch.device("meta"):
        network = ResNetArcFace("IRBlock", (2, 2, 2, 2), use_se)
    published = manifest(name)
    assert shapes(network) == published["state_dict"]
    assert sum(parameter.numel() for parameter in network.parameters()) == published["num_params"]
    assert [name for name, _ in network.named_buffers()] == published["buffers"]


def test_embeddings_do_not_depend_on_the_batch(network):
    x = golden_input(2, 1, 128, 128)
    torch.testing.assert_close(network(x[1:]), network(x)[1:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 3, 128, 128), (1, 1, 112, 112)])
def test_another_shape_is_refused(network, shape):
    with pytest.raises(ValueError, match=r"expected \(N, 1, 128, 128\)"):
        network(torch.zeros(shape).double())


def test_a_block_is_named_or_given():
    with torch.device("meta"):
        assert shapes(ResNetArcFace(IRBlock, (1, 1, 1, 1))) == shapes(ResNetArcFace("IRBlock", (1, 1, 1, 1)))
    with pytest.raises(ValueError, match="VGGBlock"):
        ResNetArcFace("VGGBlock", (1, 1, 1, 1))


def test_excitation_scales_whole_channels():
    x = torch.rand(2, 32, 4, 4) + 1
    ratio = SEBlock(32)(x) / x
    assert (ratio > 0).all()
    assert (ratio < 1).all()
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio))


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [pytest.param(torch.float16, 0.01, marks=pytest.mark.slow), (torch.bfloat16, 0.06)],  # few CPUs know float16
    ids=str,
)
def test_half_precision_is_finite_and_close(dtype, tolerance):
    network, x = golden(ResNetArcFace("IRBlock", (1, 1, 1, 1), use_se=False)), golden_input(1, 1, 128, 128)
    with torch.autocast("cpu", dtype):
        actual = network.float()(x.float())
    expected = network.double()(x)
    assert torch.isfinite(actual).all()
    assert (actual - expected).norm() < tolerance * expected.norm()
