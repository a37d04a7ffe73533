import cv2
import numpy as np
import pytest

from revisage.restore.blend import lost_grain, noise_level, with_grain

SIZE = 256


def scene():
    """A smooth face with sharp features: flat areas on the left, an eye-like disc and stripes on the right."""
    y, x = np.mgrid[:SIZE, :SIZE]
    picture = np.full((SIZE, SIZE), 0.5)
    picture[(x - 190) ** 2 + (y - 90) ** 2 < 30**2] = 0.1
    picture[170:230, 150:240] = np.where((x[170:230, 150:240] // 12) % 2, 0.25, 0.75)
    return np.repeat(picture[..., None], 3, 2).astype(np.float32)


def noise(level, coarseness=1, seed=0):
    side = SIZE // coarseness
    fine = np.random.default_rng(seed).normal(0, level, (side, side, 3)).astype(np.float32)
    return cv2.resize(fine, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR) if coarseness > 1 else fine


def flat_level(picture, coarseness=1):
    """Standard deviation in the flat part, of what is finer than three grains."""
    part = picture[20:-20, 20:130]
    return float((part - cv2.GaussianBlur(part, (0, 0), 3 * coarseness)).std())


@pytest.mark.parametrize("coarseness", [1, 2, 4])
@pytest.mark.parametrize("level", [0.01, 0.03, 0.08])
def test_smooth_regions_regain_their_noise(level, coarseness):
    before = np.clip(scene() + noise(level, coarseness), 0, 1)
    grainy = with_grain(before, scene(), 1.0, coarseness)
    assert flat_level(grainy, coarseness) == pytest.approx(flat_level(before, coarseness), rel=0.25)


def test_half_of_the_grain_is_half_the_noise():
    before = scene() + noise(0.03)
    half, full = (flat_level(with_grain(before, scene(), amount, 1)) for amount in (0.5, 1.0))
    assert half == pytest.approx(full / 2, rel=0.02)


def test_none_is_the_restoration_itself():
    after = scene()
    assert with_grain(after + noise(0.03), after, 0.0, 1) is after


def test_structure_of_the_restoration_is_unharmed():
    """The network sharpened blurred edges: putting back the grain must not put back the blur."""
    after = scene()
    before = cv2.GaussianBlur(after, (0, 0), 3) + noise(0.01)
    edges = np.abs(cv2.Laplacian(after[..., 0], cv2.CV_32F)) > 0.1
    changed = (with_grain(before, after, 1.0, 1) - after)[edges]
    assert np.abs(changed).max() <= 0.031
    assert changed.std() < 0.012
    correlation = np.corrcoef(changed.ravel(), (before - after)[edges].ravel())[0, 1]
    blur = (before - after)[edges].std()
    assert correlation * changed.std() < 0.1 * blur


def test_grain_that_the_network_left_is_not_doubled():
    before = np.clip(scene() + noise(0.03), 0, 1)
    assert np.array_equal(with_grain(before, before, 1.0, 1), before)


def test_a_photo_without_grain_gets_none():
    before = cv2.GaussianBlur(scene(), (0, 0), 2)
    assert np.abs(lost_grain(before, scene(), 1.0)).max() < 1e-3


def test_the_noise_level_is_not_misled_by_edges():
    assert noise_level(noise(0.03)) == pytest.approx(np.full(3, 0.03), rel=0.05)
    spotted = noise(0.03)
    spotted[::8] += 1
    assert noise_level(spotted) == pytest.approx(np.full(3, 0.03), rel=0.2)
