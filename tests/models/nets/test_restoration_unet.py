import pytest
import torch

from revisage.models.nets.restoration_unet import RestorationUNet


def network():
    torch.manual_seed(0)
    net = RestorationUNet((8, 12, 16), (1, 1, 2), 2)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return net.eval()


def test_an_untrained_network_changes_nothing():
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    assert torch.equal(RestorationUNet()(x), x)


@pytest.mark.parametrize("size", [(8, 8), (64, 40)])
def test_any_multiple_of_the_coarsest_step_is_taken(size):
    assert network()(torch.zeros(2, 3, *size)).shape == (2, 3, *size)


def test_another_size_is_refused():
    with pytest.raises(ValueError, match="multiples of 8"):
        network()(torch.zeros(1, 3, 12, 16))


def test_a_image_does_not_depend_on_its_batch():
    net, x = network().double(), torch.rand(3, 3, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        assert torch.allclose(net(x)[1], net(x[1:2])[0], atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.002), (torch.bfloat16, 0.02)], ids=str)
def test_half_precision_is_finite_and_close(dtype, tolerance):
    net, x = network(), torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.inference_mode():
        expected = net(x) - x
        actual = net.to(dtype)(x.to(dtype)).float() - x
    assert torch.isfinite(actual).all()
    assert (actual - expected).norm() < tolerance * x.norm()


def test_levels_are_described_completely():
    with pytest.raises(ValueError, match="same levels"):
        RestorationUNet((8, 8), (1,))


def test_of_several_images_the_last_is_corrected():
    x = torch.rand(1, 6, 32, 32)
    untrained = RestorationUNet((8, 12), (1, 1), inputs=2)
    assert torch.equal(untrained(x), x[:, 3:])
    torch.nn.init.normal_(untrained.tail.weight)
    other = torch.cat([torch.rand(1, 3, 32, 32), x[:, 3:]], 1)
    assert not torch.equal(untrained(x), untrained(other))
