"""Trainings on degraded and original faces that are there already."""

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from revisage.errors import RecipeError
from revisage.training.data.crops import read_crop
from revisage.training.data.datasets import to_chw_tensor
from revisage.training.data.pairs import PairsSource
from revisage.training.data.sources import write_lmdb
from revisage.training.loop import train
from revisage.training.recipe import Recipe, read_recipe
from revisage.training.tasks.restorer import RestorerConfig
from revisage.training.tasks.samples import DegradedFacesConfig

NETWORK = {"type": "RestorationUNet", "widths": [8, 8], "blocks": [1, 1]}
NAMES = ("00000/00000", "00000/00001", "01000/01000")


@pytest.fixture
def folders(tmp_path):
    """Originals of 64 pixels, degraded faces of 16 pixels in other formats, nested as in FFHQ."""
    generator = np.random.default_rng(0)
    for index, name in enumerate(NAMES):
        gt = cv2.resize(generator.integers(0, 256, (8, 8, 3), np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC)
        for folder, image, suffix in (
            ("gt", gt, "png"),
            ("lq", cv2.resize(gt, (16, 16)), ("bmp", "jpg", "tif")[index]),
        ):
            path = tmp_path / folder / f"{name}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), image)
    return tmp_path


def places(folders):
    return {"gt": str(folders / "gt"), "lq": str(folders / "lq")}


def write_list(folders, lines, name="pairs.csv"):
    (folders / name).write_text("\n".join(lines) + "\n")
    return folders / name


def restorer(folders, pairs, **settings):
    settings = {"kind": "restorer", "pairs": pairs, "size": 64, "patch": 32, "network": NETWORK} | settings
    return RestorerConfig.model_validate(settings)


def test_partners_in_nested_folders_have_one_name(folders):
    source = PairsSource.model_validate(places(folders)).open()
    assert list(source.names) == list(NAMES)
    for index, name in enumerate(NAMES):
        assert source[index].key == name.rpartition("/")[2]
        assert source[index].lq.shape == source[index].pixels.shape == (64, 64, 3)
        assert np.abs(source[index].lq.astype(int) - source[index].pixels).mean() < 30


def test_a_list_pairs_files_of_any_name_and_one_original_with_several(folders):
    lines = ["lq, gt", *(f"lq/{NAMES[k]}.{s}, gt/{NAMES[0]}.png" for k, s in enumerate(("bmp", "jpg", "tif")))]
    source = PairsSource.model_validate(str(write_list(folders, lines))).open()
    assert [source[index].key for index in range(3)] == ["00000"] * 3
    small = [read_crop(folders / "lq" / f"{NAMES[k]}.{s}").pixels for k, s in enumerate(("bmp", "jpg", "tif"))]
    for index in range(3):
        nearest = [np.abs(cv2.resize(one, (64, 64)).astype(int) - source[index].lq).mean() for one in small]
        assert int(np.argmin(nearest)) == index


def test_an_lmdb_can_be_the_partner_of_a_folder(folders):
    write_lmdb(folders / "lq.lmdb", [read_crop(path) for path in sorted((folders / "lq" / "00000").iterdir())])
    pairs = {"gt": str(folders / "gt" / "00000"), "lq": str(folders / "lq.lmdb")}
    source = PairsSource.model_validate(pairs).open()
    assert [source[index].key for index in range(2)] == ["00000", "00001"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "lq" / "00000" / "00001.jpg").unlink(), "1 of 3 originals have no partner in .*: 00000/00001"),
        (lambda f: (f / "gt" / "01000" / "01000.png").unlink(), "1 images of .* have no original: 01000/01000"),
    ],
)
def test_a_face_without_partner_is_named_before_the_first_step(folders, change, message):
    change(folders)
    with pytest.raises(RecipeError, match=message):
        restorer(folders, places(folders)).build(seed=0)


