import numpy as np
import pytest

from revisage.tracking.tracks import MAX_GAP, Tracker
from revisage.types import Face

PLAIN = np.full((90, 160, 3), 100, np.uint8)


def face(x, y=40.0, size=20.0):
    box = np.array([x, y, x + size, y + size], np.float32)
    return Face(box, np.zeros((5, 2), np.float32), 0.9)


def follow(frames, images=None):
    """Numbers of the faces of each frame, in the order in which they were detected."""
    tracker, numbers = Tracker(), []
    for place, faces in enumerate(frames):
        tracker, numbered = tracker.follow(PLAIN if images is None else images[place], faces)
        by_face = {id(one): number for number, one in numbered.items()}
        numbers.append([by_face[id(one)] for one in faces])
    return numbers


def test_moving_faces_keep_their_numbers():
    frames = [[face(10 + 4 * t), face(120 - 4 * t, y=10)] for t in range(12)]
    frames = [faces[::-1] if t % 2 else faces for t, faces in enumerate(frames)]  # order of detection means nothing
    assert follow(frames) == [[1, 0] if t % 2 else [0, 1] for t in range(12)]


def test_the_nearer_of_two_takes_the_track():
    assert follow([[face(50)], [face(58), face(51)]]) == [[0], [1, 0]]


@pytest.mark.parametrize(("missed", "number"), [(MAX_GAP, 0), (MAX_GAP + 1, 1)])
def test_a_face_may_be_missed_for_a_few_frames(missed, number):
    assert follow([[face(50)], *[[]] * missed, [face(53)]])[-1] == [number]


def test_a_cut_ends_all_tracks():
    images = [PLAIN, PLAIN, PLAIN + 80, PLAIN + 80]
    assert follow([[face(50)]] * 4, images) == [[0], [0], [1], [1]]


def test_a_flicker_of_light_is_no_cut():
    images = [PLAIN, PLAIN + 15, PLAIN]
    assert follow([[face(50)]] * 3, images) == [[0]] * 3


def test_numbers_are_never_used_twice():
    far = [[face(10 if t % 2 else 120)] for t in range(6)]
    tracker = Tracker()
    seen = []
    for faces in far:
        tracker, numbered = tracker.follow(PLAIN, faces)
        seen += numbered
    assert tracker.faces == len(set(seen)) == 2  # within the gap: both are numbered all the time
