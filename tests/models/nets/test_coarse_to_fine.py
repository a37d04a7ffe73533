import pytest
import torch

from revisage.models.nets.restoration_unet import CoarseToFineUNet

COARSE = {"widths": (8, 12), "blocks": (1, 1)}
FINE = {"widths": (8, 12, 16), "blocks": (1, 1, 2)}


def network(**more):
    torch.manual_seed(0)
    net = CoarseToFineUNet(COARSE, FINE, **more)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return net.eval()


def images(count=1, side=64):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def corrections(net, x):
    with torch.inference_mode():
        return net(x) - x


def test_an_untrained_network_changes_nothing():
    assert torch.equal(CoarseToFineUNet(COARSE, FINE).eval()(images()), images())


def test_any_multiple_of_the_coarsest_step_is_taken():
    assert network().multiple == 16
    assert network()(torch.zeros(2, 3, 16, 48)).shape == (2, 3, 16, 48)


def test_another_size_is_refused():
    with pytest.raises(ValueError, match="multiples of 16"):
        network()(torch.zeros(1, 3, 24, 16))


def test_the_fine_network_is_shown_the_input_and_what_the_coarse_one_made():
    net, x = network(factor=2), images(side=32)
    shown = []
    net.fine.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    with torch.inference_mode():
        net(x)
        small = torch.nn.functional.avg_pool2d(x, 2)
        change = torch.nn.functional.interpolate(net.coarse(small) - small, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(shown[0], torch.cat([x, x + change], 1))


def test_what_the_fine_network_changes_nothing_of_is_the_coarse_result():
    net, x = network(factor=2), images(side=32)
    torch.nn.init.zeros_(net.fine.tail.weight)
    torch.nn.init.zeros_(net.fine.tail.bias)
    constant = torch.full_like(x, 0.3)
    with torch.inference_mode():
        coarse = net.coarse(torch.full((1, 3, 16, 16), 0.3))
        assert net(constant).mean() == pytest.approx(float(coarse.mean()), abs=1e-5)


def test_a_part_is_worked_out_in_sight_of_the_whole_face():
    net, x = network().train(), images(2)
    with torch.no_grad():
        parts = net(x, [(16, 0), (32, 24)], 32)
        other = x.clone()
        other[:, :, 60:] = -1  # outside of both parts
        moved = net(other, [(16, 0), (32, 24)], 32)
    assert parts.shape == (2, 3, 32, 32)
    assert not torch.equal(parts[1], moved[1])


def test_a_part_that_is_the_whole_is_the_whole():
    net, x = network().train(), images(2)
    torch.testing.assert_close(net(x, [(0, 0), (0, 0)], 64), net(x))


def test_an_image_does_not_depend_on_its_batch():
    net, x = network().double(), images(3).double()
    torch.testing.assert_close(corrections(net, x)[1:2], corrections(net, x[1:2]), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.002), (torch.bfloat16, 0.02)], ids=str)
def test_half_precision_is_finite_and_close(dtype, tolerance):
    net, x = network(), images()
    expected = corrections(net, x)
    actual = corrections(net.to(dtype), x.to(dtype)).float()
    assert torch.isfinite(actual).all()
    assert (actual - expected).norm() < tolerance * x.norm()


def test_an_image_is_restored_in_use_as_in_training():
    net, x = network(), images()
    assert torch.equal(net(x), net.train()(x))
