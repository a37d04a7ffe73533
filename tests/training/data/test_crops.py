from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from revisage.errors import RecipeError
from revisage.training.data.datasets import CropPatches, shuffled_index
from revisage.training.data.degradations.recipes import Steps
from revisage.training.data.sources import read_crops


@pytest.fixture
def folder(tmp_path):
    generator = np.random.default_rng(0)
    for name, side in (("house_a", 64), ("house_b", 64), ("t2i_c", 32), ("other_d", 64)):
        small = generator.integers(0, 256, (8, 8, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{name}.png"), cv2.resize(small, (side, side)))
    return tmp_path


def patches(folder, patch=32, seed=5, **more):
    crops = read_crops([folder], ["house_", "t2i_"])
    return CropPatches(crops, size=64, patch=patch, degradation=Steps(), seed=seed, **more)


def test_only_the_asked_for_sources_are_read(folder):
    assert [crop.key for crop in read_crops([folder], ["house_", "t2i_"])] == ["house_a", "house_b", "t2i_c"]


def test_crops_are_rgb(folder):
    cv2.imwrite(str(folder / "red.png"), np.full((8, 8, 3), (0, 0, 255), np.uint8))
    assert read_crops([folder], ["red"])[0].pixels[0, 0].tolist() == [255, 0, 0]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(RecipeError, match="nowhere"):
        read_crops([tmp_path / "nowhere"])


def test_an_image_that_is_not_square_is_named(folder):
    cv2.imwrite(str(folder / "house_wide.png"), np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(RecipeError, match=r"house_wide\.png is not square"):
        read_crops([folder])


def test_an_epoch_meets_every_crop_once():
    for epoch in range(3):
        assert sorted(shuffled_index(epoch * 10 + i, 10, seed=1) for i in range(10)) == list(range(10))


def test_epochs_have_different_orders():
    assert [shuffled_index(i, 50, 1) for i in range(50)] != [shuffled_index(50 + i, 50, 1) for i in range(50)]


def test_a_sample_depends_on_seed_and_index_alone(folder):
    first, second = patches(folder), patches(folder)
    for index in (8, 3, 5):
        second[index]
    assert torch.equal(first[3]["lq"], second[3]["lq"])
    assert not torch.equal(patches(folder, seed=6)[3]["lq"], first[3]["lq"])


@pytest.mark.parametrize("workers", [0, 2])
def test_the_number_of_workers_does_not_change_the_samples(folder, workers):
    data = patches(folder)
    loader = DataLoader(data, 2, sampler=range(4, 10), num_workers=workers)
    assert torch.equal(next(iter(loader))["lq"], torch.stack([data[4]["lq"], data[5]["lq"]]))


def test_samples_are_tensors_between_minus_one_and_one(folder):
    sample = patches(folder)[0]
    assert sample["lq"].shape == sample["gt"].shape == (3, 32, 32)
    assert sample["gt"].min() >= -1
    assert sample["gt"].max() <= 1


def test_small_crops_are_enlarged_and_marked(folder):
    details = {float(patches(folder)[i]["detail"]) for i in range(12)}
    assert details == {0.0, 1.0}


def test_a_whole_face_can_be_a_patch(folder):
    assert patches(folder, patch=64)[0]["gt"].shape == (3, 64, 64)


@pytest.mark.parametrize("p_face_patch", [0.0, 1.0])
def test_the_whole_degraded_face_can_go_with_a_patch_of_the_original(folder, p_face_patch):
    part, whole = (patches(folder, p_face_patch=p_face_patch, whole=asked) for asked in (False, True))
    for index in range(9):
        assert whole[index]["lq"].shape == (3, 64, 64)
        assert torch.equal(whole[index]["corner"], part[index]["corner"])
        if whole[index]["detail"]:  # the others are enlarged as a whole or in part
            assert torch.equal(whole[index]["gt"], part[index]["gt"])


def test_a_sample_can_be_degraded_at_a_larger_size_and_averaged(folder):
    fine, halved = patches(folder, 64), patches(folder, 32, oversample=2)
    halved = replace(halved, size=32)  # the whole face at half its size
    for index in range(6):
        for key in ("lq", "gt"):
            averaged = torch.nn.functional.avg_pool2d(fine[index][key], 2)
            torch.testing.assert_close(halved[index][key], averaged, rtol=0, atol=1e-5)
