import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revisage.tracking.smoothing import (
    AVERAGE_RADIUS,
    TRACK_RADIUS,
    reduce_crop,
    sliding_windows,
    smooth_face,
    temporal_average,
)
from revisage.types import Face

SHAPE = np.array([[-10, -8], [10, -8], [0, 2], [-8, 12], [8, 12]], np.float32)
WINDOW = 2 * TRACK_RADIUS + 1
SIZE = 128
FACE = np.full((SIZE, SIZE, 3), 0.5, np.float32)
NEAR = [at for at in range(-AVERAGE_RADIUS, AVERAGE_RADIUS + 1) if at]


def face(x, y=0.0):
    points = SHAPE + np.array([x, y], np.float32)
    return Face(np.concatenate([points.min(0), points.max(0)]), points, 0.9)


def detections(positions, first=-TRACK_RADIUS):
    return [(first + t, (first + t) / 25, face(*np.atleast_1d(x))) for t, x in enumerate(positions) if x is not None]


def center(positions, first=-TRACK_RADIUS):
    result = smooth_face(detections(positions, first), len(positions))
    return None if result is None else float(result.landmarks[:, 0].mean())


@given(st.floats(-5, 5), st.floats(-100, 100), st.integers(0, TRACK_RADIUS))
def test_a_straight_movement_is_left_alone_wherever_the_video_begins(speed, start, before):
    positions = [start + speed * t for t in range(-before, TRACK_RADIUS + 1)]
    assert center(positions, first=-before) == pytest.approx(start, abs=1e-3)


def test_straight_in_time_not_in_frames():
    """Frames that are not evenly spaced."""
    times = np.array([0, 0.04, 0.05, 0.2, 0.21, 0.3, 0.33, 0.4, 0.41])
    seen = [(t - 4, time, face(100 * time)) for t, time in enumerate(times)]
    assert smooth_face(seen, 9).landmarks[:, 0].mean() == pytest.approx(21, abs=1e-3)


def test_jitter_becomes_a_third():
    rng = np.random.default_rng(0)
    positions = 0.7 * np.arange(300) + rng.normal(0, 0.3, 300)
    steady = np.array(
        [center(positions[t - TRACK_RADIUS : t + TRACK_RADIUS + 1]) for t in range(TRACK_RADIUS, 300 - TRACK_RADIUS)]
    )
    before = np.diff(positions).std()
    assert np.diff(steady).std() < before / 3
    assert np.abs(steady - 0.7 * np.arange(TRACK_RADIUS, 300 - TRACK_RADIUS)).mean() < 0.3 / 2


def test_a_sudden_turn_is_followed():
    """A head that moves 4 pixels a frame and turns round at once: half a pixel of lag would be seen."""
    positions = [-abs(4.0 * t) for t in range(-TRACK_RADIUS, TRACK_RADIUS + 1)]
    assert center(positions) == pytest.approx(0, abs=0.5)


def test_a_missed_frame_is_filled_in():
    positions = [float(t) for t in range(-TRACK_RADIUS, TRACK_RADIUS + 1)]
    positions[TRACK_RADIUS] = None
    assert center(positions) == pytest.approx(0, abs=1e-3)


def test_before_it_comes_and_after_it_has_gone_there_is_no_face():
    assert center([None] * (TRACK_RADIUS + 1) + [0.0] * TRACK_RADIUS) is None
    assert center([0.0] * TRACK_RADIUS + [None] * (TRACK_RADIUS + 1)) is None


def test_what_is_seen_by_chance_is_no_face():
    positions = [None] * WINDOW
    positions[TRACK_RADIUS] = 0.0
    assert center(positions) is None
    positions[TRACK_RADIUS - 1] = positions[TRACK_RADIUS + 1] = 0.0
    assert center(positions) == 0


def test_a_video_of_one_frame_has_faces_too():
    assert center([7.0], first=0) == 7


def noisy(rng, image, sigma):
    return np.clip(image + rng.normal(0, sigma, image.shape), 0, 1).astype(np.float32)


def test_details_that_differ_from_frame_to_frame_are_averaged():
    rng = np.random.default_rng(0)
    track = [reduce_crop(noisy(rng, FACE, 0.02), noisy(rng, FACE, 0.05)) for _ in range(2 * AVERAGE_RADIUS + 1)]
    steady = temporal_average(track[0], list(zip(NEAR, track[1:], strict=True)))
    assert steady.std() < 0.05 / 2
    assert steady.mean() == pytest.approx(0.5, abs=1e-3)


def test_a_single_frame_is_left_alone():
    after = noisy(np.random.default_rng(0), FACE, 0.1)
    assert np.abs(temporal_average(reduce_crop(FACE, after), []) - after).max() < 1e-4


def test_what_moves_is_not_smeared():
    """A mouth that opens in the middle frame only: it must be there at once, and in no other frame."""
    mouth = FACE.copy()
    mouth[80:110, 40:90] = 0.1
    still, moved = reduce_crop(FACE, FACE), reduce_crop(mouth, mouth)
    middle = temporal_average(moved, [(at, still) for at in NEAR])
    other = temporal_average(still, [(1, moved), *((at, still) for at in NEAR if at != 1)])
    inner = (slice(84, 106), slice(44, 86))
    assert np.abs(middle - mouth)[inner].max() < 0.01
    assert np.abs(other - FACE)[inner].max() < 0.01


def test_a_change_of_light_is_followed():
    """The neighbors were darker and redder: their details count, their light does not."""
    light = np.array([0.1, 0.2, 0.25], np.float32)
    rng = np.random.default_rng(0)
    center = reduce_crop(FACE + light, noisy(rng, FACE + light, 0.05))
    others = [(at, reduce_crop(FACE, noisy(rng, FACE, 0.05))) for at in NEAR]
    steady = temporal_average(center, others)
    assert steady.mean(axis=(0, 1)) == pytest.approx(0.5 + light, abs=2e-3)
    assert steady.std(axis=(0, 1)).max() < 0.05 / 2


@given(st.integers(0, 30), st.integers(0, 6))
def test_every_item_sees_its_neighbors(length, radius):
    found = list(sliding_windows(range(length), radius, str))
    assert [item for item, _ in found] == list(range(length))
    for item, notes in found:
        near = range(max(item - radius, 0), min(item + radius + 1, length))
        assert notes == [(other - item, str(other)) for other in near]


class Thing:
    pass


def test_no_more_items_are_alive_than_the_radius_asks_for():
    alive = weakref.WeakSet()

    def things():
        for _ in range(100):
            thing = Thing()
            alive.add(thing)
            yield thing

    most = 0
    for _ in sliding_windows(things(), 3, lambda _: None):
        most = max(most, len(alive))
    assert most <= 3 + 2
