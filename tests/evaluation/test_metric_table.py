"""The table of metrics, means over images, and the cache of extracts."""

import math

import numpy as np

from metric_images import softened, texture
from revisage.evaluation.evaluator import Evaluator
from revisage.evaluation.metrics import SPECS, Sources, lru_cache, mean_metrics


class TestTable:
    def test_each_metric_is_there_once(self):
        names = [spec.name for spec in SPECS]
        assert len(names) == len(set(names))

    def test_needs_are_sources(self):
        assert {name for spec in SPECS for name in spec.needs} <= set(Sources.__slots__)

    def test_better_is_the_way_from_a_worse_image_to_a_better_one(self, aligned_pair):
        gt, soft = aligned_pair
        evaluator = Evaluator(Sources(), ["psnr", "ssim", "psnr_y", "ssim_y"])
        better, worse = evaluator.compare([soft, softened(softened(soft))], [gt, gt])
        for metric in evaluator.metrics:
            assert (better[metric.name] > worse[metric.name]) == (metric.better == "higher")


class TestCache:
    def test_equal_images_are_one(self):
        calls = []
        cached = lru_cache(lambda images: calls.append(len(images)) or [image.sum() for image in images], size=2)
        image = texture(0, 16, 16)
        assert cached([image, image.copy()]) == cached([image.copy()]) * 2 == [image.sum()] * 2
        assert calls == [1]

    def test_images_of_the_same_bytes_in_another_shape_are_two(self):
        cached = lru_cache(lambda images: [image.shape for image in images], size=2)
        flat = np.zeros((4, 16, 3), np.uint8)
        assert cached([flat]) != cached([flat.reshape(16, 4, 3)])

    def test_the_longest_unused_goes_first(self):
        calls = []
        cached = lru_cache(lambda images: calls.extend(int(image[0, 0, 0]) for image in images) or images, size=2)
        for value in (1, 2, 1, 3, 1, 2):
            cached([np.full((1, 1, 3), value, np.uint8)])
        assert calls == [1, 2, 3, 2]

    def test_more_images_than_it_keeps_are_fine(self):
        cached = lru_cache(lambda images: [int(image[0, 0, 0]) for image in images], size=2)
        assert cached([np.full((1, 1, 3), value, np.uint8) for value in range(5)]) == [0, 1, 2, 3, 4]


class TestMeans:
    def test_undefined_values_are_left_out_and_counted(self):
        rows = [{"psnr": 20.0, "x": math.nan}, {"psnr": math.inf, "x": 2.0}, {"psnr": 30.0, "x": 4.0}]
        assert mean_metrics(rows) == ({"psnr": 25.0, "x": 3.0}, {"psnr": 1, "x": 1})

    def test_nothing_defined_is_nan(self):
        mean, undefined = mean_metrics([{"x": math.nan}])
        assert math.isnan(mean["x"])
        assert undefined == {"x": 1}

    def test_no_rows_have_no_means(self):
        assert mean_metrics([]) == ({}, {})
