import pytest
import torch

from revisage.models.nets.dlib_face_net import SIZE, DlibFaceNet, chips, shows_chip


def smooth_face(size):
    torch.manual_seed(0)
    small = torch.rand(1, 3, 16, 16) * 2 - 1
    return torch.nn.functional.interpolate(small, (size, size), mode="bicubic", align_corners=False)


def test_a_descriptor_is_128_numbers_and_independent_of_the_batch():
    torch.manual_seed(0)
    network = DlibFaceNet().eval()
    torch.nn.init.normal_(network.fc)
    faces = torch.rand(3, 3, SIZE, SIZE) * 255
    with torch.no_grad():
        together, alone = network(faces), network(faces[1:2])
    assert together.shape == (3, 128)
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)


def test_the_published_size():
    assert sum(parameter.numel() for parameter in DlibFaceNet().parameters()) == 5_614_592


def test_a_part_of_a_crop_gives_the_same_chip_as_the_whole():
    face = smooth_face(512)
    part = face[..., 134:486, 84:436]
    assert shows_chip((84, 134), 352)
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))  # the blur reaches beyond the part at its border
    torch.testing.assert_close(chips(part, corner=(84, 134))[inner], chips(face)[inner], atol=0.5, rtol=0)


def test_the_chip_hardly_depends_on_the_size_of_the_crop():
    large, small = smooth_face(512), smooth_face(256)
    assert (chips(large) - chips(small, size=256)).abs().mean() < 2


@pytest.mark.parametrize(("corner", "side"), [((89, 140), 352), ((84, 143), 352), ((70, 134), 352), ((0, 0), 400)])
def test_a_part_without_all_of_the_chip_is_known(corner, side):
    assert not shows_chip(corner, side)


def test_chips_are_differentiable():
    face = smooth_face(64).requires_grad_()
    chips(face, size=64).sum().backward()
    assert face.grad.abs().sum() > 0
