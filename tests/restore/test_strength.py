"""``strength`` moves every restorer, evenly, in pixels, in features of pictures and in identity."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import revisage
from locations import PORTRAIT
from on_arrays import on_arrays
from revisage.images.pixels import to_nchw
from revisage.models.nets import dlib_face_net
from revisage.models.nets.dlib_face_net import DlibFaceNet
from revisage.models.nets.gfpgan import GFPGANv1Clean
from revisage.models.nets.gfpgan_fir import GFPGANBilinear, GFPGANv1
from revisage.models.nets.restoration_unet import CoarseToFineUNet, RestorationUNet
from revisage.models.nets.restoreformer import RestoreFormer
from revisage.models.nets.vgg import VGG16Features
from revisage.restore.align import align
from revisage.restore.pipeline import Restorer

SIZE = 64
STRENGTHS = (0, 0.125, 0.25, 0.5, 0.75, 1)
LANDMARKS = np.array([[203, 108], [248, 108], [227, 140], [208, 156], [246, 156]], np.float32)
TINY = {"num_style_feat": 16, "num_mlp": 1, "narrow": 0.0625, "input_is_latent": True, "different_w": True}
FORMER = {"n_embed": 16, "embed_dim": 32, "z_channels": 32, "ch": 32, "ch_mult": (1, 1, 1), "num_res_blocks": 1}
FORMER |= {"resolution": SIZE, "attn_resolutions": (SIZE // 4,)}
LEVELS = {"widths": (8, 8), "blocks": (1, 1)}

ARCHITECTURES = {
    "GFPGANv1Clean": partial(GFPGANv1Clean, SIZE, **TINY, sft_half=True),
    "GFPGANv1": partial(GFPGANv1, SIZE, **TINY, sft_half=True),
    "GFPGANBilinear": partial(GFPGANBilinear, SIZE, **TINY, sft_half=True),
    "RestoreFormer": partial(RestoreFormer, **FORMER),
    "RestoreFormer++": partial(RestoreFormer, **FORMER, head_size=4, ex_multi_scale_num=1),
    "RestorationUNet": partial(RestorationUNet, widths=(8, 8), blocks=(1, 1)),
    "CoarseToFineUNet": partial(CoarseToFineUNet, coarse=LEVELS, fine=LEVELS),
}
IGNORED_THE_CLASSIC_WEIGHT = ("GFPGANv1Clean", "GFPGANv1", "GFPGANBilinear", "RestoreFormer")


def random_network(name):
    torch.manual_seed(1)
    network = ARCHITECTURES[name]().eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.02 * torch.randn_like(parameter))  # no layer begins as zero, or as the identity
    return network


def once(network):
    """The strength acts behind the network, which sees the same face every time: it need not run again."""
    outputs = []

    def run(crops):
        if not outputs:
            outputs.append(network(crops))
        return outputs[0].copy()

    return run


@cache
def restored(name):
    """The restored face, float32, at each of ``STRENGTHS``."""
    if name == "embedded":
        restorer = revisage.load("embedded")
        restorer = replace(restorer, network=once(restorer.network))
    else:
        restorer = Restorer(name, lambda _: [], once(on_arrays(random_network(name))), SIZE)
    photo = align(revisage.read_image(PORTRAIT), LANDMARKS, restorer.size // 2).crop  # soft: much is to be restored
    return [restorer(photo, aligned=True, strength=strength).faces[0].restored for strength in STRENGTHS]


@cache
def vgg():
    torch.manual_seed(2)
    return VGG16Features(3).eval().requires_grad_(False)


@cache
def descriptor():
    torch.manual_seed(3)
    network = DlibFaceNet().eval().requires_grad_(False)
    network.fc.data.normal_()
    return network


def pixels(picture):
    return picture.ravel()


def features(picture):
    """What VGG16 with random weights makes of it: a perceptual space too, if a coarse one."""
    outputs = vgg()(F.interpolate(torch.from_numpy(to_nchw([picture])), (64, 64), mode="area"))
    return torch.cat([F.normalize(output).flatten() for output in outputs]).numpy()


def identity(picture):
    return F.normalize(descriptor()(dlib_face_net.chips(torch.from_numpy(to_nchw([picture])), size=len(picture))))[
        0
    ].numpy()


@pytest.mark.parametrize("space", [pixels, features, identity], ids=lambda space: space.__name__)
@pytest.mark.parametrize("name", [*ARCHITECTURES, "embedded"])
def test_the_distance_to_the_photo_grows_with_the_strength(name, space):
    places = [space(picture).astype(np.float64) for picture in restored(name)]
    distances = [float(np.linalg.norm(place - places[0])) for place in places]
    assert distances[0] == 0
    assert (np.diff(distances) > 0).all(), distances


@pytest.mark.parametrize("name", IGNORED_THE_CLASSIC_WEIGHT)
def test_strength_acts_where_the_classic_weight_did_nothing(name):
    """Issues 336, 423 and 459 of the classic tool: ``weight`` was handed to networks that drop it."""
    nothing, _, _, half, _, all_of_it = restored(name)
    assert np.abs(half - nothing).mean() > 0.01
    assert np.abs(half - (nothing + all_of_it) / 2).max() < 1e-5