def test_names_that_repeat_find_partners_in_the_same_order_or_are_named(tmp_path):
    for value, folder in enumerate(("gt/a", "lq/a", "gt/b", "lq/b")):
        (tmp_path / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / folder / "x.png"), np.full((8, 8, 3), 50 * (value // 2), np.uint8))
    pairs = {side: [str(tmp_path / side / name) for name in "ab"] for side in ("gt", "lq")}
    source = PairsSource.model_validate(pairs).open()
    assert [int(source[index].pixels.max()) for index in range(2)] == [0, 50]
    assert [int(source[index].lq.max()) for index in range(2)] == [0, 50]
    cv2.imwrite(str(tmp_path / "lq" / "b" / "x.jpg"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(RecipeError, match="pairs: x is the name of 2 originals and of 3 images of "):
        PairsSource.model_validate(pairs).open()
    with pytest.raises(RecipeError, match="pairs: x is the name of 1 originals and of 2 images of "):
        PairsSource(gt=pairs["gt"][1], lq=pairs["lq"][1]).open()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a.png,b.png"], "is no list of pairs: a first line gt,lq"),
        (["gt,lq"], "lists no pairs"),
        (["gt,lq", "gt/00000/00000.png"], "is no list of pairs"),
        (["gt,lq", "gt/00000/00000.png,none.png", "no.png,none.png"], "lists 3 files that are not there: .*none.png"),
    ],
)
def test_a_list_that_is_none_is_named_before_the_first_step(folders, lines, message):
    with pytest.raises(RecipeError, match=message):
        restorer(folders, str(write_list(folders, lines))).build(seed=0)


@pytest.mark.parametrize("pairs", [{"gt": "a"}, {}, {"gt": "a", "lq": "b", "file": "c"}])
def test_pairs_are_two_folders_or_a_list(folders, pairs):
    with pytest.raises(ValidationError, match="give gt and lq, or the path of a list"):
        restorer(folders, pairs)


def test_a_missing_folder_of_pairs_is_among_the_missing_files(folders):
    recipe = {"name": "own", "task": restorer(folders, {"gt": "none/gt", "lq": "none/lq"}), "training": {"images": 4}}
    with pytest.raises(RecipeError, match=r"task\.pairs\.gt: none/gt; task\.pairs\.lq: none/lq"):
        Recipe.model_validate(recipe).build()


@pytest.mark.parametrize("patch", [32, 64])
def test_patches_of_both_show_the_same_place(folders, patch):
    settings = {"gt": str(folders / "gt"), "lq": str(folders / "gt")}
    dataset = restorer(folders, settings, patch=patch).build(seed=0).dataset
    for index in range(8):
        sample = dataset[index]
        assert sample["lq"].shape == (3, patch, patch)
        assert torch.equal(sample["lq"], sample["gt"])


def test_whole_faces_of_both_are_mirrored_and_shifted_alike(folders):
    pairs = {"gt": str(folders / "gt"), "lq": str(folders / "gt")}
    config = DegradedFacesConfig.model_validate({"pairs": pairs, "augmentation": {"translate": {"probability": 1}}})
    dataset = config.build(64, seed=0)
    for index in range(8):
        torch.testing.assert_close(dataset[index]["lq"], dataset[index]["gt"], rtol=0, atol=1.01 / 255)
    still = {index: to_chw_tensor(dataset.source[index].pixels / np.float32(255)) for index in range(3)}
    assert not any(torch.equal(dataset[index]["gt"], image) for index in range(8) for image in still.values())


def test_a_degradation_makes_the_degraded_image_worse_and_leaves_the_original(folders):
    plain = restorer(folders, places(folders), patch=64).build(seed=0).dataset
    noise = [[{"step": "noise", "sigma": [20, 20]}]]
    worse = restorer(folders, places(folders), patch=64, degradation=noise).build(seed=0).dataset
    for index in range(3):
        assert torch.equal(plain[index]["gt"], worse[index]["gt"])
        gap = (plain[index]["lq"] - worse[index]["lq"]).std() * 127.5
        assert 10 < gap < 25


def test_what_a_degradation_does_to_originals_is_done_to_those_of_pairs(folders):
    gray = [{"degradation": "steps", "steps": [], "gray": 1.0}]
    sample = restorer(folders, places(folders), degradation=gray).build(seed=0).dataset[0]
    for image in (sample["lq"], sample["gt"]):
        torch.testing.assert_close(image[0], image[2], rtol=0, atol=0.01)


def test_a_recipe_trains_on_pairs_and_a_dry_run_shows_that_nothing_is_degraded(folders, tmp_path):
    path = tmp_path / "own.yml"
    path.write_text(
        "name: own\n"
        "task:\n"
        "  kind: restorer\n"
        f"  pairs: {{gt: {folders}/gt, lq: {folders}/lq}}\n"
        "  size: 64\n"
        "  network: {type: RestorationUNet, widths: [8, 8], blocks: [1, 1]}\n"
        "training: {images: 8, batch: 4, workers: 0}\n"
    )
    recipe = read_recipe(path)
    assert recipe.task.model_dump(mode="json")["degradation"][0]["steps"] == []
    assert train(recipe, tmp_path / "run").exists()
