"""The networks that help a restorer: what they are loaded from, when, and what is refused."""

import threading
import time

import numpy as np
import pytest
import torch

from revisage import loading
from revisage.auxiliary import Lazy, load_embedder, load_upscaler
from revisage.errors import InputError, MissingWeightsError, UnknownModelError
from revisage.models.checkpoint import Header, save_weights
from revisage.models.fetch import weight_file
from revisage.models.nets.arcface import ResNetArcFace
from revisage.models.nets.face_embedder import FaceEmbedder
from revisage.models.nets.rrdbnet import RRDBNet
from revisage.models.nets.srvggnet import SRVGGNetCompact
from revisage.restore.upscale import lanczos


def faces(count, side=64):
    return list(np.random.default_rng(0).random((count, side, side, 3), np.float32))


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No weights but those of the package, and no network."""
    monkeypatch.setenv("REVISAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("REVISAGE_OFFLINE", "1")


class TestUpscaler:
    @pytest.mark.parametrize(
        ("network", "factor"),
        [
            (RRDBNet(3, 3, scale=2, num_feat=8, num_block=1, num_grow_ch=4), 2),
            (RRDBNet(3, 3, scale=4, num_feat=8, num_block=1, num_grow_ch=4), 4),
            (SRVGGNetCompact(num_feat=8, num_conv=2, upscale=4), 4),
        ],
        ids=["RRDBNet-x2", "RRDBNet-x4", "SRVGGNetCompact-x4"],
    )
    def test_a_published_file_enlarges_backgrounds(self, tmp_path, network, factor):
        torch.save({"params_ema": network.state_dict()}, tmp_path / "net.pth")
        restorer = loading.load("embedded", device="cpu", background=tmp_path / "net.pth", tile=64)
        assert (restorer.upscale.factor, restorer.upscale.tile) == (factor, 64)
        image = faces(1, 70)[0]
        enlarged = restorer.upscale(image, 2)
        assert enlarged.shape == (140, 140, 3)
        assert not np.allclose(enlarged, lanczos(image, 2), atol=0.01)

    def test_lanczos_needs_no_network(self):
        assert loading.load("embedded", device="cpu", background="lanczos").upscale is lanczos

    def test_the_embedded_one_repairs_photos_that_need_it_unless_another_is_named(self):
        upscale = loading.load("embedded", device="cpu").upscale
        assert upscale.repair(faces(1, 40)[0], 2).shape == (80, 80, 3)
        assert upscale.choose(np.zeros((64, 64, 3), np.uint8)) is lanczos

    def test_the_embedded_one_is_opened_when_a_photo_needs_it(self, monkeypatch):
        opened = []
        monkeypatch.setattr(loading, "load_upscaler", lambda name, *_, **__: opened.append(name) or lanczos)
        restorer = loading.load("embedded", device="cpu")
        restorer(np.zeros((64, 64, 3), np.uint8))
        assert not opened
        restorer.upscale.repair(np.zeros((64, 64, 3), np.uint8), 2)
        assert opened == ["embedded-background"]

    def test_a_network_for_gray_pictures_is_refused(self, tmp_path):
        torch.save(SRVGGNetCompact(1, 1, 8, 2, 2).state_dict(), tmp_path / "gray.pth")
        with pytest.raises(UnknownModelError, match="upscales no color images"):
            load_upscaler(tmp_path / "gray.pth", device="cpu")

    @pytest.mark.parametrize("name", ["gfpgan-1.4", "embedded-identity"])
    def test_a_name_of_something_else_is_refused_before_anything_is_fetched(self, name):
        with pytest.raises(UnknownModelError, match=r"not a background upscaler: it (restores|compares)"):
            loading.load("embedded", device="cpu", background=name)

    def test_a_file_of_something_else_is_refused(self):
        with pytest.raises(UnknownModelError, match="not a background upscaler"):
            load_upscaler(weight_file("embedded"), device="cpu")

    def test_a_file_that_has_to_be_fetched_is_one_clear_line_offline(self):
        with pytest.raises(MissingWeightsError, match="realesrgan-x2plus is not here") as caught:
            loading.load("embedded", device="cpu", background="realesrgan-x2plus")
        assert "\n" not in str(caught.value)

    def test_tiles_too_small_are_refused_before_anything_is_loaded(self):
        with pytest.raises(InputError, match="at least 64"):
            loading.load("embedded", device="cpu", background="realesrgan-x2plus", tile=16)


class TestDescriptor:
    def network_file(self, tmp_path, architecture):
        torch.manual_seed(0)
        if architecture == "ResNetArcFace":
            torch.save(ResNetArcFace("IRBlock", (1, 1, 1, 1)).state_dict(), tmp_path / "face.pth")
            return tmp_path / "face.pth"
        path = tmp_path / "face.safetensors"
        save_weights(path, FaceEmbedder().state_dict(), Header(architecture))
        return path

    @pytest.mark.parametrize("architecture", ["ResNetArcFace", "FaceEmbedder"])
    def test_descriptors_have_length_one_and_depend_on_their_face_alone(self, tmp_path, architecture):
        describe = load_embedder(self.network_file(tmp_path, architecture), device="cpu")
        together = describe(faces(18))
        assert together.dtype == np.float32
        assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(18), abs=1e-5)
        assert describe(faces(18)[16:17])[0] == pytest.approx(together[16], abs=1e-5)

    def test_of_no_faces_there_are_no_descriptors(self, tmp_path):
        assert len(load_embedder(self.network_file(tmp_path, "ResNetArcFace"), device="cpu")([])) == 0

    @pytest.mark.parametrize("name", ["gfpgan-1.4", "parsenet"])
    def test_a_name_of_something_else_is_refused_at_once(self, name):
        with pytest.raises(UnknownModelError, match="not an identity embedder"):
            loading.load("embedded", device="cpu", identity=name)

    def test_a_file_of_something_else_is_refused(self):
        with pytest.raises(UnknownModelError, match="not an identity embedder"):
            load_embedder(weight_file("embedded"), device="cpu")

    def test_a_file_that_is_not_here_is_one_clear_line_and_only_when_it_is_needed(self):
        restorer = loading.load("embedded", device="cpu", identity="arcface-resnet18")
        with pytest.raises(MissingWeightsError, match="arcface-resnet18 is not here") as caught:
            restorer(np.zeros((64, 64, 3), np.uint8), min_identity=0.5)
        assert "\n" not in str(caught.value)


class TestWhenNeeded:
    def test_nothing_is_made_before_it_is_needed(self):
        made = []
        Lazy(lambda: made.append(1))
        assert not made

    def test_it_is_made_once_however_many_threads_ask_for_it(self):
        made, results = [], []

        def make():
            time.sleep(0.05)
            made.append(1)
            return lambda crops: np.full((len(crops), 1), 7, np.float32)

        describe = Lazy(make)
        threads = [threading.Thread(target=lambda: results.append(describe(faces(2, 4)))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == [1]
        assert [result.shape for result in results] == [(2, 1)] * 8

    def test_what_could_not_be_made_is_tried_again(self):
        attempts = []

        def make():
            attempts.append(1)
            raise MissingWeightsError("not here")

        describe = Lazy(make)
        for _ in range(2):
            with pytest.raises(MissingWeightsError):
                describe([])
        assert len(attempts) == 2
