import subprocess
import sys
import zipfile
from hashlib import sha256

import numpy as np
import pytest
import torch

from locations import ROOT
from revisage import read_image
from revisage.auxiliary import load_detector
from revisage.errors import CheckpointError, InputError
from revisage.export.network import export_network
from revisage.models.architectures import ARCHITECTURES, network_class
from revisage.models.backends import open_network
from revisage.models.backends.torch import inference_module
from revisage.models.build import build
from revisage.models.check_images import CROP_FROM_PHOTO, check_images
from revisage.models.checkpoint import Header, save_weights
from revisage.models.describe_file import describe_file
from revisage.models.fetch import path_of
from revisage.models.onnx_file import METADATA_WEIGHTS, read_onnx
from revisage.models.registry import MODELS
from revisage.restore.align import similarity_from_landmarks

TINY = {"out_size": 32, "num_style_feat": 16, "narrow": 0.125, "num_mlp": 1, "channel_multiplier": 1}
TINY_GFPGAN = TINY | {"input_is_latent": True, "different_w": True, "sft_half": True}
TINY_FORMER = {
    **{"n_embed": 16, "embed_dim": 8, "ch": 32, "ch_mult": [1, 1], "num_res_blocks": 1, "attn_resolutions": [16]},
    **{"resolution": 32, "z_channels": 8},
}
QUICK = {"RestorationUNet": {"widths": [8, 16], "blocks": [1, 1]}, "SRVGGNetCompact": {"num_feat": 8, "num_conv": 2}}
SLOW = {
    "GFPGANv1Clean": TINY_GFPGAN,
    "GFPGANv1": TINY_GFPGAN,
    "GFPGANBilinear": TINY_GFPGAN,
    "RestoreFormer": TINY_FORMER,
    "CoarseToFineUNet": {"coarse": {"widths": [8], "blocks": [1]}, "fine": {"widths": [8, 16], "blocks": [1, 1]}},
    "ParseNet": {"in_size": 64, "out_size": 64, "base_ch": 32, "res_depth": 1},
    "BiSeNet": {},
    "RRDBNet": {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 1, "num_grow_ch": 4, "scale": 2},
    "ResNetArcFace": {"block": "IRBlock", "layers": [1, 1, 1, 1]},
    "FaceEmbedder": {},
    "RetinaFace": {"network_name": "mobile0.25"},
    "BackgroundUNet": {"widths": [8, 16], "blocks": [1, 1]},
    "RepairUNet": {"widths": [8, 16], "blocks": [1, 1]},
}


def weights_of(path, architecture, arguments):
    torch.manual_seed(0)
    network = network_class(architecture)(**arguments)
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    size = 32 if ARCHITECTURES[architecture].role == "restorer" else None
    save_weights(path, network.state_dict(), Header(architecture, arguments, size))
    return path


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [*QUICK.items(), *(pytest.param(*item, marks=pytest.mark.slow) for item in SLOW.items())],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_number_of_images_after_export(tmp_path, architecture, arguments):
    """Traced with two images; what would freeze their number shows with one and three."""
    source = weights_of(tmp_path / "w.safetensors", architecture, arguments)
    done = export_network(source, tmp_path / "w.onnx")
    assert done.difference < 1e-4
    network, module = open_network(tmp_path / "w.onnx"), inference_module(build(source)[0])
    assert network.header.architecture == architecture
    size = network.header.size or {"BiSeNet": 512, "ParseNet": 64}.get(architecture, 128)
    for count in (1, 3):
        images = np.random.default_rng(count).uniform(0, 1, (count, 3, size, size)).astype(np.float32)
        with torch.inference_mode():
            expected = module(torch.from_numpy(images))
        for one, other in zip(network(images), expected if isinstance(expected, tuple) else [expected], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-4)


