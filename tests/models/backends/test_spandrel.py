"""Networks that spandrel knows, through its documented descriptors; with the real package in the slow tests."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from revisage.errors import CheckpointError, UnknownNetworkError
from revisage.models.backends import open_network
from revisage.models.nets.gfpgan import GFPGANv1Clean

ODD = "odd.layer.weight"


class FaceNetwork(nn.Module):
    """Takes a fidelity and returns a tuple, as CodeFormer does."""

    def __init__(self):
        super().__init__()
        self.odd = nn.Module()
        self.odd.layer = nn.Linear(1, 1, bias=False)

    def forward(self, x, weight=0.5, **_):
        return x * weight, "logits"


class Doubling(FaceNetwork):
    def forward(self, x):
        return nn.functional.interpolate(x, scale_factor=2)


class Descriptor:
    """The documented part of ``spandrel.ImageModelDescriptor``: one image in [0, 1] a call."""

    def __init__(self, model, name, purpose, channels=3):
        self.model, self.purpose = model, purpose
        self.architecture = SimpleNamespace(name=name)
        self.input_channels = self.output_channels = channels

    def __call__(self, image):
        assert image.shape[0] == 1
        return self.model(image).clamp(0, 1)


@pytest.fixture
def knows(monkeypatch):
    """A spandrel whose main registry knows nothing, and the extra one what is given."""

    def install(descriptor):
        class UnsupportedModelError(Exception):
            pass

        class ModelLoader:
            def __init__(self, device=None, registry=None):  # noqa: ARG002
                self.registry = registry

            def load_from_state_dict(self, state):
                if ODD not in state or self.registry != "extra":
                    raise UnsupportedModelError
                return descriptor

        fake = SimpleNamespace(
            ModelLoader=ModelLoader,
            MAIN_REGISTRY="main",
            UnsupportedModelError=UnsupportedModelError,
            canonicalize_state_dict=dict,
        )
        monkeypatch.setitem(sys.modules, "spandrel", fake)
        monkeypatch.setitem(sys.modules, "spandrel_extra_arches", SimpleNamespace(EXTRA_REGISTRY="extra"))
        monkeypatch.setattr("revisage.models.backends.find_spec", lambda _: True)

    return install


@pytest.fixture
def path(tmp_path):
    torch.save({"params_ema": {ODD: torch.ones(1, 1)}}, tmp_path / "codeformer.pth")
    return tmp_path / "codeformer.pth"


def faces(level=0.5):
    return np.full((2, 3, 8, 8), level, np.float32)


def test_the_fidelity_of_a_face_restorer_is_passed_on(knows, path, caplog):
    knows(Descriptor(FaceNetwork(), "CodeFormer", "FaceSR"))
    network = open_network(path, "cpu", fidelity=0.25)
    assert (network.header.architecture, network.header.size) == ("CodeFormer", 512)
    assert np.allclose(network(faces(-0.8))[0], -0.2)  # not clamped, in [-1, 1]
    assert "license: S-Lab License 1.0, not for commercial use" in caplog.text


def test_upscalers_take_images_one_by_one(knows, path):
    knows(Descriptor(Doubling(), "SwinIR", "SR"))
    (output,) = open_network(path, "cpu", role="upscaler")(faces())
    assert output.shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    ("descriptor", "role", "message"),
    [
        (Descriptor(Doubling(), "SwinIR", "SR"), "restorer", r"is a SwinIR \(spandrel: SR\), not of the role restorer"),
        (Descriptor(FaceNetwork(), "CodeFormer", "FaceSR"), "upscaler", r"not of the role upscaler"),
        (Descriptor(Doubling(), "DRUNet", "Restoration", 1), "upscaler", "for 1 channels, not for color images"),
    ],
)
def test_a_network_for_something_else_is_refused(knows, path, descriptor, role, message):
    knows(descriptor)
    with pytest.raises(CheckpointError, match=message):
        open_network(path, "cpu", role=role)


def test_what_nobody_knows_is_said_so(knows, tmp_path):
    knows(None)
    torch.save({"what.weight": torch.ones(1)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="spandrel does not know it either"):
        open_network(tmp_path / "x.pth", "cpu")


def test_without_spandrel_the_extra_is_named(path, monkeypatch):
    monkeypatch.setattr("revisage.models.backends.find_spec", lambda _: None)
    with pytest.raises(UnknownNetworkError, match=r"spandrel may know it: pip install 'revisage\[spandrel\]'"):
        open_network(path, "cpu")


@pytest.mark.slow
class TestWithSpandrel:
    @pytest.fixture(autouse=True)
    def spandrel(self):
        return pytest.importorskip("spandrel", exc_type=(ImportError, RuntimeError))

    def test_it_reads_the_weights_that_we_write(self, spandrel, tmp_path):
        """``revisage convert`` writes such files: official keys under params_ema."""
        official = {"channel_multiplier": 2, "different_w": True, "input_is_latent": True, "sft_half": True}
        state = GFPGANv1Clean(512, **official).state_dict()
        torch.save({"params_ema": state}, tmp_path / "ours.pth")
        found = spandrel.ModelLoader().load_from_file(tmp_path / "ours.pth")
        assert (found.architecture.id, found.purpose) == ("GFPGAN", "FaceSR")

    def test_codeformer(self, tmp_path):
        extra = pytest.importorskip("spandrel_extra_arches.architectures.CodeFormer")
        torch.manual_seed(0)
        torch.save({"params_ema": extra.CodeFormer().state_dict()}, tmp_path / "codeformer.pth")
        faces = np.random.default_rng(0).uniform(-1, 1, (1, 3, 512, 512)).astype(np.float32)
        best, truest = (open_network(tmp_path / "codeformer.pth", "cpu", fidelity=w)(faces)[0] for w in (0, 1))
        assert best.shape == faces.shape
        assert not np.allclose(best, truest)

    def test_an_upscaler_that_we_do_not_have(self, tmp_path):
        arch = pytest.importorskip("spandrel.architectures.SPAN")
        torch.save({"params": arch.SPAN(num_in_ch=3, num_out_ch=3, upscale=2).state_dict()}, tmp_path / "span.pth")
        (output,) = open_network(tmp_path / "span.pth", "cpu", role="upscaler")(np.zeros((1, 3, 16, 16), np.float32))
        assert output.shape == (1, 3, 32, 32)
