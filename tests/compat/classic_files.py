"""Weight files in the layout of the published ones, with few channels and random weights."""

from pathlib import Path

import torch

from revisage.models.nets.gfpgan import GFPGANv1Clean
from revisage.models.nets.gfpgan_fir import GFPGANBilinear, GFPGANv1
from revisage.models.nets.restoreformer import RestoreFormer

GFPGANS = {"clean": GFPGANv1Clean, "bilinear": GFPGANBilinear, "original": GFPGANv1}


def classic_file(folder: Path, arch: str, size: int = 32) -> Path:
    """A ``.pth`` of a network of ``arch`` for faces of ``size`` pixels; RestoreFormers have 512 always."""
    torch.manual_seed(0)
    if arch in GFPGANS:
        arguments = {"num_mlp": 2, "narrow": 0.0625, "input_is_latent": True, "different_w": True, "sft_half": True}
        network = GFPGANS[arch](size, 8, channel_multiplier=1 if arch == "original" else 2, **arguments)
    else:
        network = RestoreFormer(
            n_embed=8, embed_dim=32, ch=32, ch_mult=(1, 1, 1, 1, 1, 1), num_res_blocks=1, z_channels=32
        )
    state = network.state_dict()
    for key, value in state.items():  # the strength of the noise is 0 at first, and noise without effect proves nothing
        if ".style_conv" in key and key.endswith(".weight") and value.shape == (1,):
            value.fill_(0.5)
    path = folder / f"{arch}.pth"
    torch.save({"params_ema": state}, path)
    return path