def test_weights_in_eight_bits_can_be_read_back_and_exported_again(tmp_path):
    source = weights_of(tmp_path / "w.safetensors", "RestorationUNet", QUICK["RestorationUNet"])
    done = export_network(source, tmp_path / "a.onnx", weights="int8")
    assert done.difference < 1e-5
    assert 0 < done.rounding < 0.1
    again = export_network(tmp_path / "a.onnx", tmp_path / "b.onnx")
    assert again.weights == "int8"
    assert again.rounding < 1e-5
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    state, original = build(tmp_path / "a.onnx")[0].state_dict(), build(source)[0].state_dict()
    assert list(state) == list(original)
    for key, value in state.items():
        torch.testing.assert_close(value, original[key], rtol=1e-3, atol=float(original[key].abs().max()) / 127)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """(weights file, program of it) of a small upscaler."""
    folder = tmp_path_factory.mktemp("program")
    source = weights_of(folder / "w.safetensors", "SRVGGNetCompact", QUICK["SRVGGNetCompact"])
    done = export_network(source, folder / "w.pt2", notes={"license": "MIT"})
    assert done.difference < 1e-4  # run by the export itself, on three images though it was traced with two
    return source, folder / "w.pt2"


def test_a_program_is_read_back_by_its_weights(program):
    source, path = program
    network, original = open_network(path, "cpu", role="upscaler"), build(source)[0].state_dict()
    assert (network.header.architecture, network.header.notes["license"]) == ("SRVGGNetCompact", "MIT")
    state = build(path)[0].state_dict()
    assert state.keys() == original.keys()
    assert all(torch.equal(value, original[key]) for key, value in state.items())
    images = check_images("upscaler", 20, 24)
    assert np.array_equal(network(images)[0], open_network(source, "cpu", role="upscaler")(images)[0])


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "arguments"), {**QUICK, **SLOW}.items(), ids=lambda value: str(value)[:20])
def test_torch_export_keeps_the_weights_and_runs(tmp_path, architecture, arguments):
    source = weights_of(tmp_path / "w.safetensors", architecture, arguments)
    assert export_network(source, tmp_path / "w.pt2").difference < 1e-4
    state, original = build(tmp_path / "w.pt2")[0].state_dict(), build(source)[0].state_dict()
    assert state.keys() == original.keys()
    assert all(torch.equal(value, original[key]) for key, value in state.items())


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "arguments"), {**QUICK, **SLOW}.items(), ids=lambda value: str(value)[:20])
def test_half_precision_is_half_the_size_and_keeps_45_db(tmp_path, architecture, arguments):
    source = weights_of(tmp_path / "w.safetensors", architecture, arguments)
    done = export_network(source, tmp_path / "half.onnx", dtype="float16")
    assert done.psnr > 45
    tensors = read_onnx(tmp_path / "half.onnx").tensors.values()
    share = 0.7 if architecture == "RestoreFormer" else 0.25  # whose encoder and dictionary stay in float32
    assert sum(t.nbytes for t in tensors if t.dtype == np.float32) < sum(t.nbytes for t in tensors) * share


def test_half_precision_is_known_when_the_file_is_opened(tmp_path):
    source = weights_of(tmp_path / "w.safetensors", "SRVGGNetCompact", QUICK["SRVGGNetCompact"])
    done = export_network(source, tmp_path / "half.onnx", dtype="float16", notes={"license": "MIT"})
    assert done.psnr > 45
    for dtype in ("auto", "float16"):
        network = open_network(tmp_path / "half.onnx", dtype=dtype, role="upscaler")
        assert (network.device.backend, network.device.dtype) == ("onnxruntime", "float16")
        assert "as the file is" in network.device.reason
    said = describe_file(tmp_path / "half.onnx")
    assert {
        "architecture": "SRVGGNetCompact",
        "role": "upscaler",
        "input_range": [0, 1],
        "channels": "rgb",
    }.items() <= said.items()
    assert (said["opset"], said["dtype"], said["license"], said["bytes"]) == (18, "float16", "MIT", done.bytes)
    assert said["source_sha256"] == sha256(source.read_bytes()).hexdigest()


