import numpy as np
import pytest

from revisage.evaluation.metrics.flicker import flicker


def frames(number, sigma, seed=0):
    rng = np.random.default_rng(seed)
    return [np.clip(np.rint(rng.normal(128, sigma, (64, 64, 3))), 0, 255).astype(np.uint8) for _ in range(number)]


def test_a_still_clip_does_not_flicker():
    assert flicker(frames(1, 20) * 5) == 0


def test_fresh_noise_measures_its_deviation_times_the_root_of_two():
    assert flicker(frames(8, 10)) == pytest.approx(10 * np.sqrt(2), rel=0.03)


def test_what_changes_in_truth_does_not_count():
    truth = [np.full((8, 8, 3), 20 * t, np.uint8) for t in range(6)]
    wrong_alike = [frame + 10 for frame in truth]
    assert flicker(truth) == 20
    assert flicker(truth, truth) == 0
    assert flicker(wrong_alike, truth) == 0


def test_frames_are_taken_one_at_a_time():
    assert flicker(iter(frames(3, 5)), iter(frames(3, 5))) == 0


def test_what_cannot_be_compared_is_said():
    with pytest.raises(ValueError, match="two frames"):
        flicker(frames(1, 5))
    with pytest.raises(ValueError, match="shorter"):
        flicker(frames(3, 5), frames(2, 5))
    with pytest.raises(ValueError, match="cannot be compared"):
        flicker([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)])
