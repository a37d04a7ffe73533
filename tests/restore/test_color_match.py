import numpy as np

from revisage.geometry import shift
from revisage.images.pixels import is_gray
from revisage.restore.color_match import correction, tint
from revisage.restore.paste import crop_mask

SIZE, SHAPE = 128, (200, 200)
COLOUR = np.array([0.2, -0.05, -0.1], np.float32)


def noise(seed=0):
    return np.random.default_rng(seed).random((SIZE, SIZE, 3), np.float32)


def added(crop, restored, x=30.0):
    return correction(crop, restored, crop_mask(SIZE), shift(x, 30), SHAPE)


def test_no_change_needs_no_correction():
    assert (added(noise(), noise()) == 0).all()


def test_a_gray_face_gets_a_gray_correction():
    gray = np.repeat(noise()[..., :1], 3, axis=2)
    result = added(gray, noise(1))
    assert is_gray(result)
    assert np.abs(result).max() > 0.1


def test_a_colour_that_covers_the_crop_is_taken_away_beside_the_face_but_its_lightness_is_not():
    result = added(noise(), noise() + COLOUR)
    np.testing.assert_allclose(result[:10, :10], COLOUR @ (0.299, 0.587, 0.114), atol=1e-3)
    np.testing.assert_allclose(result[60:80, 54:74], np.broadcast_to(COLOUR, (20, 20, 3)), atol=1e-3)


def test_colours_within_the_face_are_kept():
    restored = noise()
    restored[40:90, 40:90] += COLOUR
    np.testing.assert_allclose(added(noise(), restored), restored - noise(), atol=1e-6)


def test_what_lies_outside_of_the_photo_has_no_say():
    restored = noise()
    restored[:, :100] += COLOUR
    np.testing.assert_allclose(added(noise(), restored, x=-100.0), restored - noise(), atol=1e-6)


def test_a_mask_without_a_border_gives_no_tint():
    assert (tint(noise(), np.ones((SIZE, SIZE), np.float32), shift(0, 0), SHAPE) == 0).all()
