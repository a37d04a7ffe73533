"""RRDBNet and SRVGGNetCompact against the reference's outputs and their published keys."""

import pytest
import torch
from golden_weights import golden_arrays, golden_input, golden_state, manifest, shapes
from torch.nn import functional as F

from revisage.models.nets.rrdbnet import ResidualDenseBlock, RRDBNet
from revisage.models.nets.srvggnet import SRVGGNetCompact


def golden(network):
    network = network.double().eval().requires_grad_(False)
    network.load_state_dict(golden_state(network.state_dict()))
    return network


SMALL = {
    "rrdb_small": lambda: golden(RRDBNet(3, 3, 2, num_feat=16, num_block=1, num_grow_ch=8)),
    "srvgg_small": lambda: golden(SRVGGNetCompact(3, 3, 16, 2, 4)),
}


@pytest.mark.parametrize("name", list(SMALL))
def test_images_equal_the_reference(name):
    expected = torch.from_numpy(golden_arrays(name)["out"])
    torch.testing.assert_close(SMALL[name]()(golden_input(1, 3, 8, 12)), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("build", "name"),
    [(lambda: RRDBNet(3, 3, 2), "RRDBNet_x2"), (lambda: SRVGGNetCompact(num_conv=32), "SRVGGNetCompact_x4v3")],
    ids=["rrdb", "srvgg"],
)
def test_keys_and_shapes_are_the_published_ones(build, name):
    with torch.device("meta"):
        network = build()
    published = manifest(name)
    assert shapes(network) == published["state_dict"]
    assert list(shapes(network)) == list(published["state_dict"])
    assert sum(parameter.numel() for parameter in network.parameters()) == published["num_params"]


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_result_is_larger_by_the_scale(scale):
    with torch.device("meta"):
        x = torch.empty(1, 3, 8, 12)
        assert RRDBNet(3, 3, scale, 8, 1, 4)(x).shape == (1, 3, 8 * scale, 12 * scale)
        assert SRVGGNetCompact(3, 3, 8, 1, scale)(x).shape == (1, 3, 8 * scale, 12 * scale)


def test_sizes_and_scales_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="multiples of 2"):
        SMALL["rrdb_small"]()(torch.zeros(1, 3, 9, 12).double())
    with pytest.raises(ValueError, match="scale"):
        RRDBNet(3, 3, 3)


@pytest.mark.parametrize("name", list(SMALL))
def test_results_do_not_depend_on_the_batch(name):
    network, x = SMALL[name](), golden_input(3, 3, 8, 12)
    torch.testing.assert_close(network(x[1:2]), network(x)[1:2], rtol=0, atol=1e-12)


@pytest.mark.parametrize("act_type", ["relu", "prelu", "leakyrelu"])
def test_a_stack_of_zeros_repeats_pixels(act_type):
    network, x = SRVGGNetCompact(3, 3, 8, 1, 2, act_type), torch.rand(1, 3, 4, 4)
    torch.nn.init.zeros_(network.body[-1].weight)
    torch.nn.init.zeros_(network.body[-1].bias)
    torch.testing.assert_close(network(x), F.interpolate(x, scale_factor=2, mode="nearest"))


def test_an_unknown_activation_is_named():
    with pytest.raises(ValueError, match="tanh"):
        SRVGGNetCompact(act_type="tanh")


def test_blocks_start_near_the_identity():
    x = torch.rand(1, 16, 8, 8)
    assert (ResidualDenseBlock(16, 8)(x) - x).abs().mean() < 0.05


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.003), (torch.bfloat16, 0.03)], ids=str)
@pytest.mark.parametrize("name", list(SMALL))
def test_half_precision_is_finite_and_close(name, dtype, tolerance):
    network, x = SMALL[name](), golden_input(1, 3, 8, 12)
    expected = network(x)
    actual = network.to(dtype)(x.to(dtype))
    assert torch.isfinite(actual).all()
    assert (actual - expected).norm() < tolerance * expected.norm()
