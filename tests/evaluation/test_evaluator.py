"""Rows of metrics from pairs: batches, errors, restorers that are plain functions."""

import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from metric_images import softened, texture
from revisage.errors import InputError, MissingWeightsError
from revisage.evaluation import evaluator as module
from revisage.evaluation.evaluator import Evaluator
from revisage.evaluation.metrics import MetricSpec, Sources
from revisage.evaluation.metrics.image import psnr, ssim
from revisage.evaluation.metrics.niqe import NaturalModel, niqe, read_model, write_model
from revisage.evaluation.pairs import Pair, read_sample
from revisage.images import write_image


@pytest.fixture
def niqe_file(tmp_path):
    window = np.full((7, 7), 1 / 49)
    write_model(tmp_path / "niqe.npz", NaturalModel(np.zeros(36), np.eye(36), window))
    return tmp_path / "niqe.npz"


def brightest(image):
    """A finder of landmarks; none in the dark."""
    row, column = np.unravel_index(int(image.sum(axis=2).argmax()), image.shape[:2])
    return np.array([[column, row]], float) if image.max() > 0 else None


def compare(evaluator, image, gt):
    (found,) = evaluator.compare([image], [gt])
    return found


class TestCompare:
    def test_metrics_are_those_of_the_functions(self, niqe_file):
        gt = texture(0, 192, 192)
        restored = softened(gt)
        found = compare(Evaluator(Sources(niqe=niqe_file)), restored, gt)
        assert list(found) == ["psnr", "ssim", "psnr_y", "ssim_y", "niqe"]
        assert found["psnr"] == psnr(restored, gt)
        assert found["ssim_y"] == ssim(restored, gt, luma=True)
        assert found["niqe"] == niqe(restored, read_model(niqe_file))

    def test_metrics_of_networks_are_those_of_the_functions(
        self, aligned_pair, references, caffe_file, channel_weights_file, descriptor_file, arcface_file
    ):
        gt, restored = aligned_pair
        sources = Sources(
            features=caffe_file,
            channel_weights=channel_weights_file,
            descriptor=descriptor_file,
            arcface=arcface_file,
        )
        evaluator = Evaluator(sources, ["lpips", "vgg_cosine", "id_l2", "id_cos", "arcface_angle"])
        found, equal = evaluator.compare([restored, gt], [gt, gt])
        assert found["vgg_cosine"] == pytest.approx(references["vgg_cosine"], abs=1e-6)
        assert found["id_l2"] == pytest.approx(references["id_l2"], rel=0.01)
        assert found["lpips"] > 0
        assert found["arcface_angle"] > 0
        assert equal == pytest.approx(dict.fromkeys(found, 0), abs=1e-3)

    def test_metrics_without_a_source_are_left_out_with_what_they_need(self):
        assert Evaluator(Sources()).left_out == {
            "lpips": ("features", "channel_weights"),
            "vgg_cosine": ("features",),
            "id_cos": ("descriptor",),
            "id_l2": ("descriptor",),
            "arcface_angle": ("arcface",),
            "niqe": ("niqe",),
            "landmark_error_px": ("landmarks",),
        }

    def test_only_what_is_asked_for(self, aligned_pair):
        evaluator = Evaluator(Sources(), ["ssim"])
        assert [metric.name for metric in evaluator.metrics] == ["ssim"]
        assert list(compare(evaluator, *aligned_pair)) == ["ssim"]
        assert not evaluator.left_out

    def test_an_unknown_metric_is_refused_with_the_known_ones(self):
        with pytest.raises(InputError, match=r"'pnsr'.*are psnr, ssim"):
            Evaluator(Sources(), ["pnsr"])

    def test_asking_for_a_metric_without_its_source_is_an_error(self):
        with pytest.raises(InputError, match="niqe needs a file"):
            Evaluator(Sources(), ["niqe"])

    def test_a_missing_file_is_reported_at_once(self, tmp_path):
        with pytest.raises(MissingWeightsError, match="gone"):
            Evaluator(Sources(features=tmp_path / "gone.npz"))

    def test_images_of_two_sizes_are_refused(self, aligned_pair):
        with pytest.raises(InputError, match="one shape"):
            compare(Evaluator(Sources()), aligned_pair[0], aligned_pair[1][1:])

    def test_landmarks_of_an_image_are_found_once(self, aligned_pair):
        calls = []

        def find(image):
            calls.append(image)
            return brightest(image)

        gt, restored = aligned_pair
        evaluator = Evaluator(Sources(landmarks=find), ["landmark_error_px"])
        assert compare(evaluator, gt.copy(), gt) == {"landmark_error_px": 0}
        compare(evaluator, restored, gt.copy())
        assert len(calls) == 2
        assert math.isnan(compare(evaluator, np.zeros_like(gt), gt)["landmark_error_px"])

    def test_landmark_errors_are_in_pixels_at_512(self):
        gt, moved = np.zeros((128, 128, 3), np.uint8), np.zeros((128, 128, 3), np.uint8)
        gt[10, 10] = moved[10, 13] = 255
        assert compare(Evaluator(Sources(landmarks=brightest), ["landmark_error_px"]), moved, gt) == {
            "landmark_error_px": 12
        }

    def test_threads_may_share_one(self):
        pairs = [(softened(image), image) for image in (texture(seed, 64, 64) for seed in range(4))]
        evaluator = Evaluator(Sources(landmarks=brightest))
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda pair: compare(evaluator, *pair), pairs * 4))
        assert together == [compare(Evaluator(Sources(landmarks=brightest)), *pair) for pair in pairs] * 4

    def test_another_process_gets_an_equal_one(self, niqe_file):
        gt = texture(0, 192, 192)
        evaluator = Evaluator(Sources(niqe=niqe_file, landmarks=brightest), ["niqe", "landmark_error_px"])
        again = pickle.loads(pickle.dumps(evaluator))
        assert compare(again, softened(gt), gt) == compare(evaluator, softened(gt), gt)


