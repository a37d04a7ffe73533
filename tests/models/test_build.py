"""From file to network: quickly, and without what the file does not need."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from revisage.errors import CheckpointError
from revisage.models.architectures import ARCHITECTURES
from revisage.models.build import build, construct_empty, read_checkpoint
from revisage.models.checkpoint import Header, save_weights
from revisage.models.nets.restoration_unet import RestorationUNet


def test_building_a_network_does_not_load_the_compiler():
    """Which takes seconds; initialising weights that are not there would."""
    arguments = {name: {"out_size": 32} for name in ARCHITECTURES if "GAN" in name and name != "VQVAEGAN"}
    arguments |= {
        "RRDBNet": {"num_in_ch": 3, "num_out_ch": 3},
        "ResNetArcFace": {"block": "IRBlock", "layers": [1] * 4},
    }
    code = f"""
import sys
from revisage.models.build import construct_empty
from revisage.models.architectures import ARCHITECTURES
from revisage.models.checkpoint import Header
arguments = {arguments}
for name in ARCHITECTURES:
    network = construct_empty(Header(name, arguments.get(name, {{}})), "w.pth")
    assert all(tensor.is_meta for tensor in network.state_dict().values()), name
    assert "torch._dynamo" not in sys.modules, name
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def refusal(name, arguments):
    with pytest.raises(CheckpointError, match="cannot be built as its header says") as caught:
        construct_empty(Header(name, arguments), "w.safetensors")
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("RRDBNet", {"num_in_ch": 3, "num_out_ch": 3, "num_block": 10**9}),
        ("SRVGGNetCompact", {"num_conv": 10**9}),
        ("ResNetArcFace", {"block": "IRBlock", "layers": [10**9] * 4}),
        ("GFPGANv1Clean", {"out_size": 32, "num_mlp": 10**9}),
        ("RestorationUNet", {"widths": [8] * 100_000, "blocks": [1] * 100_000}),
    ],
)
def test_a_header_that_asks_for_a_billion_layers_is_refused(name, arguments):
    assert "more layers than any network" in refusal(name, arguments)


def test_a_refusal_leaves_gradients_switched_on():
    refusal("GFPGANv1Clean", {"out_size": 32, "num_mlp": 10**9})
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    "arguments",
    [
        *({"widths": [width], "blocks": [1]} for width in (2**62, -1, 8.5, "x")),
        *({"widths": 3}, {"widths": [], "blocks": []}, {"widths": [8], "blocks": [None]}, {"self": 1}),
    ],
    ids=str,
)
def test_a_header_with_arguments_that_make_no_sense_is_refused(arguments):
    refusal("RestorationUNet", arguments)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"arguments": 3}, "are no JSON object"),
        ({"size": 10**9}, "faces have 16 to 4096 pixels, not 1000000000"),
        ({"size": -1}, "faces have 16"),
        ({"size": "512"}, "faces have 16"),
        ({"size": True}, "faces have 16"),
        ({"architecture": ["RestorationUNet"]}, "names no known architecture"),
    ],
)
def test_a_header_that_asks_for_the_impossible_is_refused(tmp_path, header, reason):
    text = json.dumps({"architecture": "RestorationUNet"} | header)
    save_file({"a": torch.ones(1)}, tmp_path / "w.safetensors", {"revisage": text})
    with pytest.raises(CheckpointError, match=reason):
        read_checkpoint(tmp_path / "w.safetensors")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path, suffix):
    state = RestorationUNet([8], [1]).state_dict()
    key = list(state)[3]
    state[key].view(-1)[0] = float("nan")
    path = tmp_path / f"w{suffix}"
    save_weights(path, state) if suffix == ".safetensors" else torch.save(state, path)
    with pytest.raises(CheckpointError, match=rf"w{suffix} is damaged: {key} holds values that are no numbers"):
        build(path)
