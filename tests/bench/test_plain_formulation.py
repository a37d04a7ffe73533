"""The plain formulation computes the same as the networks that are timed against it."""

import numpy as np
import pytest
import torch

from revisage.bench import plain
from revisage.models.nets.gfpgan import GFPGANv1Clean
from revisage.models.nets.restoreformer import RestoreFormer


@pytest.fixture
def faces():
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


@torch.no_grad()
def test_gfpgan(faces):
    torch.manual_seed(0)
    network = GFPGANv1Clean(32, 32, narrow=0.125, input_is_latent=True, different_w=True, sft_half=True).eval()
    for name, parameter in network.named_parameters():
        if name.endswith(".weight") and parameter.numel() == 1:  # noise that is 0 in a new network
            parameter.fill_(0.1)
    assert torch.allclose(plain.gfpgan(network, faces), network(faces)[0], atol=1e-4)


@torch.no_grad()
def test_restoreformer(faces):
    torch.manual_seed(0)
    network = RestoreFormer(
        n_embed=16, embed_dim=8, ch=32, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(16,), resolution=32,
        z_channels=8, head_size=2,
    ).eval()  # fmt: skip
    assert torch.allclose(plain.restoreformer(network, faces), network(faces)[0], atol=1e-4)


def test_a_paste_changes_the_head_only():
    torch.manual_seed(0)
    background = np.full((60, 80, 3), 90, np.uint8)
    pipeline = plain.PlainPipeline("GFPGANv1Clean", torch.nn.Identity(), torch.nn.Identity(), _Skin())
    matrix = np.array([[1.0, 0, -10], [0, 1, -5]])
    result = pipeline.paste(background, np.full((48, 48, 3), 200, np.uint8), matrix, 1)
    assert result.dtype == np.float64
    assert (result[:5] == 90).all()
    assert result[29, 34].min() > 150


class _Skin(torch.nn.Module):
    def forward(self, images):
        logits = torch.zeros(len(images), 19, *images.shape[2:])
        logits[:, 1] = 1
        return logits, images
