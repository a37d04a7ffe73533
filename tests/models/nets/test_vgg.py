import torch

from revisage.models.nets.vgg import STAGES, VGG16Features


def test_every_stage_gives_its_map_at_its_resolution():
    features = VGG16Features()(torch.zeros(1, 3, 64, 48))
    assert [tuple(f.shape) for f in features] == [
        (1, widths[-1], 64 // 2**k, 48 // 2**k) for k, widths in enumerate(STAGES)
    ]


def test_fewer_stages_are_a_beginning_of_more():
    whole, part = VGG16Features(), VGG16Features(2)
    part.load_state_dict({key: value for key, value in whole.state_dict().items() if key in part.state_dict()})
    x = torch.rand(1, 3, 32, 32)
    assert all(torch.equal(a, b) for a, b in zip(part(x), whole(x), strict=False))


def test_keys_are_those_of_the_paper():
    assert list(VGG16Features(1).state_dict()) == ["conv1_1.weight", "conv1_1.bias", "conv1_2.weight", "conv1_2.bias"]


def test_the_image_is_taken_as_bgr_levels_less_their_mean():
    network = VGG16Features(1)
    seen = []
    network.get_submodule("conv1_1").register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    network(red)
    assert torch.allclose(seen[0][0, :, 0, 0], torch.tensor([-104.00699, -116.66877, 255 - 122.67892]))
