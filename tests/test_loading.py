import json
import re
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote, unquote

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from locations import GOLDEN
from on_arrays import on_arrays
from revisage import loading
from revisage.errors import CheckpointError, DeviceError, DownloadError, MissingWeightsError, UnknownModelError
from revisage.models.architectures import ARCHITECTURES
from revisage.models.build import build
from revisage.models.checkpoint import ONNX, PROGRAM, TORCH_SUFFIXES, Header, save_weights
from revisage.models.detect_architecture import detect_architecture
from revisage.models.fetch import fetch, weight_file
from revisage.models.nets.gfpgan import GFPGANv1Clean
from revisage.models.nets.gfpgan_fir import GFPGANBilinear, GFPGANv1
from revisage.models.nets.restoration_unet import RestorationUNet

SMALL = {"widths": [8, 8], "blocks": [1, 1]}


def written(path, header=None, state=None):
    save_weights(path, state or RestorationUNet(**SMALL).state_dict(), header)
    return path


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("REVISAGE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def shop(monkeypatch, tmp_path):
    """A folder whose files a server gives away: (folder, address)."""
    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "shop"
    folder.mkdir()
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=folder)) as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def offer(monkeypatch, cache, shop):
    """Puts a row "tiny" into the table whose file the shop has; its content is what is saved."""

    def put(content, **row):
        folder, address = shop
        torch.save(content, folder / "tiny.pth")
        spec = replace(loading.MODELS["gfpgan-1"], file="tiny.pth", urls=(f"{address}/tiny.pth",), **row)
        monkeypatch.setitem(loading.MODELS, "tiny", spec)

    return put


@pytest.mark.parametrize("name", [name for name, spec in loading.MODELS.items() if not spec.urls])
def test_embedded_models_are_in_the_package_and_are_what_the_table_says(name):
    network, header = build(weight_file(name))
    spec = loading.MODELS[name]
    assert type(network).__name__ == spec.architecture == header.architecture
    assert sum(parameter.numel() for parameter in network.parameters()) == spec.parameters


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("gfpgan-1", "GFPGANv1_c1"),
        ("gfpgan-1.2", "GFPGANv1Clean_c2"),
        ("gfpgan-1.3", "GFPGANv1Clean_c2"),
        ("gfpgan-1.4", "GFPGANv1Clean_c2"),
        ("restoreformer", "RestoreFormer"),
        ("restoreformer-ckpt", "RestoreFormer"),
        ("restoreformer++", "RestoreFormerPlusPlus"),
        ("retinaface-resnet50", "RetinaFace_resnet50"),
        ("retinaface-mobilenet", "RetinaFace_mobile025"),
        ("parsenet", "ParseNet"),
        ("bisenet", "BiSeNet"),
        ("realesrgan-x2plus", "RRDBNet_x2"),
        ("realesr-general-x4v3", "SRVGGNetCompact_x4v3"),
        ("arcface-resnet18", "ResNetArcFace_IR2222_nose"),
        ("stylegan2-ffhq-512", "StyleGAN2Generator_512_c1"),
    ],
)
def test_a_published_file_is_recognised_as_the_table_says(name, published):
    manifest = json.loads((GOLDEN / f"{published}.json").read_text(encoding="utf-8"))
    shapes = {key: tuple(shape) for key, shape in manifest["state_dict"].items()}
    spec = loading.MODELS[name]
    assert detect_architecture(shapes, spec.file, spec.architecture).architecture == spec.architecture
    assert spec.parameters == manifest["num_params"]


@pytest.mark.parametrize("name", loading.MODELS)
def test_a_row_of_the_table_is_complete(name):
    spec = loading.MODELS[name]
    assert Path(spec.file).suffix in (".safetensors", *TORCH_SUFFIXES, PROGRAM, ONNX)
    assert all(vars(spec.license).values())
    assert all(url.startswith("https://") and quote(unquote(url), ":/") == url for url in spec.urls)
    assert spec.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", spec.sha256)
    # Unknown sums need a network that can be built to look at the file.
    assert not spec.urls or spec.sha256 or spec.architecture in ARCHITECTURES
    assert spec.size is None or spec.size >= 4 * spec.parameters


def test_no_two_models_share_a_file():
    files = [spec.file for spec in loading.MODELS.values()]
    assert len(set(files)) == len(files)


def test_a_named_model_is_downloaded_once_and_then_found(cache, offer, shop):
    offer({"params_ema": small(GFPGANv1).state_dict()})
    assert loading.load("tiny", device="cpu").size == 32
    (shop[0] / "tiny.pth").unlink()
    assert loading.load("tiny", device="cpu", offline=True).size == 32
    assert fetch("tiny") == cache / "tiny.pth"


