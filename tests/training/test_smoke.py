"""The recipe ``smoke`` from the first image to the last: restorations come nearer to the originals as it goes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from revisage.models.nets.vgg import VGG16Features
from revisage.training.loop import train
from revisage.training.recipe import read_recipe


def drawn_face(rng):
    """64 x 64: an oval with eyes, brows, nose, mouth and hair in random colours."""
    skin = rng.uniform((150, 100, 80), (240, 190, 170))
    face = np.full((256, 256, 3), rng.uniform(0, 255, 3), np.float32)
    cv2.ellipse(face, (128, 110), (95, 105), 0, 0, 360, rng.uniform(20, 120, 3).tolist(), -1, cv2.LINE_AA)
    cv2.ellipse(face, (128, 140), (75, 95), 0, 0, 360, skin.tolist(), -1, cv2.LINE_AA)
    for x in (96, 160):
        cv2.ellipse(face, (x, 120), (16, 8), 0, 0, 360, (245, 245, 245), -1, cv2.LINE_AA)
        cv2.circle(face, (x + int(rng.integers(-4, 5)), 120), 7, rng.uniform(20, 110, 3).tolist(), -1, cv2.LINE_AA)
        cv2.line(face, (x - 20, 100), (x + 20, int(96 + rng.integers(0, 8))), (60, 40, 30), 4, cv2.LINE_AA)
    cv2.line(face, (128, 125), (120, 165), (0.8 * skin).tolist(), 3, cv2.LINE_AA)
    cv2.ellipse(face, (128, 190), (30, int(rng.integers(6, 14))), 0, 0, 180, (150, 60, 60), -1, cv2.LINE_AA)
    face = cv2.resize(face, (64, 64), interpolation=cv2.INTER_AREA)
    return np.clip(face, 0, 255).astype(np.uint8)


@pytest.fixture
def overrides(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("crops", "gt", "lq"):
        (tmp_path / folder).mkdir()
    for index in range(48):
        face = drawn_face(rng)
        if index < 40:
            cv2.imwrite(str(tmp_path / "crops" / f"{index}.png"), face)
            continue
        cv2.imwrite(str(tmp_path / "gt" / f"{index}.png"), face)
        small = cv2.resize(cv2.GaussianBlur(face, (0, 0), 1.5), (24, 24), interpolation=cv2.INTER_LINEAR)
        cv2.imwrite(str(tmp_path / "lq" / f"{index}.png"), small)
    torch.manual_seed(0)  # features of a random VGG still tell sharp from blurred
    arrays = {key: value.numpy() for key, value in VGG16Features().state_dict().items()}
    np.savez(tmp_path / "vgg.npz", **arrays)
    return [
        f"task.crops=[{tmp_path / 'crops'}]",
        f"task.validation.medium={{gt: {tmp_path / 'gt'}, lq: {tmp_path / 'lq'}}}",
        f"task.metrics.features={tmp_path / 'vgg.npz'}",
    ]


def test_the_perceptual_distance_falls(overrides, tmp_path):
    train(read_recipe(Path("recipes/smoke.yml"), overrides), tmp_path / "run")
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    found = [record["validation"] for record in records if "validation" in record]
    distances = [metrics["medium/vgg_cosine"] for metrics in found]
    assert distances[-1] < distances[0]
    assert distances[-1] < 0.95 * found[-1]["medium/input_vgg_cosine"]
    assert found[-1]["medium/psnr"] > found[-1]["medium/input_psnr"]
