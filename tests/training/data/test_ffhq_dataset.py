import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from locations import PORTRAIT
from revisage.errors import RecipeError
from revisage.images import read_image
from revisage.training.data.components import ExtendedAugmentation, Mirror, Translate, to_boxes
from revisage.training.data.crops import Crop
from revisage.training.data.datasets import FFHQDegradationDataset
from revisage.training.data.degradations.published import FFHQDegradation
from revisage.training.data.degradations.recipes import Steps

PHOTO = read_image(PORTRAIT)
SMALL = cv2.resize(PHOTO, (64, 64), interpolation=cv2.INTER_AREA)
CROPS = [Crop(f"face{index}", np.roll(SMALL, 7 * index, axis=1)) for index in range(5)]
PLACES = np.array([[191.5, 242.3, 28.6], [319.5, 247.1, 23.7], [267.7, 355.8, 42.2]])
UNTOUCHED = Steps(steps=(), gray=0)


def dataset(seed=3, **settings):
    return FFHQDegradationDataset(CROPS, size=64, seed=seed, **settings)


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), max_size=4))
def test_a_sample_depends_on_seed_and_index_alone(index, others):
    landmarks = {crop.key: PLACES for crop in CROPS}
    used = dataset(landmarks=landmarks, augmentation=ExtendedAugmentation())
    for other in others:
        used[other]
    assert equal(used[index], dataset(landmarks=landmarks, augmentation=ExtendedAugmentation())[index])


def test_other_seeds_and_epochs_give_other_samples():
    data = dataset()
    assert not equal(data[3], dataset(seed=4)[3])
    for index in range(5):
        assert not any(torch.equal(data[index]["lq"], data[other]["lq"]) for other in range(5, 10))


@pytest.mark.parametrize(("workers", "threads"), [(1, 1), (2, 1), (2, 2)])
def test_any_number_of_workers_gives_the_same_samples(workers, threads):
    data, before = dataset(), torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        alone = [data[index] for index in range(7, 15)]
        loader = DataLoader(data, batch_size=None, sampler=range(7, 15), num_workers=workers)
        assert all(equal(first, second) for first, second in zip(alone, loader, strict=True))
    finally:
        torch.set_num_threads(before)


def test_an_epoch_meets_every_face_once():
    data = dataset(degradation=UNTOUCHED, augmentation=Mirror(0))
    for epoch in range(2):
        seen = {data[5 * epoch + place]["gt"].numpy().tobytes() for place in range(5)}
        assert len(seen) == 5


def test_samples_are_tensors_between_minus_one_and_one():
    sample = dataset()[0]
    assert set(sample) == {"lq", "gt", "detail"}
    assert sample["lq"].shape == sample["gt"].shape == (3, 64, 64)
    assert sample["lq"].dtype == torch.float32
    assert sample["gt"].min() >= -1
    assert sample["gt"].max() <= 1


def place_of(sample):
    """Which of CROPS an untouched sample shows."""
    pixels = (sample["gt"].permute(1, 2, 0) + 1) * 127.5
    return [np.abs(pixels.numpy() - crop.pixels).max() < 0.01 for crop in CROPS].index(True)


def test_samples_show_the_faces_of_the_source():
    data = dataset(degradation=UNTOUCHED, augmentation=Mirror(0))
    assert sorted(place_of(data[index]) for index in range(5)) == list(range(5))


def test_faces_of_another_size_are_brought_to_size_and_small_ones_marked():
    small = FFHQDegradationDataset(CROPS[:1], size=128, seed=0)[0]
    large = FFHQDegradationDataset(CROPS[:1], size=32, seed=0)[0]
    assert small["gt"].shape == (3, 128, 128)
    assert large["gt"].shape == (3, 32, 32)
    assert (float(small["detail"]), float(large["detail"])) == (0.0, 1.0)


@pytest.mark.parametrize("augmentation", [Mirror(0), Mirror(1), Translate(1.0, 20), ExtendedAugmentation(Mirror(1))])
def test_boxes_stay_on_their_features_and_the_table_as_it_was(augmentation):
    """Also the reference's fault: it flipped the table itself, so the next access was wrong."""
    pixels = np.zeros((512, 512, 3), np.uint8)
    colors = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    for (x, y, _), color in zip(PLACES, colors, strict=True):
        cv2.circle(pixels, (round(x), round(y)), 6, color, -1)
    landmarks = {"face": PLACES.copy()}
    data = FFHQDegradationDataset(
        [Crop("face", pixels)], seed=1, degradation=UNTOUCHED, augmentation=augmentation, landmarks=landmarks
    )
    for index in range(3):
        sample = data[index]
        for key in ("left_eye", "right_eye", "mouth"):
            x1, y1, x2, y2 = sample[key].tolist()
            centre = sample["gt"][:, round((y1 + y2) / 2), round((x1 + x2) / 2)]
            assert centre.max() > 0.3
            assert (centre[2] > 0) == (key == "mouth")
        assert sample["left_eye"][0] < sample["right_eye"][0]
    np.testing.assert_array_equal(landmarks["face"], PLACES)


def test_boxes_are_float32_corners_in_pixels_of_the_sample():
    sample = dataset(landmarks={"face0": PLACES, **{f"{i:08d}": PLACES for i in range(5)}}, augmentation=Mirror(0))[0]
    expected = to_boxes(PLACES / 8)
    assert sample["mouth"].dtype == torch.float32
    np.testing.assert_allclose(sample["left_eye"].numpy(), expected[0], atol=1e-5)
    np.testing.assert_allclose(sample["mouth"].numpy(), expected[2], atol=1e-5)


def test_landmarks_by_place_count_the_sorted_source():
    """The reference paired an unsorted listing with places."""
    table = {f"{index:08d}": PLACES + index for index in range(5)}
    data = dataset(landmarks=table, augmentation=Mirror(0), degradation=UNTOUCHED)
    for index in range(5):
        sample = data[index]
        np.testing.assert_allclose(sample["mouth"].numpy(), to_boxes((PLACES + place_of(sample)) / 8)[2], atol=1e-4)


def test_a_face_without_landmarks_is_named():
    with pytest.raises(RecipeError, match="has neither face"):
        dataset(landmarks={"nobody": PLACES})[0]


def test_faces_are_mirrored_shifted_and_exposed_as_often_as_said():
    image, generator = (PHOTO / 255).astype(np.float32)[::8, ::8], np.random.default_rng(0)
    moved = [Translate(0.2, 5)(image, None, generator)[0] for _ in range(400)]
    assert np.mean([not np.array_equal(image, other) for other in moved]) == pytest.approx(0.2, abs=0.06)
    mirrored = [Mirror(0.5)(image, None, generator)[0] for _ in range(200)]
    assert np.mean([np.array_equal(image[:, ::-1], other) for other in mirrored]) == pytest.approx(0.5, abs=0.1)
    plain = ExtendedAugmentation(Mirror(0), translate=Translate(0))
    levels = [plain(image, None, generator)[0].mean() / image.mean() for _ in range(200)]
    assert 0.69 < min(levels) < 0.75
    assert 1.0 < max(levels) < 1.11


def test_options_none_of_which_can_be_left_out_by_mistake():
    data = dataset(degradation=FFHQDegradation(noise_range=None, jpeg_range=None))
    assert data[0]["lq"].shape == (3, 64, 64)
