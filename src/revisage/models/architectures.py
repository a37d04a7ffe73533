"""The networks whose weights can be read: one row each.

To add a network: a function that reads its constructor's arguments from shapes, and a row of ``ARCHITECTURES``. Nothing
here imports torch: roles are known before a network is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from revisage.models.checkpoint import ParameterSet

if TYPE_CHECKING:
    from torch import nn

Shapes = Mapping[str, tuple[int, ...]]
"""Key of a state dict -> shape of the tensor."""
Role = Literal["restorer", "detector", "parser", "embedder", "upscaler", "repairer", "generator", "discriminator"]
FACE_SIZE = 512
"""Size of the faces of all published networks; convolutional networks do not tell it by their weights."""


@dataclass(frozen=True)
class Architecture:
    """A network whose weights can be read.

    Attributes:
        network: "module:class" in ``models.nets``.
        role: of the network in a restoration or a training.
        key_patterns: regular expressions; each matches the whole of some key of the network's state dict, and no other
            network has keys for all of them, except those with the same patterns: of these the first row is meant
            unless another is asked for.
        infer_arguments: reads the constructor's arguments from shapes.
        parameter_set: where the published ``.pth`` files keep the weights; None: the file is the state dict itself.
        size: of the aligned faces that a restorer takes; "out_size": the argument of that name; None: no restorer.
    """

    network: str
    role: Role
    key_patterns: tuple[str, ...]
    infer_arguments: Callable[[Shapes], dict[str, Any]]
    parameter_set: ParameterSet | None = "params_ema"
    size: Literal["out_size"] | int | None = None

    @property
    def name(self) -> str:
        """Name of the class, as in the header of a weights file."""
        return self.network.partition(":")[2]


def network_class(architecture: str) -> type[nn.Module]:
    """The class of a name of ``ARCHITECTURES``."""
    module, _, name = ARCHITECTURES[architecture].network.partition(":")
    return getattr(import_module(f"revisage.models.nets.{module}"), name)


def _indices(shapes: Shapes, prefix: str) -> list[int]:
    """Numbers that follow a prefix, ascending: ``body.0.weight``, ``body.2.weight`` -> 0, 2 for ``body.``."""
    parts = {key.removeprefix(prefix).split(".")[0] for key in shapes if key.startswith(prefix)}
    return sorted(int(part) for part in parts if part.isdecimal())


def _count(shapes: Shapes, prefix: str) -> int:
    return len(_indices(shapes, prefix))


def _stylegan2(shapes: Shapes, prefix: str = "") -> dict[str, Any]:
    """Arguments of a StyleGAN2 generator whose keys begin with ``prefix``.

    Widths follow from three numbers: int(512 * narrow) channels up to 32x32, and from 64x64 on
    int(2^14 / size * channel_multiplier * narrow); GFP-GAN's U-Net has half of both.
    """
    narrow = shapes[f"{prefix}constant_input.weight"][1] / 512
    levels = _count(shapes, f"{prefix}to_rgbs.")
    widths = {i: shapes[f"{prefix}to_rgbs.{i}.modulated_conv.weight"][2] for i in range(levels)}
    return {
        "out_size": 2 ** (levels + 2),
        "num_style_feat": shapes[f"{prefix}style_conv1.modulated_conv.modulation.weight"][1],
        "num_mlp": _count(shapes, f"{prefix}style_mlp."),
        "channel_multiplier": _channel_multiplier(widths, narrow),
        "narrow": narrow,
    }


def _gfpgan(shapes: Shapes) -> dict[str, Any]:
    """Arguments of a GFP-GAN.

    Whether styles bypass the mapping network leaves no trace in the weights. In all published networks they do, and
    there is one for each layer; one style for all is taken to go through it.
    """
    arguments = _stylegan2(shapes, "stylegan_decoder.")
    features, width = shapes["condition_scale.0.2.weight"][:2]
    different_w = shapes["final_linear.weight"][0] != arguments["num_style_feat"]
    return arguments | {"input_is_latent": different_w, "different_w": different_w, "sft_half": features == width}


def _stylegan2_discriminator(shapes: Shapes) -> dict[str, Any]:
    narrow = shapes["final_conv.0.weight"][0] / 512
    levels = _count(shapes, "conv_body.") - 1
    widths = {levels - block: shapes[f"conv_body.{block}.conv1.0.weight"][0] for block in range(1, levels + 1)}
    return {"out_size": 2 ** (levels + 2), "channel_multiplier": _channel_multiplier(widths, narrow), "narrow": narrow}


def _channel_multiplier(widths: dict[int, int], narrow: float) -> float:
    """The least ``channel_multiplier`` that gives the widths (level -> channels at 8 * 2^level); 1 if none needs it."""
    units = {level: 2 ** (11 - level) * narrow for level in widths if level >= 3}
    if not units:
        return 1
    least = max(widths[level] / unit for level, unit in units.items())
    if any(int(unit * least) < widths[level] for level, unit in units.items()):
        least = math.nextafter(least, math.inf)  # the division was rounded down
    return int(least) if least == int(least) else least


def _restoreformer(shapes: Shapes) -> dict[str, Any]:
    """Arguments of RestoreFormer, RestoreFormer++ and VQVAEGAN, which learns their dictionary.

    The number of heads leaves no trace in the weights: it is that of the published networks, 8, or 4 where the
    decoder attends to more levels than the encoder (RestoreFormer++).
    """
    ch, in_channels = shapes["encoder.conv_in.weight"][:2]
    levels = range(_count(shapes, "encoder.down."))
    n_embed, embed_dim = shapes["quantize.embedding.weight"]
    z_channels = shapes["post_quant_conv.weight"][0]
    encoder, decoder = _attention_levels(shapes, "encoder.down."), _attention_levels(shapes, "decoder.up.")
    extra = encoder[0] - decoder[0] if encoder and decoder else 0
    arguments = {
        "n_embed": n_embed,
        "embed_dim": embed_dim,
        "ch": ch,
        "out_ch": shapes["decoder.conv_out.weight"][0],
        "ch_mult": [shapes[f"encoder.down.{level}.block.0.conv1.weight"][0] // ch for level in levels],
        "num_res_blocks": _count(shapes, "encoder.down.0.block."),
        "attn_resolutions": [FACE_SIZE // 2**level for level in reversed(encoder)],
        "in_channels": in_channels,
        "resolution": FACE_SIZE,
        "z_channels": z_channels,
        "double_z": shapes["encoder.conv_out.weight"][0] == 2 * z_channels,
        "enable_mid": "encoder.mid.block_1.norm1.weight" in shapes,
        "head_size": 4 if extra else 8,
    }
    return arguments | ({"ex_multi_scale_num": extra} if extra else {})


def _attention_levels(shapes: Shapes, prefix: str) -> list[int]:
    """Levels with attention, finest first."""
    return [level for level in range(_count(shapes, prefix)) if f"{prefix}{level}.attn.0.q.weight" in shapes]


def _restoration_unet(shapes: Shapes) -> dict[str, Any]:
    stem, channels = shapes["stem.weight"][:2]
    subpixels = shapes["tail.weight"][0] // 3
    steps = range(_count(shapes, "down."))
    levels = range(len(steps) + 1)
    arguments = {
        "widths": [stem, *(shapes[f"down.{step}.weight"][0] for step in steps)],
        "blocks": [_count(shapes, f"encoder.{level}.") for level in levels],
        "unshuffle": math.isqrt(subpixels),
        "inputs": channels // (3 * subpixels),
    }
    options = {
        "position_sizes": [shapes.get(f"positions.{level}", (0,))[-1] for level in levels],
        "attention": [_count(shapes, f"attention.{level}.") for level in levels],
        "normalized": [f"encoder.{level}.0.norm.weight" in shapes for level in levels],
    }
    noise = {"noise": shapes["noise"][-1]} if "noise" in shapes else {}
    return arguments | {name: values for name, values in options.items() if any(values)} | noise


def _coarse_to_fine(shapes: Shapes) -> dict[str, Any]:
    """Arguments of CoarseToFineUNet. The factor leaves no trace in the weights: it is that of the embedded network."""
    coarse, fine = (
        _restoration_unet({key.removeprefix(part): shape for key, shape in shapes.items() if key.startswith(part)})
        for part in ("coarse.", "fine.")
    )
    fine.pop("inputs")
    return {"coarse": coarse, "fine": fine}


def _unet(prefix: str) -> Callable[[Shapes], dict[str, Any]]:
    """Arguments of a network around a RestorationUNet whose tail does not tell how its stem reduces the image."""

    def arguments(shapes: Shapes) -> dict[str, Any]:
        inner = {key.removeprefix(prefix): shape for key, shape in shapes.items()}
        return {name: value for name, value in _restoration_unet(inner).items() if name in ("widths", "blocks")}

    return arguments


def _resnet_arcface(shapes: Shapes) -> dict[str, Any]:
    return {
        "block": "IRBlock",
        "layers": [_count(shapes, f"layer{layer}.") for layer in (1, 2, 3, 4)],
        "use_se": "layer1.0.se.fc.0.weight" in shapes,
    }


def _face_embedder(shapes: Shapes) -> dict[str, Any]:
    """Arguments of FaceEmbedder; each of its four levels begins with a convolution, a norm and an activation."""
    return {
        "widths": [shapes[f"levels.{level}.0.weight"][0] for level in range(4)],
        "blocks": [_count(shapes, f"levels.{level}.") - 3 for level in range(4)],
        "size": shapes["head.weight"][0],
    }


def _retinaface(shapes: Shapes) -> dict[str, Any]:
    return {"network_name": "mobile0.25" if "body.stage1.0.0.weight" in shapes else "resnet50"}


def _parsenet(shapes: Shapes) -> dict[str, Any]:
    """Arguments of ParseNet; the coarsest features are taken to have the published size, 32."""
    mask = shapes["out_mask_conv.conv2d.weight"]
    widths = [mask[1], *(shape[1] for key, shape in shapes.items() if key.endswith(".conv1.conv2d.weight"))]
    return {
        "in_size": 32 * 2 ** (_count(shapes, "encoder.") - 1),
        "out_size": 32 * 2 ** _count(shapes, "decoder."),
        "base_ch": shapes["encoder.0.conv2d.weight"][0],
        "parsing_ch": mask[0],
        "res_depth": _count(shapes, "body."),
        "norm_type": "bn" if any(".norm.norm." in key for key in shapes) else "none",
        "ch_range": [min(widths), max(widths)],
    }


def _bisenet(shapes: Shapes) -> dict[str, Any]:
    return {"num_class": shapes["conv_out.conv_out.weight"][0]}


def _rrdbnet(shapes: Shapes) -> dict[str, Any]:
    """Arguments of RRDBNet; the result is taken to have as many channels as the image."""
    num_feat, unshuffled = shapes["conv_first.weight"][:2]
    channels = shapes["conv_last.weight"][0]
    return {
        "num_in_ch": channels,
        "num_out_ch": channels,
        "scale": 4 // math.isqrt(unshuffled // channels),
        "num_feat": num_feat,
        "num_block": _count(shapes, "body."),
        "num_grow_ch": shapes["body.0.rdb1.conv1.weight"][0],
    }


def _srvggnet(shapes: Shapes) -> dict[str, Any]:
    """Arguments of SRVGGNetCompact with PReLU; the other activations leave no trace in the weights."""
    num_feat, channels = shapes["body.0.weight"][:2]
    last = _indices(shapes, "body.")[-1]
    return {
        "num_in_ch": channels,
        "num_out_ch": channels,
        "num_feat": num_feat,
        "num_conv": last // 2 - 1,
        "upscale": math.isqrt(shapes[f"body.{last}.weight"][0] // channels),
        "act_type": "prelu",
    }


_FIR_GFPGAN = (r"conv_body_first\.0\.weight", r"stylegan_decoder\.style_conv1\.activate\.bias")
_FIR_STYLEGAN2 = (r"constant_input\.weight", r"style_conv1\.activate\.bias")
_DICTIONARY = (r"quantize\.embedding\.weight", r"encoder\.conv_in\.weight", r"decoder\.up\.\d+\.attn\.0\.q\.weight")

_ROWS = (
    Architecture(
        "gfpgan:GFPGANv1Clean",
        "restorer",
        (r"conv_body_first\.weight", r"stylegan_decoder\.style_conv1\.bias"),
        _gfpgan,
        size="out_size",
    ),
    Architecture("gfpgan_fir:GFPGANv1", "restorer", _FIR_GFPGAN, _gfpgan, size="out_size"),
    Architecture("gfpgan_fir:GFPGANBilinear", "restorer", _FIR_GFPGAN, _gfpgan, size="out_size"),
    Architecture("restoreformer:RestoreFormer", "restorer", _DICTIONARY, _restoreformer, size=FACE_SIZE),
    Architecture("restoreformer:VQVAEGAN", "restorer", _DICTIONARY, _restoreformer, size=FACE_SIZE),
    Architecture(
        "restoration_unet:RestorationUNet",
        "restorer",
        (r"stem\.weight", r"tail\.weight", r"encoder\.0\.0\.conv1\.weight"),
        _restoration_unet,
        size=FACE_SIZE,
    ),
    Architecture(
        "restoration_unet:CoarseToFineUNet",
        "restorer",
        (r"coarse\.stem\.weight", r"fine\.stem\.weight"),
        _coarse_to_fine,
        size=FACE_SIZE,
    ),
    Architecture(
        "stylegan2:StyleGAN2GeneratorClean",
        "generator",
        (r"constant_input\.weight", r"style_conv1\.bias"),
        _stylegan2,
    ),
    Architecture("stylegan2_fir:StyleGAN2Generator", "generator", _FIR_STYLEGAN2, _stylegan2),
    Architecture("stylegan2_fir:StyleGAN2GeneratorBilinear", "generator", _FIR_STYLEGAN2, _stylegan2),
    Architecture(
        "discriminators:StyleGAN2Discriminator",
        "discriminator",
        (r"conv_body\.0\.0\.weight", r"final_linear\.1\.weight"),
        _stylegan2_discriminator,
        "params",
    ),
    Architecture(
        "discriminators:FacialComponentDiscriminator",
        "discriminator",
        (r"conv1\.0\.weight", r"conv5\.1\.bias", r"final_conv\.0\.bias"),
        lambda _: {},
        "params",
    ),
    Architecture(
        "arcface:ResNetArcFace", "embedder", (r"fc5\.weight", r"layer1\.0\.bn0\.weight"), _resnet_arcface, None
    ),
    Architecture(
        "face_embedder:FaceEmbedder", "embedder", (r"levels\.3\.0\.weight", r"places\.weight"), _face_embedder, None
    ),
    Architecture("retinaface:RetinaFace", "detector", (r"ClassHead\.0\.conv1x1\.weight",), _retinaface, None),
    Architecture("parsenet:ParseNet", "parser", (r"out_mask_conv\.conv2d\.weight",), _parsenet, None),
    Architecture("bisenet:BiSeNet", "parser", (r"cp\.resnet\.conv1\.weight", r"ffm\.conv1\.weight"), _bisenet, None),
    Architecture(
        "background_unet:BackgroundUNet", "upscaler", (r"unet\.stem\.weight", r"unet\.tail\.weight"), _unet("unet.")
    ),
    Architecture(
        "repair_unet:RepairUNet", "repairer", (r"finder\.stem\.weight", r"finder\.tail\.weight"), _unet("finder.")
    ),
    Architecture("rrdbnet:RRDBNet", "upscaler", (r"conv_first\.weight", r"body\.0\.rdb1\.conv1\.weight"), _rrdbnet),
    Architecture(
        "srvggnet:SRVGGNetCompact", "upscaler", tuple(rf"body\.{index}\.weight" for index in range(3)), _srvggnet
    ),
)
ARCHITECTURES: Mapping[str, Architecture] = {row.name: row for row in _ROWS}
"""Every network whose weights can be read, by the name of its class."""
