"""What of a head is pasted, by labels drawn here."""

import cv2
import numpy as np
import pytest

from revisage.models.nets.parsenet import CLASSES
from revisage.restore.regions import PASTED, head_mask

SIZE = 256


def oval(label=1, size=SIZE):
    labels = np.zeros((size, size), np.uint8)
    cv2.ellipse(labels, (size // 2, size // 2), (size // 4, size // 3), 0, 0, 360, label, -1)
    return labels


@pytest.mark.parametrize("label", range(len(CLASSES)))
def test_the_head_is_pasted_and_nothing_else(label):
    middle = head_mask(oval(label))[SIZE // 2, SIZE // 2]
    assert middle == pytest.approx(float(label in PASTED), abs=1e-3)


def test_what_is_left_alone_has_no_hair_or_skin():
    left = {name for place, name in enumerate(CLASSES) if place not in PASTED}
    assert left == {"background", "hat", "necklace", "neck", "cloth"}


def test_the_edge_is_soft_and_lies_where_the_head_ends():
    mask = head_mask(oval())
    assert mask.min() == 0
    assert np.abs(np.diff(mask, axis=0)).max() < 0.06
    np.testing.assert_allclose((mask > 0.5).mean(), (oval() > 0).mean(), rtol=0.03)


def test_hair_that_reaches_the_edge_of_the_crop_fades_out_before_it():
    mask = head_mask(np.full((SIZE, SIZE), 13, np.uint8))
    assert mask[:5].max() == mask[:, -5:].max() == 0
    assert np.abs(np.diff(mask, axis=0)).max() < 0.06
    assert (mask[50:-50, 50:-50] > 0.99).all()


def test_crops_of_all_sizes_get_the_same_mask():
    sharp = np.kron(oval(size=128), np.ones((4, 4), np.uint8))
    large, small = head_mask(sharp), head_mask(oval(size=128))
    np.testing.assert_allclose(cv2.resize(large, (128, 128), interpolation=cv2.INTER_AREA), small, atol=0.02)
