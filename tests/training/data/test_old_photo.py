import numpy as np
import pytest

from revisage.training.data.degradations.old_photo import (
    Dust,
    Fading,
    FilmGrain,
    Halftone,
    PaperTexture,
    Scratches,
    Sepia,
)


def rng(seed=0):
    return np.random.default_rng(seed)


GRAY = np.full((96, 96, 3), 0.5, np.float32)
RAMP = np.repeat(np.linspace(0, 1, 96, dtype=np.float32)[None, :, None], 96, axis=0).repeat(3, axis=2)


def test_sepia_is_brown():
    red, green, blue = Sepia((1.0, 1.0))(GRAY, rng())[0, 0]
    assert red > green > blue


def test_fading_lifts_black_lowers_white_and_yellows():
    faded = Fading((0.1, 0.1), (0.8, 0.8), (0.1, 0.1))(RAMP, rng())
    assert faded[0, 0, 0] == pytest.approx(0.1, abs=1e-3)
    assert faded[0, -1, 0] == pytest.approx(0.8, abs=1e-3)
    assert faded[0, -1, 2] < faded[0, -1, 0]


@pytest.mark.parametrize("step", [Scratches((3, 3)), Dust((30, 30))])
def test_marks_cover_little_and_leave_the_rest_alone(step):
    changed = np.any(step(GRAY, rng()) != GRAY, axis=2).mean()
    assert 0.001 < changed < 0.3


def test_no_marks_change_nothing():
    assert np.array_equal(Scratches((0, 0))(GRAY, rng()), GRAY)
    assert np.array_equal(Dust((0, 0), (0, 0))(GRAY, rng()), GRAY)


def test_halftone_dots_repeat_at_their_period_and_keep_the_tone():
    printed = Halftone((6.0, 6.0), (0.6, 0.6))(GRAY, rng())[..., 0]
    assert printed.mean() == pytest.approx(0.5, abs=0.02)
    power = np.abs(np.fft.fft2(printed - printed.mean()))
    y, x = np.unravel_index(int(power.argmax()), power.shape)
    assert np.hypot(*(min(i, 96 - i) for i in (int(x), int(y)))) == pytest.approx(96 / 6, abs=1)


def test_grain_has_the_asked_for_strength_in_the_middle_and_less_at_the_ends():
    step = FilmGrain((10.0, 10.0), (1.0, 1.0))
    assert (step(GRAY, rng()) - GRAY).std() * 255 == pytest.approx(10, rel=0.1)
    noise = step(RAMP, rng()) - RAMP
    assert noise[:, 4].std() < 0.6 * noise[:, 48].std()


def test_paper_is_uneven_but_as_bright():
    textured = PaperTexture((0.1, 0.1))(GRAY, rng())
    assert textured.mean() == pytest.approx(0.5, abs=0.05)
    assert textured.std() > 0.01
    assert np.array_equal(textured[..., 0], textured[..., 2])
