"""Tiny data and weight files for trainings of whole faces."""

import cv2
import numpy as np
import pytest
import torch

from revisage.models.nets.arcface import ResNetArcFace
from revisage.models.nets.vgg import VGG19Features

SIDE = 32


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    """A folder of eight images of 32 pixels."""
    folder = tmp_path_factory.mktemp("faces")
    generator = np.random.default_rng(0)
    for place in range(8):
        small = generator.integers(0, 256, (8, 8, 3), np.uint8)
        cv2.imwrite(str(folder / f"{place:08d}.png"), cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
    return folder


@pytest.fixture(scope="session")
def landmarks(tmp_path_factory):
    """Their eyes and mouths, in pixels of 512."""
    entry = {"left_eye": [190.0, 240.0, 28.0], "right_eye": [320.0, 240.0, 28.0], "mouth": [256.0, 360.0, 42.0]}
    path = tmp_path_factory.mktemp("landmarks") / "landmarks.pth"
    torch.save({f"{place:08d}": entry for place in range(8)}, path)
    return path


@pytest.fixture(scope="session")
def vgg19(tmp_path_factory):
    """The first two convolutions, under torchvision's names, which are VGG16's as well."""
    path = tmp_path_factory.mktemp("vgg") / "vgg.pth"
    torch.manual_seed(0)
    torch.save(VGG19Features(("conv1_2",)).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def lpips_channels(tmp_path_factory):
    """The weights of all stages' channels."""
    path = tmp_path_factory.mktemp("lpips") / "lpips.pth"
    widths = (64, 128, 256, 512, 512)
    torch.save({f"lin{k}.model.1.weight": torch.full((1, n, 1, 1), 0.1) for k, n in enumerate(widths)}, path)
    return path


@pytest.fixture(scope="session")
def arcface(tmp_path_factory):
    """The identity network, all of it."""
    path = tmp_path_factory.mktemp("arcface") / "arcface.pth"
    torch.manual_seed(0)
    torch.save(ResNetArcFace("IRBlock", (2, 2, 2, 2), use_se=False).state_dict(), path)
    return path
