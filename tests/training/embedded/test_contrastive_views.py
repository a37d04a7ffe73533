import cv2
import numpy as np
import pytest

from revisage.errors import RecipeError
from revisage.training.data.crops import Crop
from revisage.training.data.degradations.recipes import build_degradation, build_step
from revisage.training.embedded.contrastive_views import (
    ContrastiveViews,
    displace_features,
    draw_identity_change,
    erase,
    group_by_key,
    misalign,
    swap_features,
)

SIDE = 64


def face(seed, side=SIDE):
    small = np.random.default_rng(seed).random((9, 9, 3), np.float32)
    return np.clip(cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC), 0, 1)


def crop(seed, side=SIDE):
    return Crop(f"face{seed}", (face(seed, side) * 255).astype(np.uint8))


def views(restored=None, color_steps=(), degradations=((),), crops=None):
    return ContrastiveViews(
        [crop(seed) for seed in range(4)] if crops is None else crops,
        restored or {},
        size=SIDE,
        color_steps=[build_step(step) for step in color_steps],
        degradations=[build_degradation(steps) for steps in degradations],
        seed=3,
    )


def distance(a, b):
    return float((a - b).abs().mean())


@pytest.mark.parametrize("seed", range(6))
def test_a_change_changes_a_face_the_same_way_each_time(seed):
    change = draw_identity_change(face(1), np.random.default_rng(seed))
    before = face(0)
    after = change(before)
    assert after.shape == before.shape
    assert after.dtype == np.float32
    assert after.min() >= 0
    assert after.max() <= 1
    assert np.array_equal(before, face(0))
    assert np.array_equal(after, change(before))
    assert np.abs(after - before).max() > 0.02


def test_a_displacement_has_the_asked_deviation():
    """A ramp that rises by one a pixel shows how far each place came from."""
    ramp = np.repeat(np.linspace(0, 1, 512, dtype=np.float32)[None, :, None], 512, 0).repeat(3, 2)
    shifts = [
        (displace_features(512, 8.0, np.random.default_rng(seed))(ramp) - ramp)[64:448, 64:448] * 511
        for seed in range(6)
    ]
    assert np.std(shifts) == pytest.approx(8.0, rel=0.35)  # between the places that are drawn it is less


def test_displacements_are_those_of_512_pixels_at_any_size():
    field = displace_features(128, 8.0, np.random.default_rng(0))
    large = displace_features(512, 8.0, np.random.default_rng(0))
    image = face(0, 512)
    shrunk = cv2.resize(large(image), (128, 128), interpolation=cv2.INTER_AREA)
    before = cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA)
    assert np.abs(field(before) - shrunk).mean() < 0.3 * np.abs(before - shrunk).mean()


def test_exchanged_features_leave_the_border_and_take_the_colors():
    before = face(0, 128)
    after = swap_features(face(1, 128) * 0.2, np.random.default_rng(0))(before)
    changed = np.abs(after - before).max(2) > 1e-4
    assert changed.any()
    assert not changed[:20].any()
    assert not changed[-15:].any()
    assert after[changed].mean() == pytest.approx(before[changed].mean(), abs=0.08)  # not as dark as the other face


def test_a_sample_depends_on_seed_and_index_only():
    degradations = [[{"step": "noise"}], [{"step": "blur", "sigma": [0.5, 2], "size": 9}]]
    one, other = (views(degradations=degradations) for _ in range(2))
    other[0]
    assert np.array_equal(one[5]["views"], other[5]["views"])
    assert not np.array_equal(one[5]["views"], one[9]["views"])  # the same face four samples later, drawn anew


def test_the_second_pair_shows_another_face_than_the_first():
    samples = [views()[index]["views"] for index in range(12)]
    assert samples[0].shape == (4, 3, SIDE, SIDE)
    same = np.mean([distance(sample[0], sample[1]) + distance(sample[2], sample[3]) for sample in samples]) / 2
    other = np.mean([distance(sample[0], sample[2]) + distance(sample[1], sample[3]) for sample in samples]) / 2
    assert other > 1.1 * same


def test_all_views_of_a_sample_are_mirrored_or_none():
    ramp = np.repeat(np.linspace(0, 255, SIDE).astype(np.uint8)[None, :, None], SIDE, 0).repeat(3, 2)
    dataset = views(crops=[Crop("a", ramp), Crop("b", ramp)])
    rising = [[bool(view[0, :, 40].mean() > view[0, :, 24].mean()) for view in dataset[i]["views"]] for i in range(12)]
    assert all(len(set(row)) == 1 for row in rising)
    assert {row[0] for row in rising} == {True, False}


def test_restored_versions_are_shown():
    white = Crop("face0", np.full((SIDE, SIDE, 3), 255, np.uint8))
    dataset = views({"face0": [white]}, crops=[crop(0), crop(1)])
    brightness = [float(view.mean()) for index in range(16) for view in dataset[index]["views"][:2]]
    assert max(brightness) > 0.95
    assert min(brightness) < 0.3


def test_colors_are_done_to_every_view():
    gray = views(color_steps=[{"step": "gray"}])
    for view in gray[0]["views"]:
        if not (view[0] - view[1]).abs().max() < 1e-5:  # but what covers it comes later
            assert ((view[0] - view[1]).abs() > 1e-5).float().mean() < 0.2


def test_misaligned_faces_move_little():
    before = face(0, 128)
    after = misalign(before, np.random.default_rng(0))
    assert 0 < np.abs(after - before).mean() < 0.1


def test_what_covers_a_face_is_a_small_rectangle():
    before = face(0, 128)
    after = erase(before, np.random.default_rng(0))
    changed = np.abs(after - before).max(2) > 1e-4
    rows, columns = changed.any(1).sum(), changed.any(0).sum()
    assert 0 < changed.sum() <= rows * columns < 0.1 * 128**2
    assert np.array_equal(before, face(0, 128))


def test_folders_of_restorations_hold_the_same_names():
    folders = [[crop(0), crop(1)], [crop(0), crop(1)]]
    assert {name: len(found) for name, found in group_by_key(folders).items()} == {"face0": 2, "face1": 2}
    with pytest.raises(RecipeError, match=r"task\.restored holds face1"):
        group_by_key([folders[0], folders[1][:1]])
