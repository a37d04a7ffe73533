import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revisage.models.nets.parsenet import CLASSES
from revisage.restore.align import TEMPLATE
from revisage.restore.regions import region_masks, strength_map
from revisage.types import Region

SIZE = 128
PLACES = {name: place for place, name in enumerate(CLASSES)}
SHARES = st.floats(0, 1, width=32)


def labels(seed=0, side=8):
    """A made-up parsing: squares of every class."""
    coarse = np.random.default_rng(seed).integers(0, len(CLASSES), (side, side))
    return np.kron(coarse, np.ones((SIZE // side, SIZE // side))).astype(np.uint8)


@given(st.one_of(st.none(), st.integers(0, 1000)))
@settings(max_examples=30, deadline=None)
def test_masks_are_shares_that_sum_to_one_with_the_rest(seed):
    masks = region_masks(SIZE, None if seed is None else labels(seed))
    total = np.sum(list(masks.values()), axis=0)
    assert all(mask.dtype == np.float32 and mask.shape == (SIZE, SIZE) for mask in masks.values())
    assert all(mask.min() >= 0 and mask.max() <= 1 for mask in masks.values())
    assert total.max() <= 1 + 1e-6


@given(SHARES, st.dictionaries(st.sampled_from(list(Region)), SHARES), st.booleans())
@settings(max_examples=30, deadline=None)
def test_strengths_stay_between_the_ones_asked_for(strength, regions, parsed):
    strengths = strength_map(SIZE, strength, regions, labels() if parsed else None)
    asked = [strength, *regions.values()]
    assert strengths.shape == (SIZE, SIZE, 1)
    assert min(asked) - 1e-6 <= strengths.min() <= strengths.max() <= max(asked) + 1e-6


@given(st.sampled_from(list(Region)), SHARES, SHARES)
@settings(max_examples=20, deadline=None)
def test_a_higher_strength_of_a_region_lowers_it_nowhere(region, one, other):
    less, more = (strength_map(SIZE, 0.3, {region: value}) for value in sorted((one, other)))
    assert (more - less).min() >= -1e-6


def at(mask, point):
    """A mask at a point of the template, or of a crop of 512 pixels."""
    x, y = np.round(np.asarray(point) * SIZE / 512).astype(int)
    return mask[y, x]


@pytest.mark.parametrize(
    ("region", "point"),
    [
        (Region.EYES, TEMPLATE[0]),
        (Region.EYES, TEMPLATE[1]),
        (Region.MOUTH, (TEMPLATE[3] + TEMPLATE[4]) / 2),
        (Region.MOUTH, TEMPLATE[3]),
        (Region.SKIN, TEMPLATE[2]),
        (Region.SKIN, (256, 140)),
        (Region.HAIR, (256, 40)),
        (Region.HAIR, (40, 150)),
    ],
)
def test_without_a_parsing_the_template_says_where_the_regions_are(region, point):
    masks = region_masks(SIZE)
    assert at(masks[region], point) > 0.65
    assert at(masks[region], point) > sum(at(mask, point) for name, mask in masks.items() if name != region)


def test_below_the_face_is_no_region():
    assert sum(at(mask, (20, 500)) for mask in region_masks(SIZE).values()) < 0.01


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("left eye", Region.EYES),
        ("eye glasses", Region.EYES),
        ("right brow", Region.EYES),
        ("upper lip", Region.MOUTH),
        ("mouth", Region.MOUTH),
        ("skin", Region.SKIN),
        ("nose", Region.SKIN),
        ("neck", Region.SKIN),
        ("hair", Region.HAIR),
    ],
)
def test_a_parsing_says_where_the_regions_are(name, region):
    masks = region_masks(SIZE, np.full((SIZE, SIZE), PLACES[name], np.uint8))
    assert {other: float(mask.mean()) for other, mask in masks.items()} == {
        other: pytest.approx(float(other == region), abs=1e-6) for other in Region
    }


@pytest.mark.parametrize("name", ["background", "cloth", "hat", "earring", "necklace"])
def test_what_is_no_region_keeps_the_strength_of_the_whole(name):
    parsed = np.full((SIZE, SIZE), PLACES[name], np.uint8)
    assert strength_map(SIZE, 0.25, dict.fromkeys(Region, 1.0), parsed) == pytest.approx(0.25)


def test_regions_have_no_visible_edge():
    """Over one pixel of a 512-pixel crop the strength changes by at most 4 %, or 10 of 255 levels of a black to white
    correction; at the blur that is chosen a straight edge changes by 1 / (sqrt(2 pi) * 0.02 * 512)."""
    strengths = strength_map(512, 0.0, {"eyes": 1.0, "mouth": 1.0})[..., 0]
    assert max(np.abs(np.diff(strengths, axis=axis)).max() for axis in (0, 1)) < 0.04
    assert strengths.max() > 0.95


def test_without_regions_the_strength_is_even():
    assert (strength_map(16, 0.5, {}) == 0.5).all()
