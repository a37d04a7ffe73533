import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locations import PORTRAIT
from revisage.images import read_image
from revisage.restore.align import TEMPLATE, align
from revisage.training.prepare import faces
from revisage.training.prepare.records import Limits, Measures

PIXELS = read_image(PORTRAIT)
LANDMARKS = np.array([[204, 98], [246, 101], [223, 125], [203, 140], [242, 142]], np.float32)
GOOD = Measures(200, 0.99, 400, 1.0, 0.0, 100, 0.5, 0.0)


def portrait_gray(image=PIXELS, side=512):
    return faces.to_luma(align(image, LANDMARKS, side).crop)


def test_native_size_is_that_of_the_crop_in_the_photo():
    matrix = np.array([[2.0, 0, 5], [0, 2, 7]])
    assert faces.native_size(matrix, 512) == 256


@pytest.mark.parametrize(
    ("shift", "share"), [((0, 0), 1), ((50, 0), 0.5), ((-50, 0), 0.5), ((50, 50), 0.25), ((300, 0), 0), ((0, 100), 0)]
)
def test_inside_is_the_share_of_the_crop_in_the_photo(shift, share):
    matrix = np.array([[1.0, 0, shift[0]], [0, 1, shift[1]]])
    assert faces.fraction_inside(matrix, 100, (100, 100, 3)) == pytest.approx(share, abs=1e-6)


def test_inside_of_a_turned_crop():
    half = math.sqrt(0.5)
    turn = np.array([[half, -half, 49.5], [half, half, 49.5 - 99 * half]])  # by 45 degrees about the middle
    octagon = 2 * (math.sqrt(2) - 1)  # what two squares share
    assert faces.fraction_inside(turn, 100, (100, 100, 3)) == pytest.approx(octagon, abs=1e-3)


@given(st.floats(-3, 3), st.floats(0.1, 10), st.floats(-0.5, 0.5))
@settings(max_examples=30, deadline=None)
def test_yaw_does_not_depend_on_where_a_face_lies(angle, scale, offset):
    points = np.array([[-0.5, 0], [0.5, 0], [offset, 0.6], [-0.4, 1], [0.4, 1]])
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    assert faces.estimate_yaw((points @ turn.T + [100, 50]).astype(np.float32)) == pytest.approx(offset, abs=1e-3)


def test_yaw_of_eyes_in_one_place_is_not_a_number():
    assert math.isnan(faces.estimate_yaw(np.ones((5, 2), np.float32)))


def test_blur_costs_sharpness():
    gray = portrait_gray()
    figures = [faces.measure_sharpness(cv2.GaussianBlur(gray, (0, 0), sigma)) for sigma in (1, 2, 4, 8)]
    assert faces.measure_sharpness(gray) > figures[0]
    assert figures == sorted(figures, reverse=True)
    assert figures[2] < Limits().min_sharpness < faces.measure_sharpness(gray)


def test_sharpness_depends_little_on_the_side_of_the_crop():
    sharp = [faces.measure_sharpness(portrait_gray(side=side)) for side in (256, 512)]
    assert sharp[0] == pytest.approx(sharp[1], rel=0.3)


def test_exposure_looks_at_the_face_and_not_behind_it():
    gray = np.ones((100, 100), np.float32)
    gray[30:85, 25:75] = 0.3
    assert faces.measure_exposure(gray) == (pytest.approx(0.3), 0)
    assert faces.measure_exposure(np.ones((64, 64), np.float32)) == (1, 1)


class TestFingerprint:
    @pytest.mark.parametrize("side", [256, 512])
    def test_the_same_face_smaller_and_compressed_is_a_duplicate(self, side):
        gray = portrait_gray(side=side)
        small = cv2.resize(gray, (side // 3, side // 3), interpolation=cv2.INTER_AREA)
        _, data = cv2.imencode(".jpg", np.rint(small * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 60])
        again = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
        assert faces.hamming_distance(faces.compute_fingerprint(gray), faces.compute_fingerprint(again)) <= 16

    def test_brightness_and_contrast_do_not_matter(self):
        gray = portrait_gray()
        other = np.float32(0.2) + np.float32(0.6) * gray
        assert faces.hamming_distance(faces.compute_fingerprint(gray), faces.compute_fingerprint(other)) <= 4

    def test_another_face_is_none(self):
        gray = portrait_gray()
        mirrored = np.ascontiguousarray(gray[:, ::-1])
        assert faces.hamming_distance(faces.compute_fingerprint(gray), faces.compute_fingerprint(mirrored)) > 54

    def test_distances_count_bits(self):
        some = np.array([0, 0, 0, 0], np.uint64)
        others = np.array([[0, 0, 0, 0], [1, 0, 0, 3], [2**64 - 1] * 4], np.uint64)
        assert faces.hamming_distance(others, some).tolist() == [0, 3, 256]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"width": 100}, "too small"),
        ({"score": 0.7}, "unsure"),
        ({"inside": 0.8}, "cut off"),
        ({"yaw": 0.5}, "turned"),
        ({"yaw": -0.5}, "turned"),
        ({"brightness": 0.05}, "too dark"),
        ({"overexposed": 0.5}, "over-exposed"),
        ({"sharpness": 3}, "blurred"),
        ({"sharpness": math.nan, "brightness": math.nan}, ""),
        ({"width": 100, "sharpness": 3}, "too small"),
    ],
)
def test_limits_name_the_first_fault(change, reason):
    assert Limits().find_fault(replace(GOOD, **change)) == reason


def test_template_is_a_face_from_the_front():
    assert abs(faces.estimate_yaw(TEMPLATE.astype(np.float32))) < 0.05
