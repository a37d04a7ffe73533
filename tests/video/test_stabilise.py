import numpy as np
import pytest

from revisage.video.stabilise import RADIUS, remembered, stabilised

SIZE = 128
FACE = np.full((SIZE, SIZE, 3), 0.5, np.float32)
NEAR = [at for at in range(-RADIUS, RADIUS + 1) if at]


def noisy(rng, picture, sigma):
    return np.clip(picture + rng.normal(0, sigma, picture.shape), 0, 1).astype(np.float32)


def test_details_that_differ_from_frame_to_frame_are_averaged():
    rng = np.random.default_rng(0)
    track = [remembered(noisy(rng, FACE, 0.02), noisy(rng, FACE, 0.05)) for _ in range(2 * RADIUS + 1)]
    steady = stabilised(track[0], list(zip(NEAR, track[1:], strict=True)))
    assert steady.std() < 0.05 / 2
    assert steady.mean() == pytest.approx(0.5, abs=1e-3)


def test_a_single_frame_is_left_alone():
    after = noisy(np.random.default_rng(0), FACE, 0.1)
    assert np.abs(stabilised(remembered(FACE, after), []) - after).max() < 1e-4


def test_what_moves_is_not_smeared():
    """A mouth that opens in the middle frame only: it must be there at once, and in no other frame."""
    mouth = FACE.copy()
    mouth[80:110, 40:90] = 0.1
    still, moved = remembered(FACE, FACE), remembered(mouth, mouth)
    middle = stabilised(moved, [(at, still) for at in NEAR])
    other = stabilised(still, [(1, moved), *((at, still) for at in NEAR if at != 1)])
    inner = (slice(84, 106), slice(44, 86))
    assert np.abs(middle - mouth)[inner].max() < 0.01
    assert np.abs(other - FACE)[inner].max() < 0.01


def test_a_change_of_light_is_followed():
    """The neighbours were darker and redder: their details count, their light does not."""
    light = np.array([0.1, 0.2, 0.25], np.float32)
    rng = np.random.default_rng(0)
    centre = remembered(FACE + light, noisy(rng, FACE + light, 0.05))
    others = [(at, remembered(FACE, noisy(rng, FACE, 0.05))) for at in NEAR]
    steady = stabilised(centre, others)
    assert steady.mean(axis=(0, 1)) == pytest.approx(0.5 + light, abs=2e-3)
    assert steady.std(axis=(0, 1)).max() < 0.05 / 2