def test_the_table_decides_what_two_networks_look_like(offer):
    network = small(GFPGANBilinear).eval()
    offer(network.state_dict(), architecture="GFPGANBilinear")
    crops = np.random.default_rng(0).uniform(-1, 1, (1, 3, 32, 32)).astype(np.float32)
    np.testing.assert_allclose(
        loading.load("tiny", device="cpu").network(crops), on_arrays(network)(crops), rtol=1e-4, atol=1e-5
    )


def test_a_download_of_another_architecture_never_reaches_the_cache(cache, offer, monkeypatch):
    monkeypatch.setattr("revisage.models.download.time.sleep", lambda _: None)
    offer({"params_ema": small(GFPGANv1Clean).state_dict()})
    with pytest.raises(DownloadError, match="holds weights of a GFPGANv1Clean, not of a GFPGANv1"):
        fetch("tiny")
    assert not list(cache.glob("tiny*"))


def test_a_mirror_of_the_environment_is_used(monkeypatch, cache, offer, shop):
    offer({"params_ema": small(GFPGANv1).state_dict()})
    monkeypatch.setitem(loading.MODELS, "tiny", replace(loading.MODELS["tiny"], urls=("http://127.0.0.1:1/tiny.pth",)))
    monkeypatch.setenv("REVISAGE_MIRROR", shop[1])
    assert fetch("tiny") == cache / "tiny.pth"


def test_offline_nothing_is_downloaded(monkeypatch, cache, offer):
    offer({"params_ema": small(GFPGANv1).state_dict()})
    with pytest.raises(
        MissingWeightsError, match=r"tiny is not here and downloads are off; to download it manually, get http"
    ):
        loading.load("tiny", offline=True)
    monkeypatch.setenv("REVISAGE_OFFLINE", "1")
    with pytest.raises(MissingWeightsError):
        loading.load("tiny")
    assert not list(cache.iterdir())


def test_a_file_of_the_wrong_size_in_the_cache_is_refused(cache):
    (cache / "GFPGANv1.4.pth").write_bytes(b"cut off")
    with pytest.raises(CheckpointError, match=r"GFPGANv1\.4\.pth has 7 bytes, not the 348632874 of gfpgan-1\.4"):
        loading.load("gfpgan-1.4")


@pytest.mark.parametrize("name", ["vgg19", "parsenet", "stylegan2-ffhq-512"])
def test_what_restores_no_faces_is_refused_before_it_is_downloaded(cache, name):
    with pytest.raises(UnknownModelError, match=f"{name} is a .*, not a restorer: it "):
        loading.load(name)
    assert not list(cache.iterdir())


def test_only_models_of_the_table_can_be_fetched():
    with pytest.raises(UnknownModelError, match="no model 'gfpgan'"):
        fetch("gfpgan")


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("embedded", 16_000_000),
        ("embedded-detector", 1_000_000),
        ("embedded-identity", 1_500_000),
        ("embedded-background", 1_000_000),
        ("embedded-repair", 1_000_000),
    ],
)
def test_embedded_weights_stay_small(name, limit):
    assert weight_file(name).stat().st_size <= limit


def test_a_file_of_ones_own_loads(tmp_path):
    path = written(tmp_path / "own.safetensors", Header("RestorationUNet", SMALL, 64))
    result = loading.load(path, device="cpu")(np.zeros((40, 40, 3), np.uint8), aligned=True)
    assert result.image.shape == (64, 64, 3)


def test_a_file_of_ones_own_without_a_header_loads(tmp_path):
    network, header = build(written(tmp_path / "own.safetensors"))
    assert isinstance(network, RestorationUNet)
    assert (header.arguments["widths"], header.size) == ([8, 8], 512)


def test_half_precision_weights_run_in_float32(tmp_path):
    state = {key: value.half() for key, value in RestorationUNet(**SMALL).state_dict().items()}
    path = written(tmp_path / "h.safetensors", Header("RestorationUNet", SMALL), state)
    assert {p.dtype for p in build(path)[0].parameters()} == {torch.float32}


def test_bfloat16_on_request_gives_nearly_the_same_image():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    exact, half = (loading.load(device="cpu", dtype=d)(image, aligned=True).image for d in ("float32", "bfloat16"))
    assert np.abs(exact.astype(int) - half.astype(int)).mean() < 2
    assert not np.array_equal(exact, half)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownModelError, match=r"no model or file 'embeded'; did you mean embedded\b"):
        loading.load("embeded")


def test_a_run_folder_is_answered_with_the_name_of_its_weights(tmp_path):
    with pytest.raises(UnknownModelError, match=r"is a folder, not a weight file; .* model\.safetensors"):
        loading.load(tmp_path)


