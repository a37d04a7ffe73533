import pytest
import torch

from revisage.models.nets.background_unet import BackgroundUNet, enlarge_twice, local_gate


def network(**more):
    torch.manual_seed(0)
    net = BackgroundUNet((8, 12), (1, 1), **more)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return net.eval()


def images(count=1, side=32):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_an_untrained_network_enlarges_by_cubic_convolution():
    x = images()
    assert torch.equal(BackgroundUNet((8, 12), (1, 1)).eval()(x), enlarge_twice(x))


def test_cubic_convolution_keeps_slopes_and_their_pixel_centers():
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    enlarged = enlarge_twice(ramp)[0, 0, 8, 6:-6]
    torch.testing.assert_close(enlarged, (torch.arange(6.0, 26.0) - 0.5) / 2)


def test_the_result_is_twice_as_large():
    assert network()(torch.zeros(2, 3, 16, 24)).shape == (2, 3, 32, 48)


def test_small_corrections_are_held_back_where_they_are_small():
    correction = torch.full((1, 3, 64, 64), 0.001)
    correction[..., 32:] = 0.1
    share = local_gate(correction, torch.tensor(0.01), 8)
    assert share[..., :16].max() < 0.01
    assert share[..., 48:].min() > 0.99


def test_without_a_threshold_corrections_are_applied_whole():
    assert torch.equal(local_gate(images(), torch.tensor(0.0), 8), torch.ones(1, 1, 32, 32))


@pytest.mark.parametrize("start", [16, 32])
def test_a_tile_agrees_with_the_whole_away_from_its_border(start):
    net = network(gate_threshold=0.1).double()
    x = images(side=128).double()
    with torch.inference_mode():
        whole, tile = net(x), net(x[..., start:])
    torch.testing.assert_close(tile[..., 112:], whole[..., 2 * start + 112 :], rtol=0, atol=1e-9)


def test_the_base_has_no_weights():
    assert set(network().state_dict()) == {f"unet.{key}" for key in network().unet.state_dict()} | {"gate_threshold"}
