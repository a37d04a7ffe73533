"""The search for faces around a network, here one that finds faces painted in plain colours."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revisage.restore.candidates import (
    Candidates,
    drop_body_false_positives,
    drop_nested,
    empty,
    has_valid_landmarks,
    nms,
    unrotate,
)
from revisage.restore.detect import Detector, working_scales
from revisage.restore.refine import MIRRORED, crop_face, resize_to_uint8, upright_transform

# A painted face is 100 x 136 units: a blue ellipse with five dots, told apart by red and green.
DOTS = np.array([[28, 50], [72, 50], [50, 75], [33, 102], [67, 102]], np.float32) - (50, 68)
COLOURS = np.array([[255, 0, 255], [0, 255, 255], [255, 255, 255], [255, 0, 0], [0, 255, 0]], np.uint8)


def paint(picture, centre, width, angle=0.0):
    """Draw a face; returns its landmarks."""
    scale, turn = width / 100, np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = scale * DOTS @ rotation.T + centre

    def fixed(value):  # OpenCV draws at sixteenths of a pixel
        return tuple(round(16 * float(v)) for v in value)

    cv2.ellipse(picture, fixed(centre), fixed((50 * scale, 68 * scale)), angle, 0, 360, (0, 0, 255), -1, cv2.LINE_8, 4)
    for point, colour in zip(points, COLOURS, strict=True):
        cv2.circle(picture, fixed(point), fixed([8 * scale])[0], colour.tolist(), -1, cv2.LINE_8, 4)
    return points


def find_painted(pictures):
    """A perfect network for painted faces from 16 to 300 pixels: one entry a face, filled up with zeros."""
    found = [_find_in(picture) for picture in pictures]
    count = max(max(len(faces) for faces in found), 1)
    boxes = np.zeros((len(found), count, 4), np.float32)
    scores = np.zeros((len(found), count), np.float32)
    landmarks = np.zeros((len(found), count, 5, 2), np.float32)
    for row, faces in enumerate(found):
        for column, (box, points) in enumerate(faces):
            boxes[row, column], scores[row, column], landmarks[row, column] = box, 0.9, points
    return boxes, scores, landmarks


def _find_in(picture):
    _, _, stats, _ = cv2.connectedComponentsWithStats((picture[..., 2] > 128).astype(np.uint8))
    faces = []
    for x, y, width, height, _ in stats[1:]:
        if not 16 <= width <= 300:
            continue
        part = picture[y : y + height, x : x + width].astype(np.int16)
        dots = [np.argwhere(np.abs(part - colour.astype(np.int16)).max(axis=-1) < 40) for colour in COLOURS]
        points = np.array([dot.mean(axis=0)[::-1] if len(dot) else (0, 0) for dot in dots]) + np.array([x, y])
        # A network names left and right as they are in the picture, whatever colour the dots have.
        faces.append(
            ((x, y, x + width - 1, y + height - 1), points if points[0, 0] < points[1, 0] else points[MIRRORED, :])
        )
    return faces


def find_upright(pictures):
    """The same network, blind to faces that lie or stand on their heads, as real ones are."""
    boxes, scores, landmarks = find_painted(pictures)
    across, down = landmarks[..., 1, :] - landmarks[..., 0, :], landmarks[..., 3, :] - landmarks[..., 0, :]
    upright = (np.abs(across[..., 0]) > np.abs(across[..., 1])) & (down[..., 1] > 0)
    return boxes, scores * upright, landmarks


def canvas(height, width):
    return np.zeros((height, width, 3), np.uint8)


@pytest.fixture
def detector():
    return Detector(find_painted)


@settings(max_examples=15, deadline=None)
@given(
    width=st.floats(30, 130), x=st.floats(0.35, 0.65), y=st.floats(0.35, 0.65), angle=st.floats(-40, 40),
    size=st.sampled_from([(400, 500), (350, 900), (1500, 1300)]),
)  # fmt: skip
def test_a_face_is_found_where_it_is_at_any_size_and_turn(width, x, y, angle, size):
    picture = canvas(*size)
    truth = paint(picture, (x * size[1], y * size[0]), width, angle)
    (face,) = Detector(find_painted)(picture)
    assert np.abs(face.landmarks - truth).max() < 0.5 + 0.02 * width
    centre = (face.box[:2] + face.box[2:]) / 2
    assert np.abs(centre - (x * size[1], y * size[0])).max() < 0.5 + 0.03 * width


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_every_number_format_gives_the_same_face(detector, dtype):
    picture = canvas(300, 400)
    paint(picture, (200, 150), 80)
    levels = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}[dtype]
    (face,) = detector((picture * np.float64(levels)).astype(dtype))
    (expected,) = detector(picture)
    np.testing.assert_allclose(face.landmarks, expected.landmarks, atol=0.3)


def test_a_picture_without_faces_gives_an_empty_list(detector):
    assert detector(canvas(90, 120)) == []


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5)])
def test_a_tiny_picture_gives_an_empty_list(detector, size):
    assert detector(canvas(*size)) == []


def test_a_picture_20000_pixels_wide_is_searched_in_bounded_area():
    areas = []

    def propose(pictures):
        areas.append(pictures.shape[0] * pictures.shape[1] * pictures.shape[2])
        return find_painted(pictures)

    picture = canvas(1200, 20000)
    truth = paint(picture, (15000, 600), 400)
    (face,) = Detector(propose)(picture)
    assert np.abs(face.landmarks - truth).max() < 10
    assert max(areas) < 2.1e6


def test_a_face_that_fills_a_large_photo_is_found(detector):
    picture = canvas(1400, 1200)
    truth = paint(picture, (600, 700), 1000)
    (face,) = detector(picture)
    assert np.abs(face.landmarks - truth).max() < 20


def test_a_face_smaller_than_the_anchors_is_found_by_enlarging(detector):
    picture = canvas(100, 100)
    paint(picture, (50, 50), 14)
    assert len(detector(picture)) == 1


def test_a_face_cut_by_the_border_keeps_its_box_beyond_it(detector):
    picture = canvas(300, 300)
    paint(picture, (20, 150), 100)
    faces = detector(picture)
    assert len(faces) == 1


def test_many_faces_come_once_each_and_best_first():
    picture = canvas(900, 1400)
    centres = [(70 + 130 * column, 90 + 170 * row) for row in range(5) for column in range(10)]
    for centre in centres:
        paint(picture, centre, 60)

    def propose(pictures):
        boxes, scores, landmarks = find_painted(pictures)
        return boxes, scores * (0.8 + 0.2 * (boxes[..., 0] % 7) / 7), landmarks

    faces = Detector(propose)(picture)
    assert len(faces) == len(centres)
    assert [face.score for face in faces] == sorted((face.score for face in faces), reverse=True)


@pytest.mark.parametrize("angle", [90, 180, -90, 75, 160])
def test_a_lying_face_is_found_with_its_own_left_eye_first(angle):
    picture = canvas(400, 500)
    truth = paint(picture, (260, 190), 90, angle)
    (face,) = Detector(find_upright)(picture)
    assert np.abs(face.landmarks - truth).max() < 2.5
    assert np.abs((face.box[:2] + face.box[2:]) / 2 - (260, 190)).max() < 3


def test_a_lying_face_is_found_beside_upright_ones():
    picture = canvas(400, 900)
    paint(picture, (200, 200), 90)
    paint(picture, (600, 200), 90, 180)
    assert len(Detector(find_upright)(picture)) == 2


def test_small_faces_of_a_lying_photo_are_found():
    picture = canvas(1200, 1600)
    for column in range(5):
        paint(picture, (200 + 300 * column, 600), 40, 90)
    paint(picture, (1500, 150), 110, 90)
    assert len(Detector(find_upright)(picture)) == 6


def test_looking_for_lying_faces_costs_less_than_a_seventh_where_upright_ones_are():
    def area(**settings):
        seen = []

        def propose(pictures):
            seen.append(pictures[..., 0].size)
            return find_upright(pictures)

        Detector(propose, **settings)(picture)
        return sum(seen)

    picture = canvas(700, 1000)
    paint(picture, (500, 350), 200)
    assert area() < 1.15 * area(rotated_scales=(1e-9, 1e-9))


def test_what_fails_the_close_look_is_no_face():
    def propose(pictures):
        boxes, scores, landmarks = find_painted(pictures)
        return boxes, scores * (1.0 if pictures.shape[0] == 1 else 0.1), landmarks

    picture = canvas(300, 300)
    paint(picture, (150, 150), 80)
    assert Detector(propose)(picture) == []


def candidates(*boxes, scores=None):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    centres = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    widths = boxes[:, None, 2:3] - boxes[:, None, :1]
    scores = np.array(scores or [0.9] * len(boxes), np.float32)
    return Candidates(boxes, scores, (centres + widths / 100 * DOTS).astype(np.float32))


def test_of_overlapping_faces_the_best_stays():
    faces = nms(candidates((0, 0, 40, 50), (3, 3, 43, 53), (100, 0, 140, 50), scores=[0.7, 0.9, 0.8]))
    assert faces.scores.tolist() == pytest.approx([0.9, 0.8])


def test_an_eye_taken_for_a_face_is_dropped_but_a_neighbour_is_not():
    faces = drop_nested(candidates((0, 0, 100, 136), (20, 40, 45, 70), (90, 20, 130, 70)))
    assert faces.boxes[:, 0].tolist() == [0, 90]


def test_a_much_smaller_face_on_an_eye_or_the_mouth_is_dropped_however_sure():
    large = (0, 0, 100, 136)
    eye, mouth, cheek = (18, 35, 38, 65), (40, 90, 60, 115), (70, 66, 90, 92)
    faces = drop_nested(candidates(large, eye, mouth, cheek, scores=[0.6, 0.99, 0.99, 0.99]))
    assert faces.boxes[:, 0].tolist() == [0, 70]


def test_a_pin_on_the_chest_is_dropped_but_not_a_sure_face_there_nor_a_small_one_elsewhere():
    boxes = (100, 0, 200, 136), (130, 200, 142, 216), (160, 200, 172, 216), (400, 60, 412, 76)
    faces = drop_body_false_positives(candidates(*boxes, scores=[0.99, 0.6, 0.9, 0.6]))
    assert faces.boxes[:, 0].tolist() == [100, 160, 400]


def test_a_badge_far_down_the_chest_of_a_very_much_larger_face_needs_a_high_score():
    """Here on the suit of an astronaut. A face a tenth as wide is a picture there, if it is one at all."""
    boxes = (357, 100, 544, 356), (597, 692, 611, 710), (620, 692, 634, 710), (900, 692, 914, 710)
    faces = drop_body_false_positives(candidates(*boxes, scores=[0.97, 0.74, 0.85, 0.74]))
    assert faces.boxes[:, 0].tolist() == [357, 620, 900]


@pytest.mark.parametrize("place", [(40, 40), (190, 10), (60, -60), (170, 190)], ids=["ear", "beside", "hat", "collar"])
def test_a_false_face_on_or_beside_a_much_larger_one_needs_a_high_score(place):
    left, top = place
    boxes = (100, 100, 200, 236), (left + 60, top + 100, left + 90, top + 141)
    for score, kept in ((0.8, 1), (0.85, 2)):
        assert len(drop_body_false_positives(candidates(*boxes, scores=[0.99, score]))) == kept


def test_a_face_of_similar_size_beside_another_needs_no_high_score():
    boxes = (100, 100, 200, 236), (210, 100, 270, 182)
    assert len(drop_body_false_positives(candidates(*boxes, scores=[0.99, 0.6]))) == 2


def test_a_small_face_in_a_low_resolution_group_needs_no_high_score():
    boxes = (100, 100, 150, 168), (155, 120, 170, 140)  # the large one has 50 pixels
    assert len(drop_body_false_positives(candidates(*boxes, scores=[0.99, 0.6]))) == 2


def test_landmarks_in_one_place_are_not_plausible():
    faces = candidates((0, 0, 100, 136), (0, 0, 100, 136))
    faces.landmarks[1] = 50
    assert has_valid_landmarks(faces).tolist() == [True, False]


def test_a_mouth_above_the_eyes_of_a_mirrored_face_is_not_plausible():
    faces = candidates((0, 0, 100, 136), (0, 0, 100, 136), (0, 0, 100, 136))
    faces.landmarks[1, :, 1] = 136 - faces.landmarks[1, :, 1]
    faces.landmarks[2] = (100, 136) - faces.landmarks[2]  # on its head, but a face
    assert has_valid_landmarks(faces).tolist() == [True, False, True]


def test_a_profile_is_plausible_though_its_eyes_nearly_meet():
    faces = candidates((0, 0, 100, 136))
    faces.landmarks[0, :, 0] = 30, 27, 12, 32, 29
    assert has_valid_landmarks(faces).tolist() == [True]


@pytest.mark.parametrize("turn", range(4))
def test_turning_back_says_where_a_face_lies_in_the_picture_itself(turn):
    picture = canvas(80, 100)
    picture[5:61, 3:44] = 255  # the box
    picture[20, 30] = 1, 2, 3  # a landmark
    turned = np.rot90(picture, turn)
    covered = np.argwhere(turned.any(axis=-1))
    (top, left), (bottom, right) = covered.min(axis=0), covered.max(axis=0)
    spot = np.argwhere((turned == (1, 2, 3)).all(axis=-1))[0, ::-1]
    seen = Candidates(np.array([[left, top, right, bottom]]), np.ones(1), np.tile(spot, (1, 5, 1)))
    back = unrotate(seen, turn, picture.shape)
    assert back.boxes.tolist() == [[3, 5, 43, 60]]
    assert back.landmarks[0, 0].tolist() == [30, 20]


def test_nothing_in_gives_nothing_out():
    assert len(nms(empty())) == len(drop_nested(empty())) == len(has_valid_landmarks(empty())) == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30000), st.integers(1, 30000))
def test_working_pictures_keep_to_the_area_and_the_largest_enlargement(height, width):
    scales = working_scales(np.empty((height, width, 0), np.uint8), 2_000_000, 2.0)
    assert max(scales) <= 2
    assert height * width * max(scales) ** 2 <= 2_000_000 * 1.0001
    assert len(scales) == 1 or max(height, width) * min(scales) == pytest.approx(320)


@settings(max_examples=40, deadline=None)
@given(st.floats(-170, 170), st.floats(10, 900))
def test_upright_brings_a_turned_face_to_the_middle(angle, width):
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = (width / 100 * DOTS @ rotation.T + 500).astype(np.float32)
    half = np.sqrt(rotation**2 @ np.array([50, 68]) ** 2) * width / 100
    box = np.concatenate([500 - half, 500 + half]).astype(np.float32)
    matrix = upright_transform(box, points, 80, 160)
    crop = points @ matrix[:, :2].T + matrix[:, 2]
    across = crop[1] - crop[0]
    assert abs(np.degrees(np.arctan2(across[1], across[0]))) < 1
    assert np.abs(crop.mean(axis=0) - 79.5).max() < 15
    assert 0.8 < np.linalg.norm(across) / (80 * 0.44) < 1.2


@settings(max_examples=40, deadline=None)
@given(st.floats(0.05, 4), st.floats(-180, 180), st.floats(0, 400), st.floats(0, 300))
def test_a_crop_shows_what_the_matrix_says(scale, angle, x, y):
    # A picture whose red and green say where one is; far from the border a crop must say the same.
    row, column = np.mgrid[:300, :400].astype(np.float32)
    picture = np.stack([column / 512, row / 512, np.zeros_like(row)], axis=-1)
    cos, sin = scale * np.cos(np.deg2rad(angle)), scale * np.sin(np.deg2rad(angle))
    linear = np.array([[cos, sin], [-sin, cos]])
    matrix = np.column_stack([linear, 31.5 - linear @ (x, y)])
    crop = crop_face(picture, matrix, 64)
    source = (np.indices((64, 64))[::-1].reshape(2, -1).T - matrix[:, 2]) @ np.linalg.inv(linear).T
    margin = 3 + 2 / scale
    inside = ((source > margin) & (source < np.array([399, 299]) - margin)).all(axis=1)
    seen = crop[..., :2].reshape(-1, 2)[inside] / 255 * 512
    assert np.abs(seen - source[inside]).max(initial=0) < 2.5


def test_resizing_keeps_the_picture_as_it_is_at_scale_one():
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    np.testing.assert_array_equal(resize_to_uint8(picture, 1.0), picture)
