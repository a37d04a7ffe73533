"""Every published architecture at its full size, with seeded random weights, through every form of export."""

import pytest
import torch

from revisage.export.network import export_network
from revisage.models.architectures import ARCHITECTURES, network_class
from revisage.models.backends import open_network
from revisage.models.check_images import check_images
from revisage.models.checkpoint import Header, save_weights

GFPGAN = {"out_size": 512, "channel_multiplier": 2, "input_is_latent": True, "different_w": True, "sft_half": True}
FULL_SIZE = {
    "GFPGANv1Clean": ("GFPGANv1Clean", GFPGAN),
    "GFPGANv1": ("GFPGANv1", GFPGAN | {"channel_multiplier": 1}),
    "RestoreFormer": ("RestoreFormer", {"head_size": 8}),
    "RestoreFormer++": ("RestoreFormer", {"head_size": 4, "ex_multi_scale_num": 1}),
    "RetinaFace-ResNet50": ("RetinaFace", {"network_name": "resnet50"}),
    "RetinaFace-MobileNet": ("RetinaFace", {"network_name": "mobile0.25"}),
    "ParseNet": ("ParseNet", {"in_size": 512, "out_size": 512, "parsing_ch": 19}),
    "BiSeNet": ("BiSeNet", {}),
    "RRDBNet": ("RRDBNet", {"num_in_ch": 3, "num_out_ch": 3, "scale": 2}),
    "SRVGGNetCompact": ("SRVGGNetCompact", {"num_conv": 32}),
    "ResNetArcFace": ("ResNetArcFace", {"block": "IRBlock", "layers": [2, 2, 2, 2], "use_se": False}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL_SIZE)
def test_every_published_network_exports_in_every_form(tmp_path, name):
    architecture, arguments = FULL_SIZE[name]
    role = ARCHITECTURES[architecture].role
    torch.manual_seed(0)
    size = 512 if role == "restorer" else None
    source = tmp_path / "w.safetensors"
    save_weights(source, network_class(architecture)(**arguments).state_dict(), Header(architecture, arguments, size))
    single = export_network(source, tmp_path / "single.onnx")
    half = export_network(source, tmp_path / "half.onnx", dtype="float16")
    program = export_network(source, tmp_path / "program.pt2")
    for done in (single, half, program):
        figures = f"{done.bytes / 1e6:.1f} MB, {done.difference:.1e} of {done.range:.3g}, {done.psnr:.1f} dB"
        print(f"{name}: {done.dtype} {done.opset} {figures}")
    share = 0.8 if architecture == "RestoreFormer" else 0.6  # whose encoder and dictionary stay in float32
    assert half.bytes < share * single.bytes
    images = check_images(role, *([size] * 2 if size else [512, 512] if role == "parser" else [128, 128]), 1)
    assert len(open_network(tmp_path / "half.onnx", role=role)(images)[0]) == 1
