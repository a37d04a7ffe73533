import pytest
import torch

from revisage.models.nets.restoration_unet import CoarseToFineUNet, RestorationUNet, SelfAttention

ALIGNED = {"position_sizes": (0, 0, 8), "attention": (0, 0, 1), "normalized": (False, False, True)}
"""Options of a network for aligned faces of 64 pixels."""


def network(**options):
    torch.manual_seed(0)
    net = RestorationUNet((8, 12, 16), (1, 1, 2), 2, **options)
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


def test_a_network_without_options_has_the_keys_that_it_always_had():
    parts = {key.split(".")[0] for key in RestorationUNet((8, 12, 16), (1, 1, 2)).state_dict()}
    assert parts == {"stem", "encoder", "down", "up", "decoder", "tail"}
    assert not any("norm" in key for key in RestorationUNet((8, 12, 16), (1, 1, 2)).state_dict())


def test_an_untrained_network_for_aligned_faces_changes_nothing():
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    assert torch.equal(RestorationUNet((8, 12, 16), (1, 1, 2), **ALIGNED)(x), x)


def test_weights_without_options_give_the_same_result_with_them():
    plain, aligned = (
        network(),
        RestorationUNet((8, 12, 16), (1, 1, 2), position_sizes=(0, 0, 8), attention=(0, 0, 1)).eval(),
    )
    missing, unexpected = aligned.load_state_dict(plain.state_dict(), strict=False)
    assert {key.split(".")[0] for key in missing} == {"positions", "attention"}
    assert not unexpected
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(aligned(x), plain(x))


def shift_difference(net):
    """Largest difference between the correction of a shifted image and the shifted correction, far from the border."""
    x = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(2)) * 2 - 1
    with torch.inference_mode():
        moved = net.correction(x.roll(8, -1)).roll(-8, -1)
        return float((moved - net.correction(x))[..., 56:72, 56:72].abs().max())


def test_without_position_maps_the_correction_moves_with_the_image():
    assert shift_difference(network()) < 1e-5


def test_position_maps_make_the_correction_depend_on_the_position():
    assert shift_difference(network(position_sizes=(0, 0, 16))) > 1e-3


def test_a_position_map_is_resized_to_the_image():
    net = network(position_sizes=(0, 0, 8))
    torch.nn.init.constant_(net.positions["2"], 0.5)
    doubled = network(position_sizes=(0, 0, 16))
    torch.nn.init.constant_(doubled.positions["2"], 0.5)
    doubled.load_state_dict({**net.state_dict(), "positions.2": doubled.positions["2"]})
    x = torch.rand(1, 3, 128, 96)
    with torch.inference_mode():
        torch.testing.assert_close(net(x), doubled(x))


def test_attention_connects_all_positions():
    torch.manual_seed(0)
    block = SelfAttention(8)
    torch.nn.init.normal_(block.project.weight)
    x = torch.rand(1, 8, 6, 4, requires_grad=True)
    block(x)[0, :, 0, 0].sum().backward()
    assert (x.grad.abs().sum((0, 1)) > 0).all()


def test_attention_is_that_of_the_paper():
    torch.manual_seed(0)
    block = SelfAttention(8).double()  # 8 heads of one channel
    torch.nn.init.normal_(block.project.weight)
    x = torch.rand(1, 8, 3, 4, dtype=torch.float64)
    with torch.inference_mode():
        query, key, value = block.qkv(block.norm(x)).flatten(2).chunk(3, 1)  # (1, 8, 12) each
        weights = (query[..., :, None] * key[..., None, :]).softmax(-1)
        mixed = (weights @ value[..., None])[..., 0].view(1, 8, 3, 4)
        torch.testing.assert_close(block(x), x + block.project(mixed))


def test_an_image_does_not_depend_on_its_batch_with_all_options():
    net, x = network(**ALIGNED).double(), torch.rand(3, 3, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(net(x)[1:2], net(x[1:2]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["position_sizes", "attention", "normalized"])
def test_an_option_describes_all_levels(name):
    with pytest.raises(ValueError, match=f"widths and {name} describe the same levels, got 3 and 1"):
        network(**{name: (1,)})


def test_the_connection_up_from_a_normalized_level_starts_at_zero():
    net = RestorationUNet((8, 12, 16), (1, 1, 2), normalized=(False, False, True))
    assert not net.up[1].weight.any()
    assert net.up[0].weight.any()


def test_a_network_for_aligned_faces_is_the_coarse_half_of_another():
    coarse = {"widths": (8, 12, 16), "blocks": (1, 1, 1), **ALIGNED}
    whole = CoarseToFineUNet(coarse, {"widths": (8, 12), "blocks": (1, 1)}).eval()
    x = torch.rand(1, 3, 256, 256)
    assert torch.equal(whole(x), x)


def test_the_batch_stays_dynamic_when_exported():
    net = network(**ALIGNED)
    batch = torch.export.Dim("batch", min=1, max=16)
    program = torch.export.export(net, (torch.rand(2, 3, 64, 64),), dynamic_shapes=({0: batch},))
    x = torch.rand(5, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(program.module()(x), net(x))


def test_noise_is_drawn_afresh_in_training():
    net, x = network(noise=16).train(), torch.zeros(1, 3, 64, 64)
    with torch.inference_mode():
        assert not torch.equal(net(x), net(x))


def test_noise_is_the_same_for_every_image_in_eval_mode():
    net, x = network(noise=16), torch.rand(2, 3, 40, 64)
    with torch.inference_mode():
        together = net(x)
        torch.testing.assert_close(together[1:], net(x[1:]))
        assert torch.equal(together, net(x))
        net.noise.zero_()
        assert not torch.equal(together, net(x))


def test_the_noise_of_eval_mode_is_a_tile_of_the_state():
    net = network(noise=16)
    with torch.inference_mode():
        flat = net.correction(torch.zeros(1, 3, 128, 128))[..., 32:96, 32:96]
    assert flat.std() > 1e-2
    torch.testing.assert_close(flat, flat.roll((16, 16), (2, 3)), rtol=0, atol=1e-4)
    copy = network(noise=16)
    copy.noise.normal_()
    copy.load_state_dict(net.state_dict())
    assert torch.equal(copy.noise, net.noise)


def test_a_network_with_noise_is_exported_with_a_dynamic_batch():
    net = network(noise=16)
    batch = torch.export.Dim("batch", min=1, max=16)
    program = torch.export.export(net, (torch.rand(2, 3, 64, 64),), dynamic_shapes=({0: batch},))
    x = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(program.module()(x), net(x))
