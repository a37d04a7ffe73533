import numpy as np
import pytest

from revisage.training.data.degradations.blur import Blur, BlurAndDownsample, Downsample, MixedBlur, Resize, fuse


def rng(seed=0):
    return np.random.default_rng(seed)


def spread(kernel):
    """Standard deviation along x of a kernel taken as a distribution."""
    axis = np.arange(len(kernel)) - len(kernel) // 2
    return float(np.sqrt((kernel.sum(axis=0) * axis**2).sum()))


def test_sigmas_are_uniform_over_their_range():
    generator, blur = rng(), MixedBlur({"iso": 1.0}, sigma=(1.0, 5.0))
    sigmas = np.array([spread(blur.kernel(generator)) for _ in range(600)])
    np.testing.assert_allclose(np.quantile(sigmas, [0.1, 0.5, 0.9]), [1.4, 3.0, 4.6], atol=0.2)


def test_anisotropic_blurs_have_every_direction():
    generator, blur = rng(), MixedBlur({"aniso": 1.0}, sigma=(1.0, 5.0))
    kernels = [blur.kernel(generator) for _ in range(300)]
    axis = np.arange(41) - 20
    slants = np.array([(kernel * np.outer(axis, axis)).sum() for kernel in kernels])
    assert abs((slants > 0).mean() - 0.5) < 0.1
    assert np.abs(slants).max() > 4


def test_kinds_come_as_often_as_they_should():
    # A plateau's tails are heavy, a Gaussian's corners empty, a sinc has negative values.
    generator, blur = rng(), MixedBlur({"iso": 0.2, "plateau_iso": 0.3, "sinc": 0.5}, (21, 21), sigma=(1.0, 2.0))
    kernels = [blur.kernel(generator) for _ in range(500)]
    sinc = np.mean([kernel.min() < 0 for kernel in kernels])
    gaussian = np.mean([0 <= kernel[0, 0] < 1e-9 for kernel in kernels])
    assert sinc == pytest.approx(0.5, abs=0.07)
    assert gaussian == pytest.approx(0.2, abs=0.06)


def test_sizes_are_odd_and_cover_their_range():
    generator, blur = rng(), MixedBlur(size=(7, 21))
    assert {len(blur.kernel(generator)) for _ in range(200)} == {7, 9, 11, 13, 15, 17, 19, 21}


def test_half_of_the_exponents_are_below_one():
    generator, blur = rng(), MixedBlur({"generalized_iso": 1.0}, sigma=(2.0, 2.0))
    gaussian = MixedBlur({"iso": 1.0}, sigma=(2.0, 2.0)).kernel(generator)
    heavier = np.mean([blur.kernel(generator)[20, 30] > gaussian[20, 30] for _ in range(300)])
    assert heavier == pytest.approx(0.5, abs=0.1)


def test_kernel_noise_leaves_plateaus_alone():
    plateau = MixedBlur({"plateau_iso": 1.0}, noise=(0.5, 1.5)).kernel(rng())
    gaussian = MixedBlur({"iso": 1.0}, noise=(0.5, 1.5)).kernel(rng())
    assert np.allclose(plateau, plateau[::-1, ::-1])
    assert not np.allclose(gaussian, gaussian[::-1, ::-1])


@pytest.mark.parametrize("blur", [Blur(), MixedBlur()])
def test_fusing_draws_the_same_numbers(blur):
    image = rng(1).random((64, 64, 3), dtype=np.float32)
    for seed in range(6):
        one, two = rng(seed), rng(seed)
        quick = fuse([blur, Downsample()])[0](image, one)
        plain = Downsample()(blur(image, two), two)
        assert quick.shape == plain.shape
        assert one.random() == two.random()


def test_only_a_blur_right_before_a_shrink_is_fused():
    blur, shrink, resize = Blur(), Downsample(), Resize()
    assert fuse([blur, resize, shrink, blur]) == (blur, resize, shrink, blur)
    assert fuse([resize, blur, shrink, blur]) == (resize, BlurAndDownsample(blur, shrink), blur)


def test_images_are_enlarged_shrunk_and_kept_as_often_as_said():
    generator, image = rng(), np.zeros((100, 100, 3), np.float32)
    sides = np.array([Resize((0.2, 0.7, 0.1), (0.15, 1.5))(image, generator).shape[0] for _ in range(600)])
    assert (sides == 100).mean() == pytest.approx(0.1, abs=0.04)
    assert (sides > 100).mean() == pytest.approx(0.2, abs=0.05)
    assert sides.min() >= 15
    assert sides.max() <= 150
    assert np.median(sides[sides < 100]) == pytest.approx(57, abs=5)


def test_bicubic_resizing_stays_within_black_and_white():
    edge = np.zeros((20, 20, 3), np.float32)
    edge[:, 10:] = 1
    for seed in range(20):
        result = Resize((1, 0, 0), (1.0, 1.5))(edge, rng(seed))
        assert result.min() >= 0
        assert result.max() <= 1