def image(value, size=16):
    return np.full((size, size, 3), value, np.uint8)


@pytest.fixture
def pair(tmp_path):
    write_image(tmp_path / "gt.png", image(100))
    write_image(tmp_path / "lq.png", image(80, size=4))
    return Pair("mild", "face", tmp_path / "gt.png", tmp_path / "lq.png")


@pytest.fixture
def difference(monkeypatch):
    """An evaluator of one metric; ``calls`` are the sizes of the batches that it has looked at."""

    def extractor(*_):
        return lambda images: difference.calls.append(len(images)) or images

    def compare(restored, gt):
        if restored.min() == 0:
            raise ValueError("too dark")
        return float(np.abs(restored.astype(int) - gt).mean())

    monkeypatch.setattr(module, "SPECS", (MetricSpec("difference", "lower", "", (), extractor, compare),))

    def difference(pairs, restore=None, inputs=None, batch=4):
        difference.calls = []
        samples = [read_sample(pair) for pair in pairs]
        return list(Evaluator(Sources(), batch=batch).evaluate(samples, restore, inputs))

    return difference


def brighten(images):
    return [image(int(lq[0, 0, 0]) + 15) for lq in images]


class TestEvaluate:
    def test_the_input_is_evaluated_beside_its_restoration(self, pair, difference):
        (row,) = difference([pair], brighten)
        assert (row.input, row.restored) == ({"difference": 20}, {"difference": 5})
        assert [shown.shape for shown in row.images] == [(16, 16, 3)] * 3

    def test_restorations_of_another_tool_are_read(self, pair, difference, tmp_path):
        write_image(tmp_path / "restored.png", image(93))
        rows = difference([replace(pair, restored=tmp_path / "restored.png"), pair], brighten)
        assert [row.restored for row in rows] == [{"difference": 7}, {"difference": 5}]

    def test_without_a_degraded_image_only_the_restoration_is_evaluated(self, pair, difference):
        (row,) = difference([replace(pair, lq=None, restored=pair.gt)])
        assert (row.input, row.restored, row.images[0]) == (None, {"difference": 0}, None)

    def test_sixteen_bits_are_compared_as_eight(self, pair, difference, tmp_path):
        write_image(tmp_path / "gt.png", image(100).astype(np.uint16) * 257)
        (row,) = difference([pair], lambda _: [image(100)])
        assert row.restored == {"difference": 0}

    def test_a_restoration_of_another_size_is_named_with_both(self, pair, difference):
        with pytest.raises(InputError, match=r"gt\.png: the restoration has 8 x 8 pixels, the original 16 x 16"):
            difference([pair], lambda _: [image(1, size=8)])

    def test_a_metric_that_is_undefined_for_an_image_names_it(self, pair, difference):
        with pytest.raises(InputError, match=r"gt\.png: too dark"):
            difference([pair], lambda _: [image(0)])

    def test_a_pair_with_nothing_to_compare_is_refused(self, pair, difference):
        with pytest.raises(InputError, match=r"gt\.png has neither"):
            difference([pair])

    @pytest.mark.parametrize("batch", [1, 2, 8])
    def test_batches_give_the_same_rows_in_order(self, pair, difference, tmp_path, batch):
        pairs = []
        for value in range(5):
            write_image(tmp_path / f"{value}.png", image(100 + value, size=16 if value < 3 else 20))
            pairs.append(
                replace(pair, name=str(value), gt=tmp_path / f"{value}.png", restored=tmp_path / f"{value}.png")
            )
        rows = difference(pairs, batch=batch)
        assert [(row.pair.name, row.input["difference"]) for row in rows] == [(str(n), 20 + n) for n in range(5)]
        assert max(difference.calls) == 2 * min(batch, 3)  # inputs and restorations; sizes are not mixed

    def test_known_inputs_are_not_compared_again(self, pair, difference):
        known = {}
        first = difference([pair], brighten, known)
        assert known == {("mild", "face"): {"difference": 20}}
        again = difference([pair], brighten, known)
        assert difference.calls == [1, 1]  # the original and the restoration
        assert again[0].input == first[0].input
