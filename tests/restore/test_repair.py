from dataclasses import replace

import numpy as np
import pytest

from revisage.errors import WeightsError
from revisage.restore.controls import Controls
from revisage.restore.pipeline import Restorer
from revisage.restore.repair import MAX_WIDTH, Repairer, find_damage, thin_parts


def finds_white(tile):
    """A network that takes white for damage."""
    white = (tile.min(axis=1, keepdims=True) > 0.99).astype(np.float32)
    return np.concatenate([tile, white], axis=1)


def scratched(dtype=np.uint8, height=90, width=130):
    """A gradient with a white line of three pixels."""
    most = 1 if dtype == np.float32 else np.iinfo(dtype).max
    image = np.zeros((height, width, 3), np.float64)
    image[:] = np.linspace(0.1, 0.6, width)[None, :, None] * (1.0, 0.9, 0.8)
    image[height // 2 : height // 2 + 3] = 1
    return (image * most).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_damage_is_filled_and_all_else_stays_to_the_last_bit(dtype):
    image = scratched(dtype)
    repaired = Repairer(finds_white)(image)
    assert repaired.dtype == dtype
    rows = slice(45 - 1, 48 + 1)  # a pixel beside it as well
    difference = np.abs(repaired[rows].astype(float) - image[20].astype(float))
    assert difference.max() < 0.02 * float(image.max())
    untouched = np.delete(np.arange(90), rows)
    assert np.array_equal(repaired[untouched], image[untouched])


def test_a_large_photo_is_repaired_as_a_small_one_is():
    image = scratched(height=70, width=1000)
    assert np.abs(Repairer(finds_white)(image)[35:38].astype(int) - image[20]).max() <= 3


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 200, 3), (3, 40, 3)])
def test_small_photos_keep_their_shape(shape):
    assert Repairer(finds_white)(np.zeros(shape, np.uint8)).shape == shape


def test_a_gray_photo_stays_gray():
    image = np.repeat(scratched()[..., :1], 3, axis=2)
    repaired = Repairer(finds_white)(image)
    assert (repaired == repaired[..., :1]).all()
    assert not np.array_equal(repaired, image)


def test_what_is_likely_is_filled_only_beside_what_is_sure():
    probability = np.zeros((20, 60), np.float32)
    probability[5, 5:50] = 0.5
    probability[12, 5:50] = 0.5
    probability[12, 30] = 0.97
    found = find_damage(probability)
    assert not found[5].any()
    assert np.flatnonzero(found[12]).tolist() == list(range(5, 50))


def test_what_is_wide_is_left_alone():
    mask = np.zeros((120, 160), bool)
    mask[20:24, 10:150] = True
    mask[60:110, 40:100] = True  # a stain
    thin = thin_parts(mask)
    assert thin[20:24, 10:150].all()
    assert not thin[60:110, 40:100].any()


def test_what_looks_like_its_surroundings_is_left_alone():
    """Such as the edge of a sleeve that the network takes for a scratch."""
    image = np.full((64, 64, 3), 60, np.uint8)
    image[:, 32:] = 180
    probability = np.zeros((1, 4, 64, 64), np.float32)
    probability[..., 30:34] = 1
    assert np.array_equal(Repairer(lambda _: probability)(image), image)


def test_a_wide_stain_at_the_border_is_left_alone():
    mask = np.zeros((80, 80), bool)
    mask[: MAX_WIDTH - 5, 10:70] = True
    assert not thin_parts(mask).any()


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(WeightsError, match="not finite"):
        Repairer(lambda tile: finds_white(tile) * np.float32(np.nan))(scratched())


def restorer(**more):
    return Restorer("none", detect=lambda _: [], network=lambda faces: faces, size=64, **more)


def test_photos_are_repaired_only_where_that_is_asked_for():
    repairing = restorer(repairer=Repairer(finds_white))
    image = scratched()
    plain, repaired = (repairing(image, scale=1, repair=wanted).image for wanted in (False, True))
    assert np.array_equal(plain, image)
    assert (repaired[45:48] < 200).all()


def test_faces_are_looked_for_in_the_repaired_photo():
    seen = []
    repairing = restorer(repairer=Repairer(finds_white))
    watched = replace(repairing, detect=lambda image: seen.append(image) or [])
    watched.restore([scratched(), scratched()], Controls(repair=True, scale=1))
    assert [image.max() < 255 for image in seen] == [True, True]


def test_a_restorer_without_such_a_network_says_so():
    with pytest.raises(WeightsError, match="leave out repair"):
        restorer()(scratched(), repair=True)
