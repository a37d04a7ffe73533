"""The seam measure, on textures that end in a line or do not."""

import cv2
import numpy as np
import pytest

from metric_images import texture
from seam import SEAM_SIZE, border_distance, contrast_steps, seam

SIZE = 128
CROP_FROM_IMAGE = np.array([[1.0, 0, -40], [0, 1, -30]])


def box(margin=24):
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[margin:-margin, margin:-margin] = 1
    return mask


def soft():
    return cv2.GaussianBlur(box(), (0, 0), 8)


def pasted(image, mask, change):
    """The image with ``mask * change`` added where the crop lies."""
    result = image.astype(np.float32)
    result[30 : 30 + SIZE, 40 : 40 + SIZE] += mask[..., None] * change
    return np.clip(result, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def image():
    return cv2.GaussianBlur(texture(3, 200, 220), (0, 0), 2)


def test_no_paste_has_no_seam(image):
    assert seam(image, image, CROP_FROM_IMAGE, box()) == 1


def test_a_hard_box_shows_and_the_more_the_brighter_it_is(image):
    ratios = [seam(image, pasted(image, box(), change), CROP_FROM_IMAGE, box()) for change in (4, 12, 36)]
    assert ratios[0] > 1.1
    assert ratios == sorted(ratios)


def test_a_soft_edge_does_not_show(image):
    assert seam(image, pasted(image, soft(), 12), CROP_FROM_IMAGE, soft()) == pytest.approx(1, abs=0.1)


def test_sharpening_within_a_soft_edge_does_not_show(image):
    region = image[30 : 30 + SIZE, 40 : 40 + SIZE].astype(np.float32)
    sharper = region - cv2.GaussianBlur(region, (0, 0), 2)
    assert seam(image, pasted(image, soft(), sharper), CROP_FROM_IMAGE, soft()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("scale", [0.5, 2, 3])
def test_faces_of_all_sizes_compare(image, scale):
    after = pasted(image, box(), 20)
    expected = seam(image, after, CROP_FROM_IMAGE, box())
    large = [cv2.resize(one, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for one in (image, after)]
    matrix = CROP_FROM_IMAGE.copy()
    matrix[:, :2] /= scale
    matrix[:, 2] -= matrix[:, :2].sum(axis=1) * (scale - 1) / 2
    assert seam(*large, matrix, box()) == pytest.approx(expected, rel=0.25)


def test_a_paste_that_changes_nothing_has_no_step_of_contrast(image):
    assert contrast_steps(image, image, CROP_FROM_IMAGE, soft()) == pytest.approx(np.ones(3))


def test_sharpening_alone_is_a_step_of_contrast_and_the_finest_octave_shows_it_most(image):
    region = image[30 : 30 + SIZE, 40 : 40 + SIZE].astype(np.float32)
    after = pasted(image, box(), 2 * (region - cv2.GaussianBlur(region, (0, 0), 2)))
    steps = contrast_steps(image, after, CROP_FROM_IMAGE, box())
    assert steps[0] > 1.5
    assert steps[0] > steps[2]


def test_a_face_and_its_surroundings_sharpened_alike_have_no_step_of_contrast(image):
    sharp = np.clip(image + 1.5 * (image - cv2.GaussianBlur(image, (0, 0), 2).astype(np.float32)), 0, 255)
    steps = contrast_steps(image, sharp.astype(np.uint8), CROP_FROM_IMAGE, soft())
    assert steps == pytest.approx(np.ones(3), abs=0.1)


def test_a_border_outside_of_the_image_says_nothing(image):
    assert np.isnan(seam(image, image, CROP_FROM_IMAGE - [[0, 0, 5000], [0, 0, 0]], box()))


def test_images_of_two_sizes_are_refused(image):
    with pytest.raises(ValueError, match="size"):
        seam(image, image[1:], CROP_FROM_IMAGE, box())


def test_the_distance_is_zero_where_the_mask_crosses_one_half():
    distance = border_distance(box(32))
    middle = distance[len(distance) // 2]
    inside = np.flatnonzero(middle < 0)
    assert len(inside) == pytest.approx(SEAM_SIZE / 2, abs=1)
    np.testing.assert_allclose(middle[inside[0] - 3 : inside[0] + 3], [2.5, 1.5, 0.5, -0.5, -1.5, -2.5])
