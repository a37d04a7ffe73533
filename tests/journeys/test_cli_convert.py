"""``revisage convert``, as a user calls it."""

import torch
from command import revisage
from safetensors.torch import load_file

from revisage.models.nets.gfpgan_fir import GFPGANBilinear


def bilinear_file(path):
    network = GFPGANBilinear(32, 8, num_mlp=1, narrow=0.0625, different_w=True, input_is_latent=True, sft_half=True)
    torch.save({"params_ema": network.state_dict(), "params": network.state_dict()}, path)
    return path


def test_a_bilinear_training_becomes_a_clean_restorer_in_half_precision(tmp_path):
    source, target = bilinear_file(tmp_path / "net_g_8000.pth"), tmp_path / "clean.safetensors"
    done = revisage("convert", source, target, "--ema", "--to-clean", "--architecture", "GFPGANBilinear", "--half")
    assert done.returncode == 0, done.stderr
    assert f"{source} -> {target}: GFPGANv1Clean, " in done.stdout
    state = load_file(target)
    assert "conv_body_first.weight" in state
    assert {value.dtype for value in state.values()} == {torch.float16}


def test_what_cannot_be_converted_is_one_line(tmp_path):
    done = revisage("convert", bilinear_file(tmp_path / "a.pth"), tmp_path / "b.pth", "--to-clean")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "b.pth").exists()


def test_a_file_that_exists_is_a_wrong_call(tmp_path):
    source = bilinear_file(tmp_path / "a.pth")
    done = revisage("convert", source, source)
    assert done.returncode == 2
    assert "exists already (--overwrite replaces it)" in done.stderr
