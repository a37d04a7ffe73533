import tracemalloc
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locations import GOLDEN
from revisage.geometry import compose, invert, resizing, shift
from revisage.images.pixels import from_float, to_float
from revisage.restore.align import align
from revisage.restore.color_match import AXES, squared_distance
from revisage.restore.paste import crop_mask, fade_detail, paste
from revisage.restore.upscale import lanczos
from revisage.types import AlignedFace

PASTE = np.load(GOLDEN / "paste.npz")
SIZE = 128


def face_at(image_from_crop, crop=None):
    crop = np.full((SIZE, SIZE, 3), 0.5, np.float32) if crop is None else crop
    return AlignedFace(crop, invert(np.asarray(image_from_crop, np.float64)))


def similarity(scale, angle, x, y):
    """image_from_crop with the crop's centre at (x, y)."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return compose(np.array([[c, -s, x], [s, c, y]]), shift(-(SIZE - 1) / 2, -(SIZE - 1) / 2))


def noise(shape, dtype=np.float32, seed=0):
    return from_float(np.random.default_rng(seed).random(shape, np.float32), dtype)


def brightened(face, by=0.25):
    return face, face.crop + np.float32(by)


def test_mask_is_one_at_the_head_and_falls_softly_to_zero_at_the_border_and_in_the_corners():
    mask = crop_mask(SIZE)
    assert (mask[30:-30, 24:-24] == 1).all()
    assert mask[[0, -1]].max() == mask[:, [0, -1]].max() == 0
    assert mask[:8, :8].max() == 0
    assert np.abs(np.diff(mask, axis=0)).max() < 0.15
    np.testing.assert_array_equal(mask, mask[::-1, ::-1])


def test_the_shared_mask_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        crop_mask(SIZE)[0, 0] = 1


placements = st.builds(similarity, st.floats(0.02, 3), st.floats(-3.2, 3.2), st.floats(-100, 300), st.floats(-100, 300))


@given(placements, st.sampled_from([1, 1.5, 2, 3, 4]), st.sampled_from([np.uint8, np.uint16, np.float32]))
@settings(max_examples=40, deadline=None)
def test_an_unchanged_crop_reproduces_the_picture_exactly(matrix, scale, dtype):
    background = noise((int(150 * scale), int(170 * scale), 3), dtype)
    face = face_at(matrix, noise((SIZE, SIZE, 3), seed=1))
    result = paste(background, [(face, face.crop.copy())], scale)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, background)


@given(placements, st.sampled_from([1, 2, 3]))
@settings(max_examples=25, deadline=None)
def test_nothing_changes_outside_of_the_crop(matrix, scale):
    background = noise((150 * scale, 170 * scale, 3))
    result = paste(background, [brightened(face_at(matrix))], scale)
    crop_from_output = invert(compose(resizing(scale, scale), matrix))
    y, x = np.mgrid[: 150 * scale, : 170 * scale]
    points = np.stack([x, y], -1) @ crop_from_output[:, :2].T + crop_from_output[:, 2]
    reach = 2 * max(1, 1 / np.hypot(*(scale * matrix[:, 0])))  # of the interpolation, in crop pixels
    outside = ((points < -reach) | (points > SIZE - 1 + reach)).any(-1)
    np.testing.assert_array_equal(result[outside], background[outside])


@pytest.mark.parametrize("scale", [1, 1.5, 2, 3, 4])
@pytest.mark.parametrize("place", [(1, 0), (0.4, 0.5), (1.7, -0.3)], ids=["as large", "smaller", "larger"])
def test_a_dot_lands_where_it_belongs(scale, place):
    matrix = similarity(*place, 140, 130)
    face = face_at(matrix, np.zeros((SIZE, SIZE, 3), np.float32))
    y, x = np.mgrid[:SIZE, :SIZE]
    dot = np.exp(-((x - 70) ** 2 + (y - 55) ** 2) / 18).astype(np.float32)[..., None].repeat(3, -1)
    background = np.zeros((round(260 * scale), round(280 * scale), 3), np.float32)
    result = paste(background, [(face, dot)], scale)[..., 0].astype(np.float64)
    rows, columns = np.mgrid[: result.shape[0], : result.shape[1]]
    centroid = np.array([(result * columns).sum(), (result * rows).sum()]) / result.sum()
    in_picture = matrix[:, :2] @ [70, 55] + matrix[:, 2]
    np.testing.assert_allclose(centroid, scale * in_picture + 0.5 * (scale - 1), atol=0.1)


def test_in_the_middle_a_crop_of_the_same_scale_is_the_result():
    picture = noise((200, 200, 3))
    face = face_at(shift(30, 40), picture[40 : 40 + SIZE, 30 : 30 + SIZE])
    restored = noise((SIZE, SIZE, 3), seed=3)
    restored[..., 1:] = restored[..., :1] - face.crop[..., :1] + face.crop[..., 1:]  # the same lightness added to all
    result = paste(picture, [(face, restored)], 1)
    np.testing.assert_allclose(result[76:132, 66:122], np.clip(restored, 0, 1)[36:92, 36:92], atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3])
def test_restored_detail_replaces_that_of_an_enlarged_picture(scale):
    y, x = np.mgrid[:200, :200].astype(np.float32)
    picture = (0.5 + 0.3 * np.sin(x / 9) * np.cos(y / 11))[..., None].repeat(3, -1).astype(np.float32)
    background = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_LANCZOS4)
    face = face_at(shift(30, 40), picture[40 : 40 + SIZE, 30 : 30 + SIZE])
    result = paste(background, [(face, 1 - face.crop)], scale)
    inner = np.s_[65 * scale : 140 * scale, 55 * scale : 130 * scale]
    np.testing.assert_allclose(result[inner], 1 - background[inner], atol=0.01)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_a_blemish_that_restoration_removed_is_gone(scale):
    y, x = np.mgrid[:160, :200]
    picture = (0.3 + 0.5 * np.exp(-((x - 101) ** 2 + (y - 82) ** 2) / 18))[..., None].repeat(3, -1).astype(np.float32)
    background = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_LANCZOS4)
    face = align(picture, PASTE["lm"])
    result = paste(background, [(face, np.full_like(face.crop, 0.3))], scale)
    # A paste half a pixel off leaves a ghost of 0.074, 0.041, 0.028, 0.023 at these scales.
    np.testing.assert_allclose(result[30 * scale : 130 * scale, 50 * scale : 150 * scale], 0.3, atol=0.016)


def test_interior_agrees_with_the_reference():
    # Full quality of the reference needs no enlargement: from scale 2 on it is half a pixel off.
    picture, restored = PASTE["img"], to_float(PASTE["face"])
    face = align(np.ascontiguousarray(picture[..., ::-1]), PASTE["lm"])
    ours = paste(picture[..., ::-1], [(face, restored[..., ::-1])], 1)[..., ::-1]
    interior = np.zeros((512, 512), np.uint8)
    interior[100:-100, 100:-100] = 1  # the reference's soft edge is wider than ours
    where = cv2.warpAffine(interior, face.crop_from_image, (200, 160), flags=cv2.WARP_INVERSE_MAP) > 0
    where[:5] = False  # the crop reaches beyond the upper border; there the picture had to be made up
    assert where.sum() > 4000
    # In luma: the reference lets the restorer tint the face.
    luma, expected = (p.astype(float) @ (0.114, 0.587, 0.299) for p in (ours, PASTE["paste_up1_square"]))
    assert np.abs(luma - expected)[where].max() <= 3


def test_sixteen_bits_keep_their_precision():
    picture = np.full((200, 200, 3), 30_001, np.uint16)
    face = align(picture, PASTE["lm"], SIZE)
    result = paste(picture, [brightened(face, 0.001)], 1)
    assert result.dtype == np.uint16
    assert abs(int(result[80, 100, 0]) - (30_001 + 65.535)) <= 1


def test_a_tiny_face_gets_the_mean_of_the_correction():
    # One-pixel checkers sampled without averaging would come out as 0 or 1.
    checkers = (np.indices((SIZE, SIZE)).sum(0) % 2).astype(np.float32)[..., None].repeat(3, -1)
    face = face_at(similarity(0.15, 0.4, 50, 50), np.zeros((SIZE, SIZE, 3), np.float32))
    result = paste(np.zeros((100, 100, 3), np.float32), [(face, checkers)], 1)
    np.testing.assert_allclose(result[47:54, 47:54], 0.5, atol=0.03)


@given(st.lists(st.tuples(placements, st.floats(-0.5, 0.5)), min_size=2, max_size=4), st.randoms())
@settings(max_examples=20, deadline=None)
def test_the_order_of_overlapping_faces_does_not_matter(faces, random):
    background = noise((150, 170, 3))
    pairs = [brightened(face_at(matrix), by) for matrix, by in faces]
    shuffled = random.sample(pairs, len(pairs))
    np.testing.assert_allclose(paste(background, pairs, 1), paste(background, shuffled, 1), atol=1e-6)


def oval_core(matrix, shape, radius=0.25):
    """Pixels nearer to the middle of a face than this share of its oval."""
    crop_from_picture = invert(matrix)
    y, x = np.mgrid[: shape[0], : shape[1]]
    places = np.stack([x, y], -1) @ crop_from_picture[:, :2].T + crop_from_picture[:, 2]
    return squared_distance(places, SIZE) < radius**2


@contextmanager
def opencv_threads(count):
    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def test_the_number_of_threads_does_not_change_the_result():
    background = noise((1200, 1300, 3), np.uint8)
    pairs = [brightened(face_at(similarity(3, 0.2, x, y)), 0.2) for x, y in ((400, 500), (650, 500), (800, 900))]
    results = []
    for count in (1, 3):
        with opencv_threads(count):
            results.append(paste(background, pairs, 1))
    assert np.array_equal(*results)


@pytest.mark.parametrize("relative", [1.0, 1.5], ids=["as large", "half as large again"])
def test_each_of_two_overlapping_faces_prevails_in_its_middle_and_there_is_no_step(relative):
    # Ovals that share 60 % of their width: their middles are 40 % of it apart.
    apart = 0.4 * 2 * AXES[0] * SIZE * (1 + relative)
    matrices = similarity(2, 0, 180, 220), similarity(2 * relative, 0, 180 + apart, 220)
    background = np.full((480, 520, 3), 0.5, np.float32)
    pairs = [brightened(face_at(matrix), by) for matrix, by in zip(matrices, (0.4, -0.4), strict=True)]
    together = paste(background, pairs, 1)
    for matrix, pair in zip(matrices, pairs, strict=True):
        alone = paste(background, [pair], 1)
        core = oval_core(matrix, background.shape)
        assert core.sum() > 100
        assert np.abs(together - alone)[core].max() < 0.02 * 0.8
    assert max(np.abs(np.diff(together, axis=axis)).max() for axis in (0, 1)) < 0.2  # from 0.9 to 0.1


def test_of_two_faces_in_one_place_the_larger_prevails():
    background = np.full((300, 300, 3), 0.5, np.float32)
    pairs = [brightened(face_at(similarity(scale, 0, 150, 150)), by) for scale, by in ((2, 0.4), (0.5, -0.4))]
    assert paste(background, pairs, 1)[150, 150].min() > 0.7


def test_overlapping_faces_weigh_no_more_than_one():
    background = np.full((200, 200, 3), 0.3, np.float32)
    pairs = [brightened(face_at(shift(x, 30)), 0.25) for x in (20, 30, 40)]
    result = paste(background, pairs, 1)
    np.testing.assert_allclose(result[94, 94], 0.55, atol=1e-5)
    assert result.max() <= 0.55 + 1e-5


@pytest.mark.parametrize(
    "matrix",
    [similarity(1, 0.2, 0, 0), similarity(1, 0, 5000, 0), similarity(0.005, 0, 50, 50), similarity(40, 0, 50, 50)],
    ids=["cut by the border", "outside", "a pixel small", "larger than the picture"],
)
def test_faces_in_odd_places_are_pasted(matrix):
    background = np.full((100, 100, 3), 100, np.uint8)
    result = paste(background, [brightened(face_at(matrix), 0.2)], 1)
    center = invert(matrix) @ [0, 0, 1]
    expected = 151 if (np.abs(center - SIZE / 2) < SIZE / 3).all() else 100
    assert result[0, 0, 0] == expected
    assert (background == 100).all()


def test_masks_can_be_given_for_each_face():
    background = np.zeros((150, 150, 3), np.float32)
    masks = [np.zeros((SIZE, SIZE), np.float32), np.full((SIZE, SIZE), 0.5, np.float32)]
    pairs = [brightened(face_at(shift(10, 10)), 0.4)] * 2
    np.testing.assert_allclose(paste(background, pairs, 1, masks)[70, 70], 0.2, atol=1e-6)


def test_the_detail_of_a_correction_ends_before_its_coarse_part():
    fine = noise((SIZE, SIZE, 3)) - np.float32(0.5)
    middle, beside = slice(SIZE // 2 - 20, SIZE // 2 + 20), slice(0, 6)  # within 0.31, and beyond 0.9 of the crop
    faded = fade_detail(fine + np.float32(0.2))
    np.testing.assert_allclose(faded[middle, middle], (fine + np.float32(0.2))[middle, middle], atol=1e-6)
    assert faded[beside].std() < 0.3 * fine[beside].std()
    assert faded[beside].mean() == pytest.approx(0.2 + fine[beside].mean(), abs=0.02)


def test_nothing_is_added_where_nothing_is_corrected():
    added = noise((SIZE, SIZE, 3))
    added[:40] = 0
    assert (fade_detail(added)[:40] == 0).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_gray_photo_stays_gray_to_the_last_bit(dtype):
    picture = np.repeat(noise((160, 200, 1), dtype), 3, axis=-1)
    face = align(picture, PASTE["lm"])  # reaches beyond the upper border
    colourful = np.clip(face.crop + noise(face.crop.shape, seed=4) - np.float32(0.3), 0, 1)
    for scale in (1, 2, 3):
        result = paste(lanczos(picture, scale), [(face, colourful)], scale)
        assert (result == result[..., :1]).all()
        assert (result != lanczos(picture, scale)).any()


def test_a_tint_of_the_whole_crop_ends_nowhere_abruptly():
    colour = np.array([0.5, 0.45, 0.55], np.float32)
    picture = np.full((300, 300, 3), colour)
    face = face_at(similarity(2, 0, 150, 150), np.full((SIZE, SIZE, 3), colour))
    result = paste(picture, [(face, face.crop + np.array([0.3, -0.1, -0.16], np.float32))], 1)
    np.testing.assert_allclose(result[160, 150] - colour, [0.3, -0.1, -0.16], atol=1e-3)
    rows, columns = np.mgrid[:300, :300]
    beside = crop_mask(SIZE)[np.clip((rows - 22) // 2, 0, 127), np.clip((columns - 22) // 2, 0, 127)] < 0.95
    beside[200:] = False  # the chin is near the lower border of the crop
    assert np.abs(result - picture)[beside].max() < 0.03
    assert max(np.abs(np.diff(result, axis=axis)).max() for axis in (0, 1)) < 0.025


def test_a_restored_crop_of_another_size_is_refused():
    with pytest.raises(ValueError, match="size"):
        paste(np.zeros((50, 50, 3), np.uint8), [(face_at(shift(0, 0)), np.zeros((64, 64, 3), np.float32))], 1)


@pytest.mark.parametrize("magnification", [1, 20], ids=["a small face", "faces that fill the picture"])
def test_memory_beyond_the_result_does_not_grow_with_the_picture(magnification):
    background = np.zeros((2500, 2500, 3), np.uint8)
    pairs = [brightened(face_at(similarity(magnification, 0, x, 1200))) for x in (1200, 1300)]
    tracemalloc.start()
    with opencv_threads(1):
        paste(background, pairs, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - background.nbytes < 45e6  # the picture in float32 alone has 75 MB


def test_large_results_are_blended_in_tiles_without_seams():
    background = np.full((1400, 1400, 3), 0.25, np.float32)
    result = paste(background, [brightened(face_at(similarity(9, 0.3, 700, 700)), 0.5)], 1)
    np.testing.assert_allclose(result[500:530, 500:900], 0.75, atol=1e-5)
    assert np.abs(np.diff(result[:, 700, 0])).max() < 0.01
