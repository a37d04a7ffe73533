import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locations import GOLDEN
from revisage.errors import InputError
from revisage.geometry import invert, magnification
from revisage.images.pixels import from_float
from revisage.restore.align import OUTSIDE, TEMPLATE, align, similarity_from_landmarks

PASTE = np.load(GOLDEN / "paste.npz")


def placed(scale, angle, x, y):
    """Landmarks of a face: the template turned, scaled and moved."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return TEMPLATE @ np.array([[c, s], [-s, c]]) + [x, y]


def waves(height, width):
    """A smooth picture, float32: it can be interpolated at any point with little error."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return wave_at(x, y)


def wave_at(x, y):
    return np.stack([0.5 + 0.4 * np.sin(x / 17), 0.5 + 0.4 * np.cos(y / 23), 0.5 + 0.4 * np.sin((x + y) / 31)], -1)


def test_similarity_equals_the_reference():
    np.testing.assert_allclose(similarity_from_landmarks(PASTE["lm"]), PASTE["affine_up1"], rtol=0, atol=1e-9)


def test_crop_equals_the_reference_to_a_level():
    # The reference worked in B, G, R, so the picture is turned round before and the crop after.
    face = align(np.ascontiguousarray(PASTE["img"][..., ::-1]), PASTE["lm"])
    crop = from_float(face.crop, np.uint8)[::4, ::4, ::-1].astype(int)
    assert np.abs(crop - PASTE["crop"]).max() <= 1


@given(st.floats(0.05, 20), st.floats(-3.1, 3.1), st.floats(-500, 5000), st.floats(-500, 5000))
@settings(max_examples=50, deadline=None)
def test_similarity_takes_a_placed_template_home(scale, angle, x, y):
    landmarks = placed(scale, angle, x, y)
    matrix = similarity_from_landmarks(landmarks)
    np.testing.assert_allclose(landmarks @ matrix[:, :2].T + matrix[:, 2], TEMPLATE, atol=0.05)
    assert matrix[0, 0] == pytest.approx(matrix[1, 1])
    assert matrix[0, 1] == pytest.approx(-matrix[1, 0])


def test_one_wrong_landmark_does_not_bend_the_similarity():
    landmarks = placed(0.5, 0.2, 40, 60)
    expected = similarity_from_landmarks(landmarks)
    landmarks[2] += 80
    np.testing.assert_allclose(similarity_from_landmarks(landmarks), expected, atol=1e-3)


@pytest.mark.parametrize(
    "landmarks", [np.zeros((5, 2)), np.full((5, 2), 7.3), np.full((5, 2), np.nan), np.ones((4, 2))]
)
def test_degenerate_landmarks_are_an_input_error(landmarks):
    with pytest.raises(InputError, match="landmarks"):
        similarity_from_landmarks(landmarks)


def test_a_smaller_crop_shows_the_same_part_of_the_picture():
    picture, landmarks = waves(450, 450), placed(0.6, 0.3, 110, 20)
    large, small = align(picture, landmarks, 512).crop, align(picture, landmarks, 128).crop
    np.testing.assert_allclose(small, cv2.resize(large, (128, 128), interpolation=cv2.INTER_AREA), atol=0.005)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_every_dtype_gives_the_same_float_crop(dtype):
    picture, landmarks = waves(300, 300), placed(0.5, 0.1, 20, 20)
    face = align(from_float(picture, dtype), landmarks)
    assert face.crop.dtype == np.float32
    np.testing.assert_allclose(face.crop, align(picture, landmarks).crop, atol=0.003)


