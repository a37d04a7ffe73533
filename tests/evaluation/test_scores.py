"""The table of figures and the scorer that takes them."""

import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from metric_pictures import softened, texture

from revisage.errors import InputError, MissingWeightsError
from revisage.evaluation.metrics.image import psnr, ssim
from revisage.evaluation.metrics.niqe import NaturalModel, niqe, read_model, write_model
from revisage.evaluation.metrics.scores import MEASUREMENTS, METRICS, Remembered, Scorer, Sources, means


@pytest.fixture
def niqe_file(tmp_path):
    window = np.full((7, 7), 1 / 49)
    write_model(tmp_path / "niqe.npz", NaturalModel(np.zeros(36), np.eye(36), window))
    return tmp_path / "niqe.npz"


def brightest(picture):
    """A finder of landmarks; none in the dark."""
    row, column = np.unravel_index(int(picture.sum(axis=2).argmax()), picture.shape[:2])
    return np.array([[column, row]], float) if picture.max() > 0 else None


class TestScorer:
    def test_figures_are_those_of_the_functions(self, niqe_file):
        gt = texture(0, 192, 192)
        restored = softened(gt)
        found = Scorer(Sources(niqe=niqe_file))(restored, gt)
        assert list(found) == ["psnr", "ssim", "psnr_y", "ssim_y", "niqe"]
        assert found["psnr"] == psnr(restored, gt)
        assert found["ssim_y"] == ssim(restored, gt, luma=True)
        assert found["niqe"] == niqe(restored, read_model(niqe_file))

    def test_figures_of_networks_are_those_of_the_functions(
        self, aligned_pair, references, caffe_file, channel_weights_file, descriptor_file, arcface_file
    ):
        gt, restored = aligned_pair
        sources = Sources(
            features=caffe_file,
            channel_weights=channel_weights_file,
            descriptor=descriptor_file,
            arcface=arcface_file,
        )
        scorer = Scorer(sources, ["lpips", "lpips_equal", "id_l2", "id_cos", "deg"])
        found = scorer(restored, gt)
        assert found["lpips_equal"] == pytest.approx(references["lpips_equal"], abs=1e-6)
        assert found["id_l2"] == pytest.approx(references["id_l2"], rel=0.01)
        assert found["lpips"] > 0
        assert found["deg"] > 0
        assert scorer(gt, gt) == pytest.approx(dict.fromkeys(found, 0), abs=1e-3)

    def test_figures_without_a_source_are_left_out_with_what_they_need(self):
        assert Scorer(Sources()).left_out == {
            "lpips": ("features", "channel_weights"),
            "lpips_equal": ("features",),
            "id_cos": ("descriptor",),
            "id_l2": ("descriptor",),
            "deg": ("arcface",),
            "niqe": ("niqe",),
            "lmd": ("landmarks",),
        }

    def test_only_what_is_asked_for(self, aligned_pair):
        scorer = Scorer(Sources(), ["ssim"])
        assert [metric.name for metric in scorer.metrics] == ["ssim"]
        assert list(scorer(*aligned_pair)) == ["ssim"]
        assert not scorer.left_out

    def test_an_unknown_figure_is_refused_with_the_known_ones(self):
        with pytest.raises(InputError, match=r"'pnsr'.*are psnr, ssim"):
            Scorer(Sources(), ["pnsr"])

    def test_asking_for_a_figure_without_its_source_is_an_error(self):
        with pytest.raises(InputError, match="niqe needs a file"):
            Scorer(Sources(), ["niqe"])

    def test_a_missing_file_comes_to_light_at_once(self, tmp_path):
        with pytest.raises(MissingWeightsError, match="gone"):
            Scorer(Sources(features=tmp_path / "gone.npz"))

    def test_pictures_of_two_sizes_are_refused(self, aligned_pair):
        with pytest.raises(InputError, match="one shape"):
            Scorer(Sources())(aligned_pair[0], aligned_pair[1][1:])

    def test_landmarks_of_the_original_are_found_once(self, aligned_pair):
        calls = []

        def find(picture):
            calls.append(picture)
            return brightest(picture)

        gt, restored = aligned_pair
        scorer = Scorer(Sources(landmarks=find), ["lmd"])
        assert scorer(gt.copy(), gt) == {"lmd": 0}
        scorer(restored, gt.copy())
        assert len(calls) == 3
        assert math.isnan(scorer(np.zeros_like(gt), gt)["lmd"])

    def test_threads_may_share_one(self):
        pairs = [(softened(picture), picture) for picture in (texture(seed, 64, 64) for seed in range(4))]
        scorer = Scorer(Sources(landmarks=brightest))
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda pair: scorer(*pair), pairs * 4))
        assert together == [Scorer(Sources(landmarks=brightest))(*pair) for pair in pairs] * 4

    def test_another_process_gets_an_equal_one(self, niqe_file):
        gt = texture(0, 192, 192)
        scorer = Scorer(Sources(niqe=niqe_file, landmarks=brightest), ["niqe", "lmd"])
        assert pickle.loads(pickle.dumps(scorer))(softened(gt), gt) == scorer(softened(gt), gt)


class TestTable:
    def test_each_figure_is_there_once(self):
        names = [metric.name for measurement in MEASUREMENTS for metric in measurement.metrics]
        assert sorted([*names, "fid"]) == sorted(METRICS)

    def test_needs_are_sources(self):
        assert {name for measurement in MEASUREMENTS for name in measurement.needs} <= set(Sources.__slots__)

    def test_better_is_the_way_from_a_worse_picture_to_a_better_one(self, aligned_pair):
        gt, soft = aligned_pair
        scorer = Scorer(Sources(), ["psnr", "ssim", "psnr_y", "ssim_y"])
        better, worse = scorer(soft, gt), scorer(softened(softened(soft)), gt)
        for metric in scorer.metrics:
            assert (better[metric.name] > worse[metric.name]) == (metric.better == "higher")


class TestRemembered:
    def test_equal_pictures_are_one(self):
        calls = []
        remembered = Remembered(lambda picture: calls.append(1) or picture.sum(), size=2)
        picture = texture(0, 16, 16)
        assert remembered(picture) == remembered(picture.copy()) == picture.sum()
        assert len(calls) == 1

    def test_pictures_of_the_same_bytes_in_another_shape_are_two(self):
        remembered = Remembered(lambda picture: picture.shape, size=2)
        flat = np.zeros((4, 16, 3), np.uint8)
        assert remembered(flat) != remembered(flat.reshape(16, 4, 3))

    def test_the_longest_unused_goes_first(self):
        calls = []
        remembered = Remembered(lambda picture: calls.append(int(picture[0, 0, 0])), size=2)
        for value in (1, 2, 1, 3, 1, 2):
            remembered(np.full((1, 1, 3), value, np.uint8))
        assert calls == [1, 2, 3, 2]


class TestMeans:
    def test_undefined_figures_are_left_out_and_counted(self):
        rows = [{"psnr": 20.0, "lmd": math.nan}, {"psnr": math.inf, "lmd": 2.0}, {"psnr": 30.0, "lmd": 4.0}]
        assert means(rows) == ({"psnr": 25.0, "lmd": 3.0}, {"psnr": 1, "lmd": 1})

    def test_nothing_defined_is_nan(self):
        mean, undefined = means([{"lmd": math.nan}])
        assert math.isnan(mean["lmd"])
        assert undefined == {"lmd": 1}

    def test_no_rows_have_no_means(self):
        assert means([]) == ({}, {})
