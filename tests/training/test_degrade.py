"""Pairs of degraded and original faces: names, sizes, randomness that depends on (seed, i) only, and the grid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from revisage.cli import app
from revisage.errors import ImageError, InputError
from revisage.evaluation.metrics.image import psnr
from revisage.images import read_image, write_image
from revisage.training.data.datasets import resize_crop
from revisage.training.degrade import CELL, SEVERITIES, STRIP, degrade_files, image_grid
from revisage.training.recipe import read_recipe

RECIPE = """
name: blackness
seed: 7
task:
  kind: restorer
  crops: [nowhere]
  size: 64
  patch: 64
  network: {type: RestorationUNet}
  degradation:
    - {degradation: steps, gray: 1, steps: [{step: blur, sigma: [6, 6]}, {step: jpeg, quality: [30, 30]}]}
training: {images: 1}
"""


@pytest.fixture
def crops(tmp_path):
    rng = np.random.default_rng(3)
    paths = [tmp_path / "crops" / f"{name}.png" for name in ("a", "b", "c")]
    for path in paths:
        smooth = rng.uniform(0, 255, (8, 8, 3)).repeat(12, 0).repeat(12, 1)
        write_image(path, smooth.astype(np.uint8))
    return paths


def degrade(crops, output, severity="default", size=96, seed=0):
    return list(degrade_files(SEVERITIES[severity], crops, output, size=size, seed=seed))


def command(*arguments):
    return CliRunner().invoke(app, ["degrade", *map(str, arguments)])


def test_pairs_have_equal_stems_and_are_what_was_written(tmp_path, crops):
    pairs = degrade(crops, tmp_path / "out")
    assert [stem for stem, _, _ in pairs] == ["a", "b", "c"]
    for stem, lq, gt in pairs:
        assert np.array_equal(read_image(tmp_path / "out" / "lq" / f"{stem}.png"), lq)
        assert np.array_equal(read_image(tmp_path / "out" / "gt" / f"{stem}.png"), gt)
        assert np.array_equal(read_image(tmp_path / "crops" / f"{stem}.png"), gt)


def test_a_sample_depends_on_seed_and_place_only(tmp_path, crops):
    whole = degrade(crops, tmp_path / "whole")
    again = degrade([*crops[:2], crops[0].with_name("c.png")], tmp_path / "again")
    first = degrade(crops[:1], tmp_path / "first")
    other = degrade(crops, tmp_path / "other", seed=1)
    assert all(np.array_equal(one[1], two[1]) for one, two in zip(whole, again, strict=True))
    assert np.array_equal(whole[0][1], first[0][1])
    assert not np.array_equal(whole[0][1], other[0][1])


def test_every_sample_draws_anew(tmp_path, crops):
    crops[1].write_bytes(crops[0].read_bytes())
    one, two, _ = degrade(crops, tmp_path / "out")
    assert not np.array_equal(one[1], two[1])


def test_severities_differ_in_severity(tmp_path, crops):
    figures = [
        np.mean([psnr(lq, gt) for _, lq, gt in degrade(crops, tmp_path / name, name)])
        for name in ("mild", "medium", "severe")
    ]
    assert figures == sorted(figures, reverse=True)


def test_crops_of_other_sizes_are_resized(tmp_path, crops):
    ((_, lq, gt), *_) = degrade(crops, tmp_path / "out", size=64)
    assert lq.shape == gt.shape == (64, 64, 3)


@given(st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_resized_stays_within_range(before, after):
    crop = np.random.default_rng(before).integers(0, 2, (before, before, 3)).astype(np.float32)
    result = resize_crop(crop, after)
    assert result.shape == (after, after, 3)
    assert result.min() >= 0
    assert result.max() <= 1


def test_equal_names_are_refused_before_anything_is_written(tmp_path, crops):
    with pytest.raises(InputError, match="2 crops are called a"):
        degrade_files(SEVERITIES["mild"], [*crops, tmp_path / "A.jpg"], tmp_path / "out", size=8, seed=0)
    assert not (tmp_path / "out").exists()


def test_an_image_that_is_not_square_is_refused(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(InputError, match="not a square"):
        degrade([tmp_path / "a.png"], tmp_path / "out")


def test_a_damaged_image_is_an_image_error(tmp_path, crops):
    crops[1].write_bytes(crops[1].read_bytes()[:100])
    with pytest.raises(ImageError, match=r"b\.png"):
        degrade(crops, tmp_path / "out")


def test_grid_has_lq_above_gt(tmp_path):
    lq, gt = np.full((9, 9, 3), 50, np.uint8), np.full((9, 9, 3), 200, np.uint8)
    grid = image_grid([(f"face {number}", lq, gt) for number in range(11)])
    assert grid.shape == (2 * (2 * CELL + STRIP), 8 * CELL, 3)
    for row in range(2):
        cell = grid[row * (2 * CELL + STRIP) :][: 2 * CELL + STRIP, :CELL]
        assert (cell[:STRIP] == 0).any()  # a name
        assert (cell[STRIP : STRIP + CELL] == 50).all()
        assert (cell[STRIP + CELL :] == 200).all()


class TestCommand:
    def test_default(self, tmp_path, crops):
        done = command(crops[0].parent, "-o", tmp_path / "out", "--size", 32, "--samples", 2)
        assert done.exit_code == 0
        assert done.output.startswith("3 pairs in ")
        assert len(list((tmp_path / "out" / "lq").iterdir())) == 3
        assert read_image(tmp_path / "out" / "grid.png").shape[1] == 2 * CELL

    def test_recipe_gives_degradation_size_and_seed(self, tmp_path, crops):
        (tmp_path / "recipe.yml").write_text(RECIPE)
        done = command(crops[0].parent, "-o", tmp_path / "out", "--recipe", tmp_path / "recipe.yml")
        assert done.exit_code == 0, done.output
        lq = read_image(tmp_path / "out" / "lq" / "b.png")
        (degradation,) = read_recipe(tmp_path / "recipe.yml").task.degradation
        assert lq.shape == (64, 64, 3)
        assert (lq.max(axis=2).astype(int) - lq.min(axis=2) <= 1).all()  # gray: it is this recipe's degradation
        assert degradation.gray == 1

    def test_recipe_for_whole_faces(self, tmp_path, crops):
        whole = RECIPE.partition("  crops")[0] + "  size: 64\n  network: {type: RestorationUNet}\n"
        whole += "  data: {source: nowhere, degradation: {degradation: ffhq, gray_prob: 1, gt_gray: true}}\n"
        whole += "training: {images: 1}"
        (tmp_path / "recipe.yml").write_text(whole)
        done = command(crops[0].parent, "-o", tmp_path / "out", "--recipe", tmp_path / "recipe.yml")
        assert done.exit_code == 0, done.output
        gt = read_image(tmp_path / "out" / "gt" / "b.png")
        assert (gt == gt[:, :, :1]).all()

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--severity", "cruel"], "--severity takes"),
            (["--severity", "mild", "--recipe", "a.yml"], "not both"),
            (["--recipe", "none.yml"], "none.yml"),
            (["--recipe", "detector.yml"], "trains no restorer"),
        ],
    )
    @pytest.mark.usefixtures("crops")
    def test_a_wrong_call_is_an_input_error(self, tmp_path, monkeypatch, arguments, says):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "detector.yml").write_text(
            "name: d\ntask: {kind: detector, photos: a, crops: b, network_name: mobile0.25}\ntraining: {images: 1}"
        )
        done = command("crops", *arguments)
        assert isinstance(done.exception, InputError)
        assert says in str(done.exception)
        assert not (tmp_path / "degraded").exists()