@pytest.mark.parametrize("scale", [0.2, 0.9, 1.9, 2.1, 3.7, 5.2])
def test_crop_pixels_come_from_their_place_in_the_picture(scale):
    side = int(560 * scale)
    landmarks = placed(scale, 0.05, 20, 0)
    face = align(waves(side, side), landmarks)
    y, x = np.mgrid[:512:16, :512:16].astype(np.float64)
    to_picture = invert(face.crop_from_image)
    points = np.stack([x, y], -1) @ to_picture[:, :2].T + to_picture[:, 2]
    inside = ((points > 3 * scale) & (points < side - 1 - 3 * scale)).all(-1)
    expected = wave_at(points[..., 0], points[..., 1])
    # Area averages flatten the waves a little: allow for it, but not for a shift by half a pixel of the crop.
    error = np.abs(face.crop[::16, ::16] - expected)[inside]
    shifted = wave_at(points[..., 0] + 0.5 * scale, points[..., 1] + 0.5 * scale)
    assert error.mean() < 0.25 * np.abs(shifted - expected)[inside].mean() + 0.001


def test_a_face_larger_than_the_crop_does_not_alias():
    checkers = (np.indices((2200, 2200)).sum(0) % 2).astype(np.float32)[..., None].repeat(3, -1)
    crop = align(checkers, placed(4, 0, 50, 50)).crop
    np.testing.assert_allclose(crop[32:-32, 32:-32], 0.5, atol=0.01)


def test_outside_of_the_picture_is_gray():
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[::2] = 0, 0, 1
    face = align(picture, placed(1, 0, 60, 60))
    np.testing.assert_allclose(face.crop[-1, -1], OUTSIDE, atol=1e-6)
    np.testing.assert_allclose(face.crop[5, 5], 0, atol=1 / 255)


def test_a_gray_picture_gives_a_gray_crop_also_outside():
    face = align(np.full((100, 100, 3), 90, np.uint8), placed(1, 0, 60, 60))
    assert (face.crop == face.crop[..., :1]).all()
    assert face.crop[-1, -1, 0] == pytest.approx(OUTSIDE[1])


def profile(scale=0.5, x=40, y=30):
    """A face from the side: eyes and mouth corners nearly meet, the nose sticks out."""
    across = x + scale * np.array([170, 158, 210, 172, 160])
    return np.column_stack([across, placed(scale, 0, x, y)[:, 1]])


@pytest.mark.parametrize("mirror", [False, True])
def test_a_profile_is_neither_stretched_nor_turned(mirror):
    landmarks = profile()
    if mirror:
        landmarks = (landmarks * (-1, 1) + (300, 0))[[1, 0, 2, 4, 3]]
    matrix = similarity_from_landmarks(landmarks)
    assert magnification(matrix) == pytest.approx(2, rel=0.3)  # as large as the same head from the front
    assert abs(np.arctan2(matrix[1, 0], matrix[0, 0])) < np.radians(25)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_no_landmarks_make_the_face_far_larger_or_smaller_than_its_box(seed):
    box = np.array([100, 100, 200, 236], np.float32)
    landmarks = np.random.default_rng(seed).uniform(box[:2], box[2:], (5, 2))
    matrix = similarity_from_landmarks(landmarks, box=box)
    assert 1 / 2.6 < magnification(matrix) * 100 / (512 / 1.8) < 2.6


def test_the_box_does_not_touch_a_sound_alignment():
    landmarks = placed(0.4, 0.5, 30, 80)
    box = np.concatenate([landmarks.min(axis=0) - 25, landmarks.max(axis=0) + 40])
    np.testing.assert_array_equal(similarity_from_landmarks(landmarks, box=box), similarity_from_landmarks(landmarks))


def test_a_face_wholly_outside_is_gray_all_over():
    face = align(np.zeros((50, 50, 3), np.uint8), placed(1, 0, 5000, 5000))
    np.testing.assert_allclose(face.crop, np.broadcast_to(OUTSIDE, (512, 512, 3)), atol=1e-6)


def test_the_rest_of_a_wide_picture_costs_nothing():
    wide = np.broadcast_to(np.uint8(90), (600, 100_000, 3))  # 180 MB if anything copied it
    tracemalloc.start()
    face = align(wide, placed(1, 0, 70_000, 40))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6
    np.testing.assert_allclose(face.crop, 90 / 255, atol=1e-6)
