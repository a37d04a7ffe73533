"""The embedded system on images made here of one portrait: nothing shows where a face was pasted, however it lies."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from portrait import PORTRAIT

import revisage
from revisage.auxiliary import load_upscaler
from revisage.geometry import compose, invert, resizing
from revisage.restore.align import similarity_from_landmarks
from revisage.restore.paste import crop_mask
from revisage.restore.upscale import lanczos
from revisage.types import Face
from seam import contrast_steps, seam

PLACES = ((0.9, 8, 90, 0), (0.55, -12, 400, 120), (0.7, 5, 720, 240), (0.4, 0, 430, 470))
"""Scale, degrees, and x, y of the upper left corner of each portrait in the group image."""
SIZE = 512


@pytest.fixture(scope="module")
def restorer():
    return revisage.load("embedded", device="cpu", parser=None, background="lanczos")


@pytest.fixture(scope="module")
def portrait():
    return revisage.read_image(PORTRAIT)


def degraded(image, seed=0):
    """Half as large, blurred, with noise and JPEG blocks."""
    small = cv2.resize(cv2.GaussianBlur(image, (0, 0), 1.2), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    noisy = np.clip(small + np.random.default_rng(seed).normal(0, 5, small.shape), 0, 255).astype(np.uint8)
    return cv2.imdecode(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 70])[1], cv2.IMREAD_COLOR)


@pytest.fixture(scope="module")
def group(portrait):
    """Four portraits, of several sizes and turns, on a blurred canvas; degraded."""
    canvas = cv2.GaussianBlur(cv2.resize(portrait[::-1], (1200, 900)), (0, 0), 60)
    for scale, angle, x, y in PLACES:
        cos, sin = scale * np.cos(np.deg2rad(angle)), scale * np.sin(np.deg2rad(angle))
        matrix = np.array([[cos, -sin, x], [sin, cos, y]])
        cv2.warpAffine(portrait, matrix, (1200, 900), dst=canvas, borderMode=cv2.BORDER_TRANSPARENT)
    return degraded(canvas)


@pytest.fixture(scope="module")
def restored(restorer, group):
    return restorer(group, scale=2)


def crop_from_result(face, scale=2):
    return compose(similarity_from_landmarks(face.landmarks, SIZE), invert(resizing(scale, scale)))


def test_no_seam_shows_around_any_face_of_a_group(group, restored):
    background = lanczos(group, 2)
    ratios = [seam(background, restored.image, crop_from_result(face), crop_mask(SIZE)) for face in restored.faces]
    assert len(ratios) == len(PLACES)
    assert max(ratios) < 1.1


def test_the_seams_of_crops_pasted_as_boxes_show(group, restored):
    box = np.zeros((SIZE, SIZE), np.float32)
    box[4:-4, 4:-4] = 1
    background = lanczos(group, 2)
    ratios: list[float] = []
    for face in restored.faces:
        crop_from_image = crop_from_result(face)
        crop = cv2.resize(face.restored, (SIZE, SIZE)).astype(np.float32) + np.float32(12)  # a little brighter
        boxed = background.copy()
        warped, inside = (
            cv2.warpAffine(one, crop_from_image, background.shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
            for one in (crop, box)
        )
        boxed[inside > 0.5] = np.clip(warped, 0, 255)[inside > 0.5]
        ratios.append(seam(background, boxed, crop_from_image, box))
    assert np.mean(ratios) > 1.15, ratios


def test_heads_stand_out_less_from_a_background_that_a_network_has_repaired(restorer, group, restored):
    repairing = replace(restorer, upscale=load_upscaler("embedded-background", device="cpu"))
    repaired = repairing(group, scale=2, faces=[Face(one.box, one.landmarks, one.score) for one in restored.faces])
    steps = [
        np.mean([contrast_steps(background, one.image, crop_from_result(face), crop_mask(SIZE)) for face in one.faces])
        for background, one in ((lanczos(group, 2), restored), (repairing.upscale(group, 2), repaired))
    ]
    assert 1 < steps[1] < 0.95 * steps[0]


@pytest.mark.parametrize("turn", [1, 2, 3], ids=["left", "upside down", "right"])
def test_a_turned_photo_is_restored_like_the_upright_one(restorer, portrait, turn):
    photo = degraded(portrait)
    upright, turned = restorer(photo, scale=1), restorer(np.ascontiguousarray(np.rot90(photo, turn)), scale=1)
    assert len(turned.faces) == len(upright.faces) == 1
    back = np.rot90(turned.image, -turn).astype(int)
    changed = np.abs(upright.image.astype(int) - photo).mean()
    assert np.abs(back - upright.image).mean() < 0.3 * changed


def test_a_turned_face_beside_an_upright_one_is_found(restorer, portrait):
    photo = np.hstack([portrait, portrait[::-1, ::-1]])
    faces = restorer.detect(np.ascontiguousarray(photo))
    assert len(faces) == 2
    assert sorted(face.landmarks[0, 0] < face.landmarks[1, 0] for face in faces) == [False, True]


@pytest.mark.parametrize("side", ["left", "right", "bottom"])
def test_a_face_cut_by_the_border_is_restored_like_the_whole_one(restorer, portrait, side):
    photo = degraded(portrait)
    (whole,) = restorer.detect(photo)
    x, y = whole.landmarks[2].astype(int)
    window = {
        "left": np.s_[:, x - 8 :],
        "right": np.s_[:, : x + 9],
        "bottom": np.s_[: y + 14],
    }[side]
    cut, full = restorer(np.ascontiguousarray(photo[window]), scale=1), restorer(photo, scale=1)
    assert len(cut.faces) == 1
    before, ours, expected = (one.astype(int) for one in (photo[window], cut.image, full.image[window]))
    # The border itself is where a wrong paste would leave a dark or gray line.
    edge = {"left": np.s_[:, :4], "right": np.s_[:, -4:], "bottom": np.s_[-4:]}[side]
    assert np.abs(ours - expected)[edge].mean() < 1.5 * max(np.abs(expected - before)[edge].mean(), 1)
    assert np.abs(ours - expected).mean() < np.abs(before - expected).mean()


def test_a_gray_photo_stays_gray(restorer, portrait):
    gray = np.repeat(cv2.cvtColor(degraded(portrait), cv2.COLOR_RGB2GRAY)[..., None], 3, axis=-1)
    result = restorer(gray, scale=2)
    assert result.faces[0].status == "restored"
    assert (result.image == result.image[..., :1]).all()
    assert (result.image != lanczos(gray, 2)).any()
