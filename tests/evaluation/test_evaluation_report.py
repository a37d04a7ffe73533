"""Means, tables and image grids from rows."""

import csv
import json
import math

import numpy as np
import pytest
import torch
from golden_weights import golden_state

from revisage.evaluation.evaluator import Row
from revisage.evaluation.metrics.fid import Statistics
from revisage.evaluation.pairs import Pair
from revisage.evaluation.report import Report, fid_measure
from revisage.images import read_image, write_image
from revisage.models.nets.inception import InceptionV3


def row(name, psnr, set_="mild", side=16, niqe=1.0, before=True):
    rng = np.random.default_rng(len(name))
    images = [rng.integers(0, 256, (side, side, 3), np.uint8) for _ in range(3)]
    metrics = {"psnr": psnr, "niqe": niqe}
    lq = {"psnr": psnr - 5, "niqe": niqe} if before else None
    return Row(Pair(set_, name, name), metrics, lq, (images[0] if before else None, *images[1:]))


def filled(*rows, **arguments):
    report = Report(**arguments)
    for one in rows:
        report.add(one)
    return report


def test_means_are_those_of_each_set_and_version():
    report = filled(row("a", 20.0), row("b", 30.0), row("a", 10.0, set_="severe"))
    assert report.means() == {
        "mild": {"input": {"psnr": 20, "niqe": 1}, "restored": {"psnr": 25, "niqe": 1}},
        "severe": {"input": {"psnr": 5, "niqe": 1}, "restored": {"psnr": 10, "niqe": 1}},
    }


def test_json_holds_every_image_and_what_metrics_mean(tmp_path):
    filled(row("a", 20.0), row("b", math.inf, niqe=math.nan)).write(tmp_path, model="mine")
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content["model"] == "mine"
    assert content["metrics"]["psnr"]["better"] == "higher"
    mild = content["sets"]["mild"]
    assert mild["images"]["restored"] == {"a": {"psnr": 20, "niqe": 1}, "b": {"psnr": None, "niqe": None}}
    assert mild["mean"]["restored"] == {"psnr": 20, "niqe": 1}
    assert mild["undefined"]["restored"] == {"psnr": 1, "niqe": 1}


def test_csv_has_a_line_for_each_image_and_the_mean(tmp_path):
    filled(row("a", 20.0), row("ü,b", 30.0, niqe=math.nan)).write(tmp_path)
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["set", "image", "version", "psnr", "niqe"]
    assert lines[4:] == [
        ["mild", "a", "restored", "20", "1"],
        ["mild", "ü,b", "restored", "30", ""],
        ["mild", "mean", "restored", "25", "1"],
    ]


def test_grids_show_the_first_faces_of_each_set(tmp_path):
    rows = [row(name, 20.0) for name in "abc"], [row("a", 20.0, set_="other", side=8, before=False)]
    filled(*rows[0], *rows[1], samples=2).write(tmp_path)
    assert read_image(tmp_path / "grids" / "mild.jpg").shape == (32, 48, 3)
    assert read_image(tmp_path / "grids" / "other.jpg").shape == (8, 16, 3)


def test_a_face_of_another_size_is_not_on_the_grid(tmp_path):
    filled(row("a", 20.0), row("b", 20.0, side=32), row("c", 20.0)).write(tmp_path)
    assert read_image(tmp_path / "grids" / "mild.jpg").shape == (32, 48, 3)


class TestFrechetDistance:
    def colors(self, images):
        return [image.mean(axis=(0, 1)) for image in images]

    def test_originals_are_the_reference_unless_another_is_given(self):
        rows = [row(name, 20.0) for name in ("a", "bb", "ccc")]
        same = [Row(one.pair, one.restored, one.input, (one.images[0], one.images[2], one.images[2])) for one in rows]
        found = filled(*same, embed=self.colors).means()["mild"]
        assert found["restored"]["fid"] == pytest.approx(0, abs=1e-9)
        assert found["input"]["fid"] > 0
        far = Statistics(np.array([1000.0, 0, 0]), np.eye(3))
        assert filled(*same, embed=self.colors, reference=far).means()["mild"]["restored"]["fid"] > 500_000

    def test_one_image_has_none(self):
        assert math.isnan(filled(row("a", 20.0), embed=self.colors).means()["mild"]["restored"]["fid"])

    def test_without_features_there_is_no_such_metric(self):
        assert "fid" not in filled(row("a", 20.0)).means()["mild"]["restored"]


class TestFidMeasure:
    def test_without_the_network_there_is_none(self):
        assert fid_measure(None, None) == (None, None)

    def test_the_reference_is_a_folder_or_a_file(self, tmp_path):
        with torch.device("meta"):
            shapes = InceptionV3().state_dict()
        # Copies of the published file exist without the counters of batches.
        state = {key: value.half() for key, value in golden_state(shapes).items() if "num_batches" not in key}
        torch.save(state, tmp_path / "inception.pth")
        for seed in range(2):
            noise = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
            write_image(tmp_path / "good" / f"{seed}.png", noise)
        embed, reference = fid_measure(tmp_path / "inception.pth", tmp_path / "good")
        features = [embed([read_image(path)])[0] for path in sorted((tmp_path / "good").iterdir())]
        np.testing.assert_allclose(reference.mean, np.mean(features, axis=0), atol=1e-6)
        small = Statistics(np.zeros(3), np.eye(3))
        np.savez(tmp_path / "own.npz", mu=small.mean, sigma=small.covariance)
        assert fid_measure(tmp_path / "inception.pth", tmp_path / "own.npz")[1].mean.tolist() == [0, 0, 0]
