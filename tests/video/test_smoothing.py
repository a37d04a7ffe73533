import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revisage.types import Face
from revisage.video.smoothing import RADIUS, smoothed

SHAPE = np.array([[-10, -8], [10, -8], [0, 2], [-8, 12], [8, 12]], np.float32)
WINDOW = 2 * RADIUS + 1


def face(x, y=0.0):
    points = SHAPE + np.array([x, y], np.float32)
    return Face(np.concatenate([points.min(0), points.max(0)]), points, 0.9)


def sightings(positions, first=-RADIUS):
    return [(first + t, (first + t) / 25, face(*np.atleast_1d(x))) for t, x in enumerate(positions) if x is not None]


def centre(positions, first=-RADIUS):
    result = smoothed(sightings(positions, first), len(positions))
    return None if result is None else float(result.landmarks[:, 0].mean())


@given(st.floats(-5, 5), st.floats(-100, 100), st.integers(0, RADIUS))
def test_a_straight_movement_is_left_alone_wherever_the_film_begins(speed, start, before):
    positions = [start + speed * t for t in range(-before, RADIUS + 1)]
    assert centre(positions, first=-before) == pytest.approx(start, abs=1e-3)


def test_straight_in_time_not_in_frames():
    """Frames that are not evenly spaced."""
    times = np.array([0, 0.04, 0.05, 0.2, 0.21, 0.3, 0.33, 0.4, 0.41])
    seen = [(t - 4, time, face(100 * time)) for t, time in enumerate(times)]
    assert smoothed(seen, 9).landmarks[:, 0].mean() == pytest.approx(21, abs=1e-3)


def test_trembling_becomes_a_third():
    rng = np.random.default_rng(0)
    positions = 0.7 * np.arange(300) + rng.normal(0, 0.3, 300)
    steady = np.array([centre(positions[t - RADIUS : t + RADIUS + 1]) for t in range(RADIUS, 300 - RADIUS)])
    before = np.diff(positions).std()
    assert np.diff(steady).std() < before / 3
    assert np.abs(steady - 0.7 * np.arange(RADIUS, 300 - RADIUS)).mean() < 0.3 / 2


def test_a_sudden_turn_is_followed():
    """A head that moves 4 pixels a frame and turns round at once: half a pixel of lag would be seen."""
    positions = [-abs(4.0 * t) for t in range(-RADIUS, RADIUS + 1)]
    assert centre(positions) == pytest.approx(0, abs=0.5)


def test_a_missed_frame_is_filled_in():
    positions = [float(t) for t in range(-RADIUS, RADIUS + 1)]
    positions[RADIUS] = None
    assert centre(positions) == pytest.approx(0, abs=1e-3)


def test_before_it_comes_and_after_it_has_gone_there_is_no_face():
    assert centre([None] * (RADIUS + 1) + [0.0] * RADIUS) is None
    assert centre([0.0] * RADIUS + [None] * (RADIUS + 1)) is None


def test_what_is_seen_by_chance_is_no_face():
    positions = [None] * WINDOW
    positions[RADIUS] = 0.0
    assert centre(positions) is None
    positions[RADIUS - 1] = positions[RADIUS + 1] = 0.0
    assert centre(positions) == 0


def test_a_film_of_one_frame_has_faces_too():
    assert centre([7.0], first=0) == 7
