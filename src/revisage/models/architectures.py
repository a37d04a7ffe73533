"""Which network do weights belong to? Answered from keys and shapes alone, by one table.

To add a network: a function that reads its constructor's arguments from shapes, and a row of ``FAMILIES``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from revisage.errors import CheckpointError
from revisage.models.arch import analysts, autoencoders, stylegan2, upscalers
from revisage.models.arch.shapes import Shapes
from revisage.models.nets.arcface import ResNetArcFace
from revisage.models.nets.bisenet import BiSeNet
from revisage.models.nets.coarse_to_fine import CoarseToFineUNet
from revisage.models.nets.discriminators import FacialComponentDiscriminator, StyleGAN2Discriminator
from revisage.models.nets.face_embedder import FaceEmbedder
from revisage.models.nets.gfpgan import GFPGANv1Clean
from revisage.models.nets.gfpgan_fir import GFPGANBilinear, GFPGANv1
from revisage.models.nets.parsenet import ParseNet
from revisage.models.nets.restoration_unet import RestorationUNet
from revisage.models.nets.restoreformer import VQVAEGAN, RestoreFormer
from revisage.models.nets.retinaface import RetinaFace
from revisage.models.nets.rrdbnet import RRDBNet
from revisage.models.nets.srvggnet import SRVGGNetCompact
from revisage.models.nets.stylegan2 import StyleGAN2GeneratorClean
from revisage.models.nets.stylegan2_fir import StyleGAN2Generator, StyleGAN2GeneratorBilinear

Entry = Literal["params_ema", "params"]
Arguments = Callable[[Shapes], dict[str, Any]]
Network = type[nn.Module]


@dataclass(frozen=True)
class Family:
    """Networks whose files look alike.

    Attributes:
        networks: keys and shapes cannot tell them apart; the first is meant unless another is asked for.
        marks: regular expressions; each is the whole of some key of the family, and no other family has all.
        arguments: reads the constructor's arguments from shapes.
        entry: where the published ``.pth`` files keep the weights; None: the file is the state dict itself.
        side: "out_size": restores aligned faces of that size; a number: of this size; None: restores no faces.
    """

    networks: tuple[Network, ...]
    marks: tuple[str, ...]
    arguments: Arguments
    entry: Entry | None = "params_ema"
    side: Literal["out_size"] | int | None = None


def _nothing(_: Shapes) -> dict[str, Any]:
    return {}


FAMILIES = (
    Family(
        (GFPGANv1Clean,),
        (r"conv_body_first\.weight", r"stylegan_decoder\.style_conv1\.bias"),
        stylegan2.gfpgan,
        side="out_size",
    ),
    Family(
        (GFPGANv1, GFPGANBilinear),
        (r"conv_body_first\.0\.weight", r"stylegan_decoder\.style_conv1\.activate\.bias"),
        stylegan2.gfpgan,
        side="out_size",
    ),
    Family(
        (RestoreFormer, VQVAEGAN),
        (r"quantize\.embedding\.weight", r"encoder\.conv_in\.weight", r"decoder\.up\.\d+\.attn\.0\.q\.weight"),
        autoencoders.dictionary_autoencoder,
        side=autoencoders.SIDE,
    ),
    Family(
        (RestorationUNet,),
        (r"stem\.weight", r"tail\.weight", r"encoder\.0\.0\.conv1\.weight"),
        autoencoders.restoration_unet,
        side=autoencoders.SIDE,
    ),
    Family(
        (CoarseToFineUNet,),
        (r"coarse\.stem\.weight", r"fine\.stem\.weight", r"gate_threshold"),
        autoencoders.coarse_to_fine,
        side=autoencoders.SIDE,
    ),
    Family((StyleGAN2GeneratorClean,), (r"constant_input\.weight", r"style_conv1\.bias"), stylegan2.generator),
    Family(
        (StyleGAN2Generator, StyleGAN2GeneratorBilinear),
        (r"constant_input\.weight", r"style_conv1\.activate\.bias"),
        stylegan2.generator,
    ),
    Family(
        (StyleGAN2Discriminator,),
        (r"conv_body\.0\.0\.weight", r"final_linear\.1\.weight"),
        stylegan2.discriminator,
        entry="params",
    ),
    Family(
        (FacialComponentDiscriminator,),
        (r"conv1\.0\.weight", r"conv5\.1\.bias", r"final_conv\.0\.bias"),
        _nothing,
        entry="params",
    ),
    Family((ResNetArcFace,), (r"fc5\.weight", r"layer1\.0\.bn0\.weight"), analysts.resnet_arcface, entry=None),
    Family((FaceEmbedder,), (r"levels\.3\.0\.weight", r"places\.weight"), analysts.face_embedder, entry=None),
    Family((RetinaFace,), (r"ClassHead\.0\.conv1x1\.weight",), analysts.retinaface, entry=None),
    Family((ParseNet,), (r"out_mask_conv\.conv2d\.weight",), analysts.parsenet, entry=None),
    Family((BiSeNet,), (r"cp\.resnet\.conv1\.weight", r"ffm\.conv1\.weight"), analysts.bisenet, entry=None),
    Family((RRDBNet,), (r"conv_first\.weight", r"body\.0\.rdb1\.conv1\.weight"), upscalers.rrdbnet),
    Family((SRVGGNetCompact,), (r"body\.0\.weight", r"body\.1\.weight", r"body\.2\.weight"), upscalers.srvggnet),
)
"""Every network whose weights can be read."""

NETWORKS = {network.__name__: network for family in FAMILIES for network in family.networks}
"""Architecture name, as in the header of a weight file -> class."""


def family_of(architecture: str) -> Family:
    """The family of a name of ``NETWORKS``."""
    return next(family for family in FAMILIES if NETWORKS[architecture] in family.networks)


def recognise(shapes: Shapes, source: str, architecture: str | None = None) -> dict[str, Any]:
    """Say which network weights belong to.

    Args:
        shapes: key -> shape of all tensors.
        source: what to call the origin in an error, a file name say.
        architecture: a name of ``NETWORKS``. It decides where the files of several look alike: GFPGANv1 and
            GFPGANBilinear, StyleGAN2Generator and StyleGAN2GeneratorBilinear, RestoreFormer and VQVAEGAN. None means
            the former of each two; only of these are there published files.

    Returns:
        A configuration like that in the header of our own files: ``architecture``, its constructor's ``arguments`` and,
        if it restores faces, their ``size``.

    Raises:
        CheckpointError: of no known network, of another than asked for, or with keys missing that would tell its sizes.
    """
    family = next((family for family in FAMILIES if _bears(shapes, family.marks)), None)
    if family is None:
        shown = ", ".join(list(shapes)[:3])
        raise CheckpointError(f"{source} holds weights of no known network (its keys begin with {shown})")
    names = [network.__name__ for network in family.networks]
    name = architecture or names[0]
    if name not in names:
        raise CheckpointError(f"{source} holds weights of a {' or '.join(names)}, not of a {name}")
    try:
        arguments = family.arguments(shapes)
    except KeyError as error:
        raise CheckpointError(f"{source} looks like a {name} but lacks {error.args[0]}") from error
    except (IndexError, ValueError, ArithmeticError) as error:
        raise CheckpointError(f"{source} looks like a {name}, but no sizes fit its tensors' shapes") from error
    size = arguments["out_size"] if family.side == "out_size" else family.side
    return {"architecture": name, "arguments": arguments} | ({"size": size} if size else {})


def _bears(shapes: Shapes, marks: tuple[str, ...]) -> bool:
    return all(any(re.fullmatch(mark, key) for key in shapes) for mark in marks)
