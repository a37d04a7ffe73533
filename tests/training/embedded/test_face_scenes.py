"""Training scenes: true labels stay true, and samples depend on their index alone."""

import json

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from revisage.errors import RecipeError
from revisage.training.embedded.backgrounds import draw_pattern, shuffle_tiles
from revisage.training.embedded.canvas import Canvas, similarity, transform_boxes, transform_points
from revisage.training.embedded.detector_degradation import DetectorDegradation
from revisage.training.embedded.face_scenes import FaceScenes, collate
from revisage.training.embedded.labeled_photos import (
    BoxFromLandmarks,
    LabeledPhoto,
    find_blobs,
    fit_boxes,
    is_held_out,
    read_crops,
    read_false_positives,
    read_photos,
)

POINTS = np.array([[44, 50], [76, 50], [60, 68], [48, 86], [72, 86]], np.float32)
BOX = np.array([32, 24, 88, 104], np.float32)
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255]], np.uint8)


def labelled(name="anna", side=120):
    """A gray photo with one face: five discs in five colors."""
    pixels = np.full((side, side, 3), 90, np.uint8)
    for point, color in zip(POINTS.astype(int), COLOURS, strict=True):
        cv2.circle(pixels, point.tolist(), 6, color.tolist(), -1)
    return LabeledPhoto(name, pixels, BOX[None], POINTS[None])


@pytest.fixture(scope="module")
def scenes():
    photos = [labelled(f"person {index}") for index in range(4)]
    return FaceScenes(photos, photos, 96, seed=3, backgrounds=20)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.3, 3), st.floats(-180, 180), st.booleans(), st.sampled_from(["whole", "rectangle", "ellipse"]))
def test_landmarks_stay_on_their_features(scale, angle, mirror, shape):
    canvas = Canvas(np.zeros((400, 400, 3), np.uint8))
    matrix = similarity(scale, angle, mirror, (BOX[:2] + BOX[2:]) / 2, np.array([200.0, 200.0]))
    canvas.place(labelled(), matrix, shape, np.array([-0.5, -0.5, 119.5, 119.5], np.float32), 0.0)
    order = [1, 0, 2, 4, 3] if mirror else range(5)
    for point, color in zip(canvas.landmarks[0], COLOURS[list(order)], strict=True):
        x, y = np.rint(point).astype(int)
        assert np.abs(canvas.pixels[y, x].astype(int) - color).max() < 60


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 5), st.floats(-180, 180), st.booleans())
def test_similarity_brings_source_to_target(scale, angle, mirror):
    source, target = np.array([3.0, 8.0]), np.array([-2.0, 40.0])
    matrix = similarity(scale, angle, mirror, source, target)
    np.testing.assert_allclose(transform_points(source[None], matrix)[0], target, atol=1e-9)
    assert np.linalg.det(matrix[:, :2]) == pytest.approx(-(scale**2) if mirror else scale**2)


def test_a_box_turned_by_a_quarter_exchanges_its_sides():
    matrix = similarity(1.0, 90.0, False, np.zeros(2), np.zeros(2))
    np.testing.assert_allclose(transform_boxes(np.array([[10, 20, 40, 90]], np.float32), matrix), [[-90, 10, -20, 40]])


def unworn(pixels, rng, strongest):
    return pixels, 1.0


def blurred_beyond_use(pixels, rng, strongest):
    return pixels, 10.0


def test_a_face_under_another_photo_becomes_uncertain():
    canvas = Canvas(np.zeros((240, 240, 3), np.uint8))
    region = np.array([-0.5, -0.5, 119.5, 119.5], np.float32)
    canvas.place(labelled(), similarity(1, 0, False, np.zeros(2), np.zeros(2)), "rectangle", region, 0.0)
    canvas.place(labelled(), similarity(1, 0, False, np.zeros(2), np.array([0.0, 60.0])), "rectangle", region, 0.0)

    scene = canvas.finish(unworn, np.random.default_rng(0), 1.0)
    assert scene.certain.tolist() == [False, True]


def test_a_face_too_blurred_to_tell_becomes_uncertain():
    canvas = Canvas(np.zeros((120, 120, 3), np.uint8))
    region = np.array([-0.5, -0.5, 119.5, 119.5], np.float32)
    canvas.place(labelled(), similarity(0.5, 0, False, np.zeros(2), np.zeros(2)), "rectangle", region, 0.0)
    scene = canvas.finish(blurred_beyond_use, np.random.default_rng(0), 1.0)
    assert scene.certain.tolist() == [False]


def test_a_sample_depends_on_its_index_alone(scenes):
    again = FaceScenes(scenes.photos, scenes.crops, 96, seed=3, backgrounds=20)
    again[7]
    for index in (0, 11, 5):
        first, second = scenes[index], again[index]
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_another_seed_gives_other_samples(scenes):
    other = FaceScenes(scenes.photos, scenes.crops, 96, seed=4, backgrounds=20)
    assert not torch.equal(scenes[0]["image"], other[0]["image"])


def test_every_kind_of_scene_has_its_form(scenes):
    faces = 0
    for index in range(60):
        sample = scenes[index]
        count = len(sample["boxes"])
        faces += int(sample["certain"].sum())
        assert sample["image"].shape == (3, 96, 96)
        assert sample["image"].dtype == torch.uint8
        assert sample["landmarks"].shape == (count, 10)
        assert sample["certain"].shape == (count,)
        assert (sample["boxes"][:, 2:] > sample["boxes"][:, :2]).all()
    assert faces > 20


def test_scenes_without_faces_have_none(scenes):
    for seed in range(10):
        assert len(scenes.empty(np.random.default_rng(seed)).boxes) == 0