def test_the_file_of_a_model_is_answered_with_its_name():
    with pytest.raises(UnknownModelError, match=r"did you mean gfpgan-1\.3\?"):
        loading.load("somewhere/GFPGANv1.3.pth")


def test_a_detector_is_no_restorer():
    with pytest.raises(UnknownModelError, match="embedded-detector is a RetinaFace, not a restorer"):
        loading.load("embedded-detector")


def small(kind):
    """A network of 32-pixel faces; seeded, so that restored faces can be compared."""
    torch.manual_seed(0)
    return kind(32, 8, num_mlp=2, narrow=0.0625, input_is_latent=True, different_w=True, sft_half=True)


@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".safetensors"])
@pytest.mark.parametrize("kind", [GFPGANv1Clean, GFPGANv1])
def test_files_of_other_programs_load_by_their_keys(tmp_path, kind, suffix):
    network, path = small(kind).eval(), tmp_path / f"w{suffix}"
    if suffix == ".safetensors":
        save_file(network.state_dict(), path)
    else:
        torch.save({"params_ema": network.state_dict()}, path)
    restorer = loading.load(path, device="cpu")
    assert restorer.size == 32
    crops = np.random.default_rng(0).uniform(-1, 1, (1, 3, 32, 32)).astype(np.float32)
    np.testing.assert_allclose(restorer.network(crops), on_arrays(network)(crops), rtol=1e-4, atol=1e-5)


def test_what_two_networks_look_like_is_decided_by_an_option(tmp_path):
    network, path = small(GFPGANBilinear).eval(), tmp_path / "w.pth"
    torch.save(network.state_dict(), path)
    crops = np.random.default_rng(0).uniform(-1, 1, (1, 3, 32, 32)).astype(np.float32)
    as_bilinear, as_original = (
        loading.load(path, device="cpu", architecture=name).network(crops) for name in ("GFPGANBilinear", None)
    )
    np.testing.assert_allclose(as_bilinear, on_arrays(network)(crops), rtol=1e-4, atol=1e-5)
    assert not np.allclose(as_original, as_bilinear, atol=1e-3)


def test_a_restored_face_of_a_foreign_file_is_as_large_as_its_network_makes_it(tmp_path):
    torch.save({"params": small(GFPGANv1Clean).state_dict()}, tmp_path / "w.pth")
    result = loading.load(tmp_path / "w.pth", device="cpu")(np.zeros((40, 40, 3), np.uint8), aligned=True)
    assert result.image.shape == (32, 32, 3)


def test_an_incomplete_file_is_refused_by_its_keys(tmp_path):
    state = small(GFPGANv1Clean).state_dict()
    del state["final_conv.bias"]
    state["final_conv.weight"] = torch.zeros(1, 1, 3, 3)
    torch.save({"params": state | {"extra": torch.zeros(1)}}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError) as caught:
        loading.load(tmp_path / "w.pth")
    assert str(caught.value).endswith(
        "w.pth does not fit GFPGANv1Clean: 1 missing: final_conv.bias; 1 unexpected: extra; "
        "1 of another shape: final_conv.weight is (1, 1, 3, 3), not (16, 16, 3, 3)"
    )


@pytest.mark.parametrize(
    ("architecture", "message"), [("Painter", "no architecture 'Painter'"), ("GFPGANv1", "as its header says, not of")]
)
def test_an_architecture_that_cannot_be_is_refused(tmp_path, architecture, message):
    path = written(tmp_path / "own.safetensors", Header("RestorationUNet", SMALL))
    with pytest.raises(CheckpointError, match=message):
        loading.load(path, architecture=architecture)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0photo", b"hello"])
def test_files_of_another_kind_are_refused_by_their_content(tmp_path, content):
    (tmp_path / "photo.jpg").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"photo\.jpg is not a whole PyTorch file, nor safetensors or ONNX"):
        loading.load(tmp_path / "photo.jpg")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (Header("Painter"), "names no known architecture .*'Painter'; known: .*RestorationUNet"),
        (Header("RestorationUNet", {"width": 3}), "cannot be built as its header says"),
        (Header("RestorationUNet", {"widths": [8], "blocks": [1]}), "unexpected"),
    ],
)
def test_a_file_that_does_not_explain_itself_is_refused(tmp_path, header, message):
    with pytest.raises(CheckpointError, match=message):
        build(written(tmp_path / "bad.safetensors", header))


@pytest.mark.parametrize("settings", [{"device": "tpu"}, {"device": "cuda:99"}, {"dtype": "int8"}])
def test_what_this_machine_lacks_is_refused_in_one_line(settings):
    with pytest.raises(DeviceError) as caught:
        loading.load(**settings)
    assert "\n" not in str(caught.value)
