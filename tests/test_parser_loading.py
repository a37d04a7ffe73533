"""The parsing network: when it is loaded, and what the pipeline does with its labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from revisage import loading
from revisage.auxiliary import load_parser
from revisage.errors import MissingWeightsError, UnknownModelError
from revisage.models import registry as catalogue
from revisage.models.nets.parsenet import ParseNet
from revisage.restore.align import TEMPLATE
from revisage.types import Face


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("REVISAGE_CACHE", str(tmp_path))
    monkeypatch.setenv("REVISAGE_OFFLINE", "1")
    return tmp_path


def small_parser(path, label=13):
    """A ParseNet of few channels that gives every pixel one label."""
    torch.manual_seed(0)
    network = ParseNet(64, 64, 32, base_ch=8, res_depth=1, ch_range=(8, 8))
    network.out_mask_conv.conv2d.bias.data.zero_()[label] = 100
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def published(monkeypatch, cache):
    """The cache holds the published file, here a small one."""
    path = small_parser(cache / catalogue.MODELS["parsenet"].file)
    monkeypatch.setitem(catalogue.MODELS, "parsenet", replace(catalogue.MODELS["parsenet"], size=path.stat().st_size))


def test_without_its_file_nothing_parses_and_nothing_is_downloaded():
    assert loading.load("embedded", device="cpu").parse is None


def test_the_file_in_the_cache_is_used(published):
    assert loading.load("embedded", device="cpu").parse is not None


def test_it_can_be_left_out(published):
    assert loading.load("embedded", device="cpu", parser=None).parse is None


def test_who_names_it_and_has_it_not_is_told():
    with pytest.raises(MissingWeightsError, match="parsenet is not here"):
        loading.load("embedded", device="cpu", parser="parsenet")


def test_what_parses_no_faces_is_refused():
    with pytest.raises(UnknownModelError, match="embedded-detector is a RetinaFace, not a face parser"):
        loading.load("embedded", device="cpu", parser="embedded-detector")


@pytest.mark.parametrize("side", [32, 64, 100])
def test_crops_of_any_size_get_labels_of_their_size(tmp_path, side):
    parse = load_parser(small_parser(tmp_path / "p.pth", label=7), device="cpu")
    labels = parse([np.random.default_rng(0).random((side, side, 3), np.float32)] * 2)
    assert labels.shape == (2, side, side)
    assert labels.dtype == np.uint8
    assert (labels == 7).all()


def test_the_labels_decide_what_is_pasted():
    side, image = 64, np.full((120, 160, 3), 100, np.uint8)
    landmarks = (TEMPLATE * 100 / 512 + (30, 10)).astype(np.float32)
    labels = np.zeros((1, side, side), np.uint8)
    labels[:, :, : side // 2] = 1

    restorer = replace(
        loading.load("embedded", device="cpu"),
        detect=lambda _: [Face(np.array([30, 10, 130, 110], np.float32), landmarks, 0.9)],
        network=lambda crops: np.clip(crops + np.float32(0.5), -1, 1),
        size=side,
        parse=lambda _: labels,
    )
    changed = restorer(image, scale=1).image[60, :, 0] != 100
    assert changed[50:75].all()
    assert not changed[88:].any()