def test_salient_spots_are_blobs_outside_the_faces():
    photo = labelled(side=160)
    cv2.circle(photo.pixels, (130, 120), 6, (250, 250, 250), -1)
    spots = find_blobs(LabeledPhoto("anna", photo.pixels, photo.boxes, photo.landmarks))
    assert spots.shape == (12, 3)
    assert np.abs(spots[:, :2] - (130, 120)).max(axis=1).min() < 3
    x, y = spots[:, 0], spots[:, 1]
    assert not ((x > BOX[0] + 2) & (x < BOX[2] - 2) & (y > BOX[1] + 2) & (y < BOX[3] - 2)).any()


def test_a_jigsaw_keeps_all_squares():
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    mixed = shuffle_tiles(pixels, 8, np.random.default_rng(1))
    assert mixed.shape == pixels.shape
    assert not np.array_equal(mixed, pixels)
    assert np.array_equal(np.sort(mixed, axis=None), np.sort(pixels, axis=None))


def test_collate_fills_up_with_entries_that_do_not_count(scenes):
    samples = [scenes[index] for index in range(6)]
    batch = collate(samples)
    assert batch["images"].shape == (6, 3, 96, 96)
    counts = [len(sample["boxes"]) for sample in samples]
    assert (batch["kinds"] >= 0).sum(dim=1).tolist() == counts
    assert (batch["kinds"] == 1).sum(dim=1).tolist() == [int(sample["certain"].sum()) for sample in samples]
    assert batch["boxes"].shape == (6, max(counts), 4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 90), st.integers(5, 90))
def test_wear_keeps_size_and_format_and_never_gains_detail(seed, height, width):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    worn, loss = DetectorDegradation()(image, rng, 3.0)
    assert worn.shape == image.shape
    assert worn.dtype == np.uint8
    assert 1 <= loss <= np.hypot(3, 3) + 1e-6


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([32, 65]))
def test_procedural_backgrounds_have_the_asked_size(seed, side):
    pixels = draw_pattern(side, np.random.default_rng(seed))
    assert pixels.shape == (side, side, 3)
    assert pixels.dtype == np.uint8


def test_boxes_follow_landmarks_under_any_similarity():
    rng = np.random.default_rng(0)
    landmarks = (POINTS + rng.normal(0, 3, (40, 5, 2))).astype(np.float32)
    middle, size = landmarks.mean(axis=1), np.ptp(landmarks[..., 0], axis=1)[:, None]
    boxes = np.concatenate([middle - size, middle + 1.2 * size], axis=1).astype(np.float32)
    fit = BoxFromLandmarks(boxes, landmarks)
    found = fit(landmarks * 3 + 50)
    np.testing.assert_allclose(found, fit(landmarks) * 3 + 50, atol=0.05)
    assert np.abs(fit(landmarks) - boxes).mean() < 3


def test_the_same_names_are_held_out_every_time():
    names = [f"person-{index}" for index in range(600)]
    kept = [name for name in names if is_held_out(name, 12)]
    assert 25 < len(kept) < 80
    assert kept == [name for name in names if is_held_out(name, 12)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "here").mkdir()
    for name in ("anna", "berta"):
        cv2.imwrite(str(tmp_path / "here" / f"{name}.png"), labelled().pixels[..., ::-1])
    cv2.imwrite(str(tmp_path / "here_anna.png"), labelled().pixels[..., ::-1])
    face = {"box": BOX.tolist(), "landmarks": POINTS.tolist()}
    labels = {f"here/{name}.png": {"faces": [face]} for name in ("anna", "berta")}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    names = [f"{point}_{axis}" for point in ("eye1", "eye2", "nose", "mouth1", "mouth2") for axis in "xy"]
    values = ",".join(str(value) for value in POINTS.flatten())
    (tmp_path / "index.csv").write_text(f"file,{','.join(names)}\nhere_anna.png,{values}\nthere_x.png,{values}\n")
    return tmp_path


def test_photos_are_read_in_rgb_with_their_faces(folder):
    photos = read_photos(folder / "labels.json", ["here/"], lambda name: name != "berta")
    assert [photo.name for photo in photos] == ["anna"]
    assert photos[0].pixels[50, 44].tolist() == [255, 0, 0]
    np.testing.assert_array_equal(photos[0].landmarks[0], POINTS)
    assert [level.shape[0] for level in photos[0].pyramid] == [120, 60, 30]


def test_crops_are_read_with_boxes_from_landmarks(folder):
    photos = read_photos(folder / "labels.json", ["here/"])
    (crop,) = read_crops(folder / "index.csv", ["here_"], fit_boxes(photos))
    assert crop.name == "anna"
    np.testing.assert_allclose(crop.boxes[0], BOX, atol=0.5)


def test_mistakes_are_detections_that_touch_no_face(folder):
    photos = read_photos(folder / "labels.json", ["here/"])
    found = {"anna.png": [{"box": BOX.tolist()}, {"box": [2, 2, 12, 14]}], "nobody.png": [{"box": [0, 0, 5, 5]}]}
    (folder / "found.json").write_text(json.dumps(found))
    false_positives = read_false_positives(folder / "found.json", photos)
    assert {name: boxes.tolist() for name, boxes in false_positives.items()} == {"anna": [[2, 2, 12, 14]]}
    with pytest.raises(RecipeError, match="detections"):
        read_false_positives(folder / "index.csv", photos)


def test_missing_data_is_named(folder, tmp_path):
    with pytest.raises(RecipeError, match=r"nowhere\.json"):
        read_photos(tmp_path / "nowhere.json", [""])
    with pytest.raises(RecipeError, match="elsewhere/"):
        read_photos(folder / "labels.json", ["elsewhere/"])
    (folder / "here" / "anna.png").unlink()
    with pytest.raises(RecipeError, match=r"anna\.png"):
        read_photos(folder / "labels.json", ["here/"])
