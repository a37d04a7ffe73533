import math

import numpy as np
import pytest
import torch
from golden_weights import golden_arrays, golden_input
from torch.autograd import gradcheck, gradgradcheck

from revisage.training.losses.components import roi_align


def interpolated(image, y, x):
    """One sample of (C, H, W), by the definition's letter."""
    height, width = image.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return np.zeros(len(image))
    y, x = (min(max(place, 0), side - 1) for place, side in ((y, height), (x, width)))
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    upper = (1 - dx) * image[:, top, left] + dx * image[:, top, right]
    lower = (1 - dx) * image[:, bottom, left] + dx * image[:, bottom, right]
    return (1 - dy) * upper + dy * lower


def by_the_letter(image, box, size):
    """(C, H, W), (4,) -> (C, size, size), sample by sample."""
    result = np.zeros((len(image), size, size))
    starts, sides = box[:2], np.maximum(box[2:] - box[:2], 1)
    (nx, ny), (step_x, step_y) = np.ceil(sides / size).astype(int), sides / size
    for row in range(size):
        for column in range(size):
            samples = [
                interpolated(
                    image,
                    starts[1] + row * step_y + (i + 0.5) * step_y / ny,
                    starts[0] + column * step_x + (j + 0.5) * step_x / nx,
                )
                for i in range(ny)
                for j in range(nx)
            ]
            result[:, row, column] = np.mean(samples, axis=0)
    return result


@pytest.mark.parametrize("size", [5, (7, 4)], ids=str)
def test_crops_equal_the_reference(size):
    """Boxes inside, with fractions, over the border, wholly outside, thinner than a pixel and inside out."""
    golden = golden_arrays("roi_align")
    name = "size_{}x{}".format(*((size, size) if isinstance(size, int) else size))
    actual = roi_align(golden_input(2, 3, 24, 20), torch.from_numpy(golden["boxes"]), size)
    torch.testing.assert_close(actual, torch.from_numpy(golden[name]), rtol=0, atol=1e-14)


@pytest.mark.parametrize("seed", range(8))
def test_crops_equal_the_definition(seed):
    rng = np.random.default_rng(seed)
    image, box, size = rng.uniform(-1, 1, (2, 9, 11)), rng.uniform(-4, 14, 4), int(rng.integers(1, 6))
    actual = roi_align(torch.from_numpy(image)[None], torch.from_numpy(box)[None, None], size)
    np.testing.assert_allclose(actual[0, 0].numpy(), by_the_letter(image, box, size), atol=1e-13)


def test_a_box_of_the_crops_size_is_cut_between_the_pixels():
    """``aligned=False``: the first sample lies half a pixel inside the box, between two pixel centres."""
    image = torch.arange(10.0).expand(1, 1, 10, 10)
    cut = roi_align(image, torch.tensor([[[2.0, 2, 6, 6]]]), 4)
    assert cut[0, 0, 0, 0].tolist() == [2.5, 3.5, 4.5, 5.5]


def test_boxes_are_cut_out_of_their_own_image():
    images = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
    cut = roi_align(images, torch.tensor([1.0, 1, 5, 5]).expand(2, 3, 4), 2)
    assert cut.shape == (2, 3, 3, 2, 2)
    assert cut[0].max() == 0
    assert cut[1].min() == 1


def test_crops_are_differentiated_right_and_twice():
    boxes = torch.tensor([[[0.3, 1.2, 4.1, 3.9], [-2, -1, 2, 7]]], dtype=torch.float64)
    images = golden_input(1, 2, 5, 6).requires_grad_()
    assert gradcheck(lambda x: roi_align(x, boxes, 3), images)
    assert gradgradcheck(lambda x: roi_align(x, boxes, 3).pow(3), images)


def test_boxes_get_no_gradient():
    boxes = torch.tensor([[[1.0, 1, 4, 4]]], requires_grad=True)
    assert not roi_align(torch.zeros(1, 1, 6, 6), boxes, 2).requires_grad


def test_places_are_exact_under_autocast():
    """bfloat16 has no numbers between 256 and 258; a crop by such places would be off by pixels."""
    image = torch.linspace(-1, 1, 512).expand(1, 1, 512, 512)
    boxes = torch.tensor([[[257.3, 301.7, 337.3, 381.7]]])
    with torch.autocast("cpu", torch.bfloat16):
        actual = roi_align(image, boxes, 80)
    torch.testing.assert_close(actual, roi_align(image.double(), boxes.double(), 80).float(), rtol=0, atol=1e-5)
