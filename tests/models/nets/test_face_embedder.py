import pytest
import torch
from torch.nn import functional as F

from revisage.models.nets.face_embedder import CANVAS, SIZE, FaceEmbedder, face_window, inner_faces


@pytest.fixture(scope="module")
def network():
    """With running statistics of some noise, as after a training."""
    torch.manual_seed(0)
    network = FaceEmbedder((8, 12, 16, 24), (1, 0, 1, 1), 16).train()
    for _ in range(20):
        network(torch.rand(8, 3, CANVAS, CANVAS) * 2 - 1)
    return network.eval().requires_grad_(False)


def smooth_faces(count, side):
    generator = torch.Generator().manual_seed(1)
    small = torch.rand(count, 3, 12, 12, generator=generator) * 2 - 1
    return F.interpolate(small, (side, side), mode="bicubic", align_corners=False)


def test_vectors_have_the_asked_size_and_length_one(network):
    vectors = network(smooth_faces(5, 200))
    assert vectors.shape == (5, 16)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(5))


def test_the_default_is_small():
    network = FaceEmbedder()
    assert sum(value.numel() for value in network.state_dict().values()) < 750_000  # 1.5 MB in float16
    assert network.eval()(smooth_faces(1, 512)).shape == (1, 128)


def test_a_vector_does_not_depend_on_the_batch(network):
    faces = smooth_faces(4, CANVAS)
    torch.testing.assert_close(network(faces)[2:3], network(faces[2:3]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", [64, 112, 200, 256, 333, 512])
def test_a_vector_hardly_depends_on_the_size_of_the_crop(network, side):
    whole = smooth_faces(2, 512)
    other = F.interpolate(whole, (side, side), mode="bilinear", align_corners=False, antialias=True)
    assert (network(whole) * network(other)).sum(1).min() > 0.99


def test_what_lies_around_the_face_does_not_count(network):
    faces = smooth_faces(2, 512)
    others = faces.clone()
    others[..., :130, :], others[..., 470:, :], others[..., :90], others[..., 420:] = 1, 1, -1, -1
    torch.testing.assert_close(network(others), network(faces), rtol=1e-3, atol=1e-3)


def test_what_lies_in_the_face_counts(network):
    faces = smooth_faces(2, 512)
    others = faces.clone()
    others[..., 220:260, 160:350] *= -1
    assert (network(others) * network(faces)).sum(1).max() < 0.999


def test_the_part_seen_holds_all_five_landmarks_of_the_template():
    places = torch.zeros(1, 3, 512, 512)
    for x, y in ((193, 240), (319, 240), (257, 314), (201, 371), (313, 371)):
        places[..., y - 4 : y + 5, x - 4 : x + 5] = 1
    seen = (inner_faces(places) * face_window()).sum()
    assert seen / inner_faces(places).sum() > 0.999
    assert inner_faces(places).sum() == pytest.approx(5 * 3 * 81 * (CANVAS / 512) ** 2, rel=0.02)


def test_the_window_is_whole_in_the_middle_and_shut_in_the_corners():
    window = face_window()[0, 0]
    assert window[SIZE // 2, SIZE // 2] == 1
    assert window[0, 0] == window[-1, -1] == 0
    torch.testing.assert_close(window, window.flip(1))


@pytest.mark.parametrize("shape", [(1, 3, 64, 32), (1, 1, 64, 64), (3, 64, 64)])
def test_other_shapes_are_refused(network, shape):
    with pytest.raises(ValueError, match="square RGB"):
        network(torch.zeros(shape))


def test_levels_have_to_be_four():
    with pytest.raises(ValueError, match="four levels"):
        FaceEmbedder((8, 16), (1, 1))


def test_half_precision_is_of_length_one_too(network):
    with torch.autocast("cpu", torch.bfloat16):
        vectors = network(smooth_faces(3, CANVAS))
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
