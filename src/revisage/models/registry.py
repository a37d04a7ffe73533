"""The table of models that have a name. To add a model, add a row; nothing here imports torch.

Sizes and SHA-256 sums are those of the published files as several independent projects record them; None where nobody
does: such a file is used only after it has proved to be weights of its architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from revisage.models.architectures import ARCHITECTURES, Role


@dataclass(frozen=True)
class License:
    """Code, weights and data are licensed separately; "unknown" where their authors do not say.

    Attributes:
        code: of the project that published the weights; the code that runs them here is Apache-2.0.
        weights: of the file itself.
        data: what the network was trained on, and on which terms.
    """

    code: str
    weights: str
    data: str


@dataclass(frozen=True)
class ModelSpec:
    """A model that has a name.

    Attributes:
        architecture: a name of ``ARCHITECTURES``, or a class of ``nets`` that extracts features for losses and metrics.
        file: name of the weights file, in the package or in the cache.
        description: what the model does, one line.
        parameters: number of learnt values.
        license: of code, weights and training data.
        urls: where the file is published, the official address first; empty: it is part of the package.
        size: bytes, None if unknown.
        sha256: hexadecimal, None if unknown.
    """

    architecture: str
    file: str
    description: str
    parameters: int
    license: License
    urls: tuple[str, ...] = ()
    size: int | None = None
    sha256: str | None = None

    @property
    def role(self) -> Role | None:
        """Role of the architecture; None for feature extractors of losses and metrics."""
        row = ARCHITECTURES.get(self.architecture)
        return row and row.role


DEFAULT_PARSER = "parsenet"
"""The face parser that is used if its file is in the cache and none is named."""

_GFPGAN = "https://github.com/TencentARC/GFPGAN/releases/download"
_FACEXLIB = "https://github.com/xinntao/facexlib/releases/download"
_CODEFORMER = "https://github.com/sczhou/CodeFormer/releases/download/v0.1.0"
_REAL_ESRGAN = "https://github.com/xinntao/Real-ESRGAN/releases/download"
_RESTOREFORMER = "https://github.com/wzhouxiff/RestoreFormerPlusPlus/releases/download/v1.0.0"

_OURS = License("Apache-2.0", "Apache-2.0", "US House portraits (MIT repository) and SFHQ-T2I synthetic faces (MIT)")
_OURS_MORE = License("Apache-2.0", "Apache-2.0", f"{_OURS.data}, portraits of public bodies (CC0, CC BY) and more")
_OURS_PHOTOS = License("Apache-2.0", "Apache-2.0", f"{_OURS.data}, photos of public bodies (CC0, CC BY) and more")
_FFHQ = "FFHQ (CC BY-NC-SA 4.0)"
_STYLEGAN = License("Apache-2.0; parts NVIDIA non-commercial", "Apache-2.0; NVIDIA non-commercial parts", _FFHQ)
_STYLEGAN_MORE = License(_STYLEGAN.code, _STYLEGAN.weights, f"{_FFHQ} and more, undisclosed")
_FORMER = License("Apache-2.0", "Apache-2.0", _FFHQ)
_DETECTOR = License("MIT", "MIT", "WIDER FACE (research only)")
_PARSER = License("MIT", "MIT", "CelebAMask-HQ (research only)")
_UPSCALER = License("BSD-3-Clause", "BSD-3-Clause", "DF2K and OST (research only)")

_RESTORES = "restores aligned 512-pixel faces"
_DETECTS = "detects faces and five landmarks"

MODELS: Mapping[str, ModelSpec] = {
    "embedded": ModelSpec("CoarseToFineUNet", "restorer.onnx", _RESTORES, 15_718_264, _OURS_MORE),
    "embedded-detector": ModelSpec("RetinaFace", "detector.onnx", _DETECTS, 426_608, _OURS),
    "embedded-identity": ModelSpec(
        "FaceEmbedder", "identity.onnx", "compares a restored face with the original", 608_080, _OURS
    ),
    "embedded-background": ModelSpec(
        "BackgroundUNet", "background.onnx", "repairs photos and enlarges them twice", 889_232, _OURS_PHOTOS
    ),
    "embedded-repair": ModelSpec(
        "RepairUNet", "repair.onnx", "finds scratches and dust in photos and fills them", 506_624, _OURS_PHOTOS
    ),
    "gfpgan-1": ModelSpec(
        "GFPGANv1",
        "GFPGANv1.pth",
        f"{_RESTORES} and colours them; the network of the paper",
        76_207_244,
        _STYLEGAN,
        (f"{_GFPGAN}/v0.1.0/GFPGANv1.pth",),
    ),
    "gfpgan-1.2": ModelSpec(
        "GFPGANv1Clean",
        "GFPGANv1.2.pth",
        f"{_RESTORES}: sharp, with make-up",
        86_444_252,
        _STYLEGAN_MORE,
        (f"{_GFPGAN}/v1.3.0/GFPGANv1.2.pth", f"{_GFPGAN}/v0.2.0/GFPGANCleanv1-NoCE-C2.pth"),
        sha256="29e25ee90c170f4231163f4c83df6b59c968b73f3ce00cb884015ae005db083c",
    ),
    "gfpgan-1.3": ModelSpec(
        "GFPGANv1Clean",
        "GFPGANv1.3.pth",
        f"{_RESTORES}: natural, less sharp",
        86_444_252,
        _STYLEGAN_MORE,
        (f"{_GFPGAN}/v1.3.0/GFPGANv1.3.pth",),
        348_632_874,
        "c953a88f2727c85c3d9ae72e2bd4846bbaf59fe6972ad94130e23e7017524a70",
    ),
    "gfpgan-1.4": ModelSpec(
        "GFPGANv1Clean",
        "GFPGANv1.4.pth",
        f"{_RESTORES}: more detail and identity than 1.3",
        86_444_252,
        _STYLEGAN_MORE,
        (f"{_GFPGAN}/v1.3.0/GFPGANv1.4.pth", f"{_GFPGAN}/v1.3.4/GFPGANv1.4.pth"),
        348_632_874,
        "e2cd4703ab14f4d01fd1383a8a8b266f9a5833dacee8e6a79d3bf21a1b6be5ad",
    ),
    "restoreformer": ModelSpec(
        "RestoreFormer",
        "RestoreFormer.pth",
        f"{_RESTORES} from a dictionary",
        72_680_003,
        _FORMER,
        (f"{_GFPGAN}/v1.3.4/RestoreFormer.pth",),
    ),
    "restoreformer-ckpt": ModelSpec(
        "RestoreFormer",
        "RestoreFormer.ckpt",
        f"{_RESTORES} from a dictionary; its authors' own file",
        72_680_003,
        _FORMER,
        (f"{_RESTOREFORMER}/RestoreFormer.ckpt",),
        290_861_237,
        "4a193c716bc27cc0533d1b9307100c671e7b584ffa3ba6648182fea4b3228dff",
    ),
    "restoreformer++": ModelSpec(
        "RestoreFormer",
        "RestoreFormer++.ckpt",
        f"{_RESTORES} from a dictionary, with finer attention",
        73_472_579,
        _FORMER,
        (f"{_RESTOREFORMER}/RestoreFormer%2B%2B.ckpt",),
        294_028_815,
    ),
    "retinaface-resnet50": ModelSpec(
        "RetinaFace",
        "detection_Resnet50_Final.pth",
        _DETECTS,
        27_293_600,
        _DETECTOR,
        (f"{_FACEXLIB}/v0.1.0/detection_Resnet50_Final.pth", f"{_CODEFORMER}/detection_Resnet50_Final.pth"),
        109_497_761,
        "6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
    ),
    "retinaface-mobilenet": ModelSpec(
        "RetinaFace",
        "detection_mobilenet0.25_Final.pth",
        _DETECTS,
        426_608,
        _DETECTOR,
        (f"{_FACEXLIB}/v0.1.0/detection_mobilenet0.25_Final.pth", f"{_CODEFORMER}/detection_mobilenet0.25_Final.pth"),
        1_789_735,
        "2979b33ffafda5d74b6948cd7a5b9a7a62f62b949cef24e95fd15d2883a65220",
    ),
    "parsenet": ModelSpec(
        "ParseNet",
        "parsing_parsenet.pth",
        "labels 19 parts of aligned faces",
        21_303_254,
        _PARSER,
        (f"{_FACEXLIB}/v0.2.2/parsing_parsenet.pth", f"{_CODEFORMER}/parsing_parsenet.pth"),
        85_331_193,
        "3d558d8d0e42c20224f13cf5a29c79eba2d59913419f945545d8cf7b72920de2",
    ),
    "bisenet": ModelSpec(
        "BiSeNet",
        "parsing_bisenet.pth",
        "labels 19 parts of aligned faces",
        13_300_416,
        _PARSER,
        (f"{_FACEXLIB}/v0.2.0/parsing_bisenet.pth",),
        53_289_463,
        "468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567",
    ),
    "realesrgan-x2plus": ModelSpec(
        "RRDBNet",
        "RealESRGAN_x2plus.pth",
        "enlarges backgrounds twice",
        16_703_171,
        _UPSCALER,
        (f"{_REAL_ESRGAN}/v0.2.1/RealESRGAN_x2plus.pth",),
        67_061_725,
        "49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
    ),
    "realesr-general-x4v3": ModelSpec(
        "SRVGGNetCompact",
        "realesr-general-x4v3.pth",
        "enlarges backgrounds four times; small",
        1_213_296,
        License("BSD-3-Clause", "BSD-3-Clause", "unknown"),
        (f"{_REAL_ESRGAN}/v0.2.5.0/realesr-general-x4v3.pth",),
        4_885_111,
        "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
    ),
    "arcface-resnet18": ModelSpec(
        "ResNetArcFace",
        "arcface_resnet18.pth",
        "compares identities, for training and metrics",
        25_627_081,
        License("Apache-2.0", "unknown", "unknown"),
        (f"{_GFPGAN}/v0.1.0/arcface_resnet18.pth",),
    ),
    "stylegan2-ffhq-512": ModelSpec(
        "StyleGAN2Generator",
        "StyleGAN2_512_Cmul1_FFHQ_B12G4_scratch_800k.pth",
        "generates faces; initial weights of GFPGANv1's decoder",
        24_860_935,
        _STYLEGAN,
        (f"{_GFPGAN}/v0.1.0/StyleGAN2_512_Cmul1_FFHQ_B12G4_scratch_800k.pth",),
    ),
    "vgg19": ModelSpec(
        "VGG19Features",
        "vgg19-dcbb9e9d.pth",
        "image features for the perceptual loss",
        143_667_240,
        License("BSD-3-Clause", "BSD-3-Clause", "ImageNet (research only)"),
        ("https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",),
        574_673_361,
        "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
    ),
    "inception-fid": ModelSpec(
        "InceptionV3",
        "pt_inception-2015-12-05-6726825d.pth",
        "image features for the Frechet inception distance",
        23_850_960,
        License("Apache-2.0", "Apache-2.0", "ImageNet (research only)"),
        ("https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",),
        95_628_359,
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
}
