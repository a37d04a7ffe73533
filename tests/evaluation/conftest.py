"""Reference figures, the images that they are of, and weight files as people have them."""

import json

import numpy as np
import pytest
import torch
from golden_weights import golden_state

from locations import GOLDEN
from metric_images import softened, texture
from revisage.models.nets.arcface import ResNetArcFace
from revisage.models.nets.dlib_face_net import DlibFaceNet
from revisage.models.nets.vgg import STAGES, VGG16Features


@pytest.fixture
def pair():
    """(original, its softened version), (96, 128, 3)."""
    image = texture(1, 96, 128)
    return image, softened(image)


@pytest.fixture(scope="session")
def aligned_pair():
    """Likewise, square."""
    image = texture(2, 128, 128)
    return image, softened(image)


@pytest.fixture(scope="session")
def references():
    """Figures that other implementations give, see ``about`` in the file."""
    return json.loads((GOLDEN / "metrics.json").read_text())


def torchvision_names():
    """Key in torchvision's file -> key here."""
    places, place = {}, 0
    for stage, widths in enumerate(STAGES, 1):
        for layer in range(1, len(widths) + 1):
            places[f"features.{place}"] = f"conv{stage}_{layer}"
            place += 2
        place += 1
    return {f"{theirs}.{part}": f"{own}.{part}" for theirs, own in places.items() for part in ("weight", "bias")}


@pytest.fixture(scope="session")
def caffe_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / "vgg16.npz"
    np.savez(path, **{key: value.numpy() for key, value in golden_state(VGG16Features().state_dict()).items()})
    return path


@pytest.fixture(scope="session")
def torchvision_file(tmp_path_factory):
    shapes = VGG16Features().state_dict()
    state = golden_state({theirs: shapes[own] for theirs, own in torchvision_names().items()})
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    torch.save({key: value.float() for key, value in state.items()} | {"classifier.6.bias": torch.zeros(1000)}, path)
    return path


@pytest.fixture(scope="session")
def channel_weights_file(tmp_path_factory):
    empty = {f"lin{n}.model.1.weight": torch.empty(1, widths[-1], 1, 1) for n, widths in enumerate(STAGES)}
    path = tmp_path_factory.mktemp("vgg") / "vgg.pth"
    torch.save({key: value.abs().float() for key, value in golden_state(empty).items()}, path)
    return path


@pytest.fixture(scope="session")
def descriptor_state():
    return {key: value.float() for key, value in golden_state(DlibFaceNet().state_dict()).items()}


@pytest.fixture(scope="session")
def descriptor_file(tmp_path_factory, descriptor_state):
    path = tmp_path_factory.mktemp("descriptor") / "own.pth"
    torch.save(descriptor_state, path)
    return path


@pytest.fixture(scope="session")
def arcface_file(tmp_path_factory):
    state = golden_state(ResNetArcFace("IRBlock", (2, 2, 2, 2), use_se=False).state_dict())
    path = tmp_path_factory.mktemp("arcface") / "arcface.pth"
    torch.save(state, path)
    return path
