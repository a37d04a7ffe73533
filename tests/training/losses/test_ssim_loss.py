import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from revisage.evaluation.metrics import image as metrics
from revisage.training.losses.image import ssim


def images(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def test_it_is_the_metric_of_eight_bit_images():
    random = np.random.default_rng(0)
    a = random.integers(0, 256, (40, 30, 3), np.uint8)
    b = np.clip(a + random.normal(0, 30, a.shape), 0, 255).astype(np.uint8)
    x, y = (torch.from_numpy(image / 127.5 - 1).permute(2, 0, 1)[None] for image in (a, b))
    assert float(ssim(x, y)) == pytest.approx(metrics.ssim(a, b), abs=1e-9)


def test_each_image_has_its_own():
    x, y = images(2, 3, 16, 16), images(2, 3, 16, 16, seed=1)
    y[1] = x[1]
    first, second = ssim(x, y).tolist()
    assert first < 0.5
    assert second == pytest.approx(1)
    assert first == pytest.approx(float(ssim(x[:1], y[:1])))


def test_its_gradient_is_right():
    x, y = images(1, 1, 12, 12), images(1, 1, 12, 12, seed=1)
    assert gradcheck(lambda x: ssim(x, y), x.requires_grad_())


def test_images_smaller_than_a_window_have_none():
    with pytest.raises(ValueError, match="at least 11 x 11 pixels"):
        ssim(images(1, 3, 10, 40), images(1, 3, 10, 40))
