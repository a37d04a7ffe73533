import subprocess
import sys

import numpy as np
import pytest
import torch

from revisage.errors import CheckpointError, InputError
from revisage.export import export_onnx
from revisage.models.architectures import ARCHITECTURES, network_class
from revisage.models.backends import open_network
from revisage.models.backends.torch import inference_module
from revisage.models.build import build
from revisage.models.checkpoint import Header, save_weights
from revisage.models.fetch import path_of
from revisage.models.onnx_file import METADATA_WEIGHTS, read_onnx

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
    done = export_onnx(source, tmp_path / "w.onnx")
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
    done = export_onnx(source, tmp_path / "a.onnx", weights="int8")
    assert done.difference < 1e-5
    assert 0 < done.rounding < 0.1
    again = export_onnx(tmp_path / "a.onnx", tmp_path / "b.onnx")
    assert again.weights == "int8"
    assert again.rounding < 1e-5
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    state, original = build(tmp_path / "a.onnx")[0].state_dict(), build(source)[0].state_dict()
    assert list(state) == list(original)
    for key, value in state.items():
        torch.testing.assert_close(value, original[key], rtol=1e-3, atol=float(original[key].abs().max()) / 127)


def test_weights_in_float32_are_not_kept_by_name(tmp_path):
    source = weights_of(tmp_path / "w.safetensors", "RestorationUNet", QUICK["RestorationUNet"])
    export_onnx(source, tmp_path / "w.onnx")
    assert METADATA_WEIGHTS not in read_onnx(tmp_path / "w.onnx").metadata
    with pytest.raises(CheckpointError, match="exported without weights that can be read back"):
        build(tmp_path / "w.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["embedded", "embedded-detector", "embedded-identity"])
def test_the_embedded_models_are_what_export_writes(tmp_path, name):
    export_onnx(path_of(name), tmp_path / "again.onnx")
    old, new = read_onnx(path_of(name)), read_onnx(tmp_path / "again.onnx")
    assert old.metadata.keys() == new.metadata.keys()
    assert old.tensors.keys() == new.tensors.keys()
    for key, value in old.tensors.items():
        np.testing.assert_array_equal(value, new.tensors[key])


def test_wrong_calls(tmp_path):
    with pytest.raises(InputError, match=r"exported as \.onnx"):
        export_onnx(path_of("embedded"), tmp_path / "w.pth")
    (tmp_path / "w.onnx").touch()
    with pytest.raises(InputError, match="exists already"):
        export_onnx(path_of("embedded"), tmp_path / "w.onnx")
    source = weights_of(tmp_path / "d.safetensors", "StyleGAN2GeneratorClean", TINY)
    with pytest.raises(CheckpointError, match="StyleGAN2GeneratorClean has no part in restoring images"):
        export_onnx(source, tmp_path / "new.onnx")


def test_what_export_needs_is_said_in_one_line():
    code = (
        "import sys; sys.modules['onnx_ir'] = None; from revisage.cli import main;"
        "sys.argv[1:] = ['export', 'embedded', '-o', 'x.onnx']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: export needs torch, onnx and onnxscript")
    assert done.stderr.count("\n") == 1