def test_programs_of_others_and_damaged_ones_are_refused(tmp_path, program):
    with zipfile.ZipFile(program[1]) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    table = next(name for name in members if name.endswith("model_weights_config.json"))

    def refused(match, changes):
        with zipfile.ZipFile(tmp_path / "other.pt2", "w") as archive:
            for name, content in (members | changes).items():
                if content is not None:
                    archive.writestr(name, content)
        with pytest.raises(CheckpointError, match=match):
            build(tmp_path / "other.pt2")

    refused("was not exported by revisage", {name: None for name in members if "/extra/" in name})
    refused("packed, not plain numbers", {table: members[table].replace(b'"use_pickle": false', b'"use_pickle": true')})
    refused("not a whole", {table: members[table].replace(b'"as_int": 8}', b'"as_int": 800}')})
    refused("not a whole", {next(name for name in members if name.endswith("weight_0")): b"1234"})
    (tmp_path / "other.pt2").write_bytes(program[1].read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="not a whole"):
        build(tmp_path / "other.pt2")


def test_the_check_face_is_aligned():
    """The fixed alignment of the photo that exports are compared on is the one that the detector finds."""
    photo = read_image(path_of("embedded").with_name("check_photo.jpg"))
    assert (path_of("embedded").with_name("check_photo.jpg").read_bytes()) == (ROOT / "examples/photo.jpg").read_bytes()
    (face,) = load_detector(device="cpu")(photo)
    np.testing.assert_allclose(
        similarity_from_landmarks(face.landmarks, 512, face.box), CROP_FROM_PHOTO, rtol=0.02, atol=2
    )
    crops, photos = check_images("restorer", 256, 256), check_images("detector", 64, 96, 1)
    assert (crops.shape, photos.shape) == ((2, 3, 256, 256), (1, 3, 64, 96))
    assert -1 <= crops.min() < -0.8 < 0.8 < crops.max() <= 1
    assert 200 < photos.max() <= 255


def test_weights_in_float32_are_not_kept_by_name(tmp_path):
    source = weights_of(tmp_path / "w.safetensors", "RestorationUNet", QUICK["RestorationUNet"])
    export_network(source, tmp_path / "w.onnx")
    assert METADATA_WEIGHTS not in read_onnx(tmp_path / "w.onnx").metadata
    with pytest.raises(CheckpointError, match="exported without weights that can be read back"):
        build(tmp_path / "w.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, spec in MODELS.items() if not spec.urls])
def test_the_embedded_models_are_what_export_writes(tmp_path, name):
    export_network(path_of(name), tmp_path / "again.onnx")
    old, new = read_onnx(path_of(name)), read_onnx(tmp_path / "again.onnx")
    assert old.metadata.keys() == new.metadata.keys()
    assert old.tensors.keys() == new.tensors.keys()
    for key, value in old.tensors.items():
        np.testing.assert_array_equal(value, new.tensors[key])


def test_wrong_calls(tmp_path):
    with pytest.raises(InputError, match=r"exported as \.onnx or \.pt2"):
        export_network(path_of("embedded"), tmp_path / "w.pth")
    for wrong in ({"weights": "int8"}, {"dtype": "float16"}):
        with pytest.raises(InputError, match=r"a \.pt2 holds float32 weights"):
            export_network(path_of("embedded"), tmp_path / "w.pt2", **wrong)
    with pytest.raises(InputError, match="has float16 weights, not int8"):
        export_network(path_of("embedded"), tmp_path / "w.onnx", weights="int8", dtype="float16")
    (tmp_path / "w.onnx").touch()
    with pytest.raises(InputError, match="exists already"):
        export_network(path_of("embedded"), tmp_path / "w.onnx")
    source = weights_of(tmp_path / "d.safetensors", "StyleGAN2GeneratorClean", TINY)
    with pytest.raises(CheckpointError, match="StyleGAN2GeneratorClean has no part in restoring images"):
        export_network(source, tmp_path / "new.onnx")


def test_what_export_needs_is_said_in_one_line():
    code = (
        "import sys; sys.modules['onnx_ir'] = None; from revisage.cli import main;"
        "sys.argv[1:] = ['export', 'embedded', '-o', 'x.onnx']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: export needs torch, onnx and onnxscript")
    assert done.stderr.count("\n") == 1
