import pytest
import torch

from revisage.nets.restoration_unet import RestorationUNet


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


def test_a_picture_does_not_depend_on_its_batch():
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


def corrections(net, x):
    with torch.inference_mode():
        return net(x) - x


def test_the_smaller_a_correction_the_less_far_it_is_taken():
    net, x = network(), torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    whole = corrections(net, x)
    size = float(whole.square().mean().sqrt())
    shares = []
    for caution in (0.1 * size, 0.5 * size, size, 2 * size, 10 * size):
        net.caution = caution
        taken = corrections(net, x)
        shares.append(float((taken * whole).sum() / whole.square().sum()))
        torch.testing.assert_close(taken, shares[-1] * whole, rtol=0, atol=1e-5)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.999
    assert shares[2] == pytest.approx(0.5, abs=1e-3)
    assert shares[-1] < 0.001


def test_each_picture_of_a_batch_has_a_caution_of_its_own():
    net, x = network(), torch.rand(2, 3, 32, 32) * torch.tensor([1.0, 0.1])[:, None, None, None]
    net.caution = 0.1
    torch.testing.assert_close(corrections(net, x)[1:], corrections(net, x[1:]), rtol=0, atol=1e-5)


def test_training_is_not_cautious():
    net, x = network().train(), torch.rand(1, 3, 32, 32)
    whole = net(x)
    net.caution = 100.0
    assert torch.equal(net(x), whole)


def test_a_cautious_network_leaves_a_picture_without_a_correction_alone():
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(RestorationUNet(caution=0.1).eval()(x), x)
