from typing import get_args

import pytest
import torch
from golden_weights import golden_input
from torch.nn import functional as F

from revisage.models.nets.arcface import gray_faces
from revisage.training.losses.features import IdentityDistance, identity_distance

KINDS = get_args(IdentityDistance)


def test_faces_are_shown_to_arcface_gray_and_small():
    images = golden_input(2, 3, 512, 512)
    luma = torch.einsum("nchw,c->nhw", images, torch.tensor([0.2989, 0.587, 0.114], dtype=torch.float64))[:, None]
    # Bilinear to a quarter without anti-aliasing: the mean of the four pixels around the centre of each 4x4 block.
    expected = (luma[..., 1::4, 1::4] + luma[..., 1::4, 2::4] + luma[..., 2::4, 1::4] + luma[..., 2::4, 2::4]) / 4
    torch.testing.assert_close(gray_faces(images), expected, rtol=0, atol=1e-12)


def test_faces_of_the_networks_size_are_only_made_gray():
    white = gray_faces(torch.ones(1, 3, 128, 128))
    assert white.shape == (1, 1, 128, 128)
    assert float(white.mean()) == pytest.approx(0.9999, abs=1e-6)  # the published weights add up to that


@pytest.mark.parametrize(
    ("kind", "expected"), [("l1", (1 + 7) / 2), ("cosine", 1 - (3 * 4 - 4 * 3) / 25), ("euclidean", 50**0.5)]
)
def test_distances_of_embeddings(kind, expected):
    distance = identity_distance(torch.tensor([[3.0, 4.0]]), torch.tensor([[4.0, -3.0]]), kind)
    assert distance.shape == (1,)
    assert float(distance) == pytest.approx(expected, abs=1e-5)


def test_the_strength_of_embeddings_counts_for_all_but_the_cosine():
    a = torch.tensor([[3.0, 4.0]])
    assert [round(float(identity_distance(a, 2 * a, kind)), 3) for kind in ("l1", "cosine", "euclidean")] == [3.5, 0, 5]


def test_the_mean_of_l1_is_that_of_all_numbers():
    a, b = golden_input(4, 16), golden_input(8, 16)[4:]
    torch.testing.assert_close(identity_distance(a, b, "l1").mean(), F.l1_loss(a, b))


@pytest.mark.parametrize("kind", KINDS)
def test_equal_faces_have_a_finite_slope_and_originals_none(kind):
    mine, theirs = (torch.tensor([[1.0, -2.0]], requires_grad=True) for _ in range(2))
    identity_distance(mine, theirs, kind).sum().backward()
    assert mine.grad.abs().max() < 1e-6
    assert theirs.grad is None


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_of_half_precision_are_compared_in_float32(kind):
    a = torch.full((1, 512), 60.0, dtype=torch.float16)
    expected = identity_distance(a.double(), -a.double(), kind)
    torch.testing.assert_close(identity_distance(a, -a, kind).double(), expected)
