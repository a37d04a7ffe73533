"""Training a restorer of aligned faces: patches, pixel and perceptual losses, examination on pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.utils.data import default_collate

from revisage.data.crops import CropPatches, CropSample, read_crops
from revisage.data.degradation import Blur, FFHQDegradation, Jpeg, Noise, Shrink, one_of
from revisage.errors import RecipeError
from revisage.files.checkpoint import load_strictly, read_weights
from revisage.metrics.image import RGB8, psnr, ssim
from revisage.nets.face_descriptor import FaceDescriptor, chips, shows_chip
from revisage.nets.gfpgan import GFPGANv1Clean
from revisage.nets.restoration_unet import RestorationUNet
from revisage.nets.vgg import VGG16Features
from revisage.tensors import from_float, from_tensor, to_float, to_tensor
from revisage.train.config import Strict
from revisage.train.losses import feature_distance, pixel_loss
from revisage.train.task import Examination

Range = tuple[float, float]


class RestorationUNetConfig(Strict):
    """Constructor arguments of :class:`RestorationUNet`."""

    type: Literal["RestorationUNet"] = "RestorationUNet"
    widths: tuple[PositiveInt, ...] = (24, 48, 96, 160, 160)
    blocks: tuple[PositiveInt, ...] = (1, 2, 2, 2, 2)
    unshuffle: PositiveInt = 2

    def build(self) -> nn.Module:
        """The network, freshly initialised."""
        return RestorationUNet(self.widths, self.blocks, self.unshuffle)


class GFPGANv1CleanConfig(Strict):
    """Constructor arguments of :class:`GFPGANv1Clean`; the defaults are those of the released 512-pixel networks."""

    type: Literal["GFPGANv1Clean"] = "GFPGANv1Clean"
    out_size: PositiveInt = 512
    num_style_feat: PositiveInt = 512
    channel_multiplier: float = 2
    fix_decoder: bool = False
    num_mlp: PositiveInt = 8
    input_is_latent: bool = True
    different_w: bool = True
    narrow: float = 1
    sft_half: bool = True

    def build(self) -> nn.Module:
        """The network, freshly initialised."""
        return GFPGANv1Clean(**self.model_dump(exclude={"type"}))


class DegradationConfig(Strict):
    """Ranges of the degradation; the defaults are GFP-GAN's without colour jitter."""

    blur_sigma: Range = (0.1, 10)
    isotropic: float = 0.5
    downsample: Range = (0.8, 8)
    noise: Range = (0, 20)
    jpeg: Range = (60, 100)
    gray: float = 0.01

    def build(self) -> FFHQDegradation:
        """The degradation as a function."""
        steps = Blur(self.blur_sigma, self.isotropic), Shrink(self.downsample), Noise(self.noise), Jpeg(self.jpeg)
        return FFHQDegradation(steps, self.gray)


class PairsConfig(Strict):
    """Pictures to examine on: folders of aligned originals and of degraded ones, equal stems."""

    gt: Path
    lq: Path
    limit: PositiveInt = 16


class RestorerConfig(Strict):
    """A restorer training.

    Attributes:
        crops: folders of aligned square crops.
        only: beginnings of the file names to use, say the sources whose licence allows it.
        size: side of a restored face in pixels.
        patch: side of a training sample cut from it.
        degradation: how originals become inputs; of several, each sample draws one.
        network: what is trained.
        start: weights to begin with.
        pixel, perceptual: weights of the losses; 0 costs nothing.
        features: npz file with VGG16 weights named ``conv1_1.weight`` ... (needed if ``perceptual`` is not 0).
        feature_stages: stages of VGG16 that are compared.
        feature_patch: side of the random part of each patch on which they are compared.
        identity: weight of the distance between identity descriptors, of the patches that show the whole face.
        descriptor: npz file with the weights of :class:`FaceDescriptor` (needed if ``identity`` is not 0).
        over_face: share of the patches that lie over the face; the others lie anywhere.
        validation: name -> pairs.
    """

    kind: Literal["restorer"]
    crops: tuple[Path, ...]
    only: tuple[str, ...] = ("",)
    size: PositiveInt = 512
    patch: PositiveInt = 256
    degradation: tuple[DegradationConfig, ...] = Field((DegradationConfig(),), min_length=1)
    network: Annotated[RestorationUNetConfig | GFPGANv1CleanConfig, Field(discriminator="type")]
    start: Path | None = None
    pixel: NonNegativeFloat = 1.0
    perceptual: NonNegativeFloat = 0.0
    features: Path | None = None
    feature_stages: PositiveInt = 3
    feature_patch: PositiveInt = 128
    identity: NonNegativeFloat = 0.0
    descriptor: Path | None = None
    over_face: NonNegativeFloat = 0.0
    validation: dict[str, PairsConfig] = Field(default_factory=dict)

    def build(self, seed: int) -> RestorerTask:
        """The task, with its data read (RecipeError if something is missing)."""
        return RestorerTask(self, seed)


class RestorerTask:
    """See :class:`revisage.train.task.Task`."""

    def __init__(self, config: RestorerConfig, seed: int) -> None:
        self.config = config
        self.network = config.network.build()
        if config.start is not None:
            load_strictly(self.network, read_weights(config.start)[0], str(config.start))
        self.features = read_features(config.features, config.feature_stages) if config.perceptual else None
        self.descriptor = read_descriptor(config.descriptor) if config.identity else None
        self.dataset = CropPatches(
            read_crops(config.crops, config.only),
            size=config.size,
            patch=config.patch,
            degradation=one_of([degradation.build() for degradation in config.degradation]),
            seed=seed,
            over_face=config.over_face,
        )

    def collate(self, samples: list[CropSample]) -> dict[str, Tensor]:
        """Stack the samples."""
        batch: dict[str, Tensor] = default_collate(samples)
        return batch

    def losses(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weighted pixel and perceptual terms."""
        restored = first(network(batch["lq"].contiguous(memory_format=torch.channels_last))).float()
        terms: dict[str, Tensor] = {}
        if self.config.pixel:
            terms["pixel"] = self.config.pixel * pixel_loss(restored, batch["gt"], batch["detail"])
        if self.features is not None:
            terms["perceptual"] = self.config.perceptual * self._perceptual(self.features, restored, batch)
        if self.descriptor is not None:
            terms["identity"] = self.config.identity * self._identity(self.descriptor, restored, batch)
        return terms

    def _identity(self, descriptor: FaceDescriptor, restored: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Euclidean distance of descriptors, of those samples that show all the descriptor looks at."""
        pairs: list[Tensor] = []
        for mine, theirs, (left, top) in zip(restored, batch["gt"], batch["corner"].tolist(), strict=True):
            if shows_chip((left, top), restored.shape[-1], size=self.config.size):
                pairs.append(chips(torch.stack([mine, theirs]), size=self.config.size, corner=(left, top)))
        if not pairs:
            return restored.new_zeros(())
        descriptor = descriptor.to(restored.device)
        cut = torch.stack(pairs, dim=1)
        with torch.no_grad():
            target = descriptor(cut[1])
        squares = (descriptor(cut[0]) - target).float().square().sum(1)
        return (squares + 1e-4).sqrt().sum() / len(restored)

    def _perceptual(self, features: VGG16Features, restored: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Feature distance on one random part, of those samples whose original has detail."""
        chosen = batch["detail"].nonzero().flatten()
        if not len(chosen):
            return restored.new_zeros(())
        side, room = self.config.feature_patch, restored.shape[-1] - self.config.feature_patch
        top, left = (int(torch.randint(0, max(room, 0) + 1, ())) for _ in range(2))
        mine, theirs = (
            x[chosen, :, top : top + side, left : left + side].contiguous(memory_format=torch.channels_last)
            for x in (restored, batch["gt"])
        )
        features = features.to(restored.device)
        with torch.no_grad():
            target = features(theirs)
        return feature_distance(features(mine), target).mean()

    @cached_property
    def _pairs(self) -> dict[str, Sequence[tuple[RGB8, RGB8]]]:
        """Decoded at the first examination and kept for the others."""
        return {name: read_pairs(pairs, self.config.size) for name, pairs in self.config.validation.items()}

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> Examination:
        """PSNR and SSIM of every set of pairs, beside the input's."""
        network.eval()
        metrics: dict[str, float] = {}
        rows: list[RGB8] = []
        for name, pairs in self._pairs.items():
            scores: list[tuple[float, ...]] = []
            for lq, gt in pairs:
                output = first(network(to_tensor([to_float(lq)])))
                restored = np.asarray(from_float(from_tensor(output)[0], np.uint8), np.uint8)
                scores.append((psnr(restored, gt), ssim(restored, gt), psnr(lq, gt), ssim(lq, gt)))
                if len(scores) <= 2:
                    rows.append(np.hstack([lq, restored, gt]))
            mean = np.mean(scores, axis=0)
            metrics |= {f"{name}/psnr": float(mean[0]), f"{name}/ssim": float(mean[1])}
            metrics |= {f"{name}/input_psnr": float(mean[2]), f"{name}/input_ssim": float(mean[3])}
        return Examination(metrics, np.vstack(rows) if rows else None)

    def describe(self) -> dict[str, Any]:
        """The network's class and constructor arguments, and the side of a face."""
        arguments = self.config.network.model_dump(mode="json", exclude={"type"})
        return {"architecture": self.config.network.type, "arguments": arguments, "size": self.config.size}


def first(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The picture, of networks that return only it and of networks that return more."""
    return output[0] if isinstance(output, tuple) else output


def read_features(path: Path | None, stages: int) -> VGG16Features:
    """VGG16 with weights from an npz file, frozen.

    Raises:
        RecipeError: no file given, or it lacks a convolution.
    """
    if path is None:
        raise RecipeError("task.perceptual is not 0, so task.features must name an npz file with VGG16 weights")
    network = VGG16Features(stages)
    try:
        with np.load(path) as arrays:
            state = {key: torch.from_numpy(arrays[key].astype(np.float32)) for key in network.state_dict()}
    except (OSError, KeyError, ValueError) as error:
        raise RecipeError(f"task.features: {path} does not hold VGG16 weights: {error}") from error
    load_strictly(network, state, str(path))
    return network.requires_grad_(False).eval().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def read_descriptor(path: Path | None) -> FaceDescriptor:
    """The identity descriptor with weights from an npz file of 8-bit arrays and their scales, frozen.

    Raises:
        RecipeError: no file given, or it holds other weights.
    """
    if path is None:
        raise RecipeError("task.identity is not 0, so task.descriptor must name an npz file with descriptor weights")
    network = FaceDescriptor()
    try:
        with np.load(path) as arrays:
            scales = json.loads(str(arrays["quantisation"]))
            values = {key: arrays[key] for key in arrays.files if key != "quantisation"}
    except (OSError, KeyError, ValueError) as error:
        raise RecipeError(f"task.descriptor: {path} does not hold descriptor weights: {error}") from error
    state: dict[str, Tensor] = {}
    for key, array in values.items():
        value = torch.from_numpy(array.astype(np.float32))
        if key in scales:
            value = value * scales[key]["scale"] + scales[key]["min"]
        state[_descriptor_key(key)] = value.permute(3, 2, 0, 1).contiguous() if value.ndim == 4 else value
    state = {key: value.view(-1, 1, 1) if key.endswith((".scale", ".shift")) else value for key, value in state.items()}
    load_strictly(network, state, str(path))
    return network.requires_grad_(False).eval()


def _descriptor_key(name: str) -> str:
    """``conv64_1/conv2/scale/biases`` -> ``units.conv64_1.conv2.shift``."""
    for theirs, mine in (
        ("/conv/filters", ".conv.weight"),
        ("/conv/bias", ".conv.bias"),
        ("/scale/weights", ".scale"),
        ("/scale/biases", ".shift"),
    ):
        name = name.replace(theirs, mine)
    name = name.replace("/", ".")
    if name.startswith("conv32_down"):
        return name.replace("conv32_down", "stem")
    return f"units.{name}" if name.startswith("conv") else name


def read_pairs(pairs: PairsConfig, size: int) -> Sequence[tuple[RGB8, RGB8]]:
    """(lq, gt) as (size, size, 3) uint8; smaller pictures are enlarged bilinearly, larger ones shrunk by area.

    Raises:
        RecipeError: a folder is missing, or an original has no partner.
    """
    originals = {crop.name: crop for crop in read_crops([pairs.gt])}
    degraded = {crop.name: crop for crop in read_crops([pairs.lq])}
    missing = sorted(originals.keys() - degraded.keys())
    if missing:
        raise RecipeError(f"{pairs.lq} has no partner for {missing[0]} and {len(missing) - 1} more")
    names = sorted(originals)[:: max(len(originals) // pairs.limit, 1)][: pairs.limit]
    return [(_resized(degraded[name].pixels, size), _resized(originals[name].pixels, size)) for name in names]


def _resized(pixels: RGB8, size: int) -> RGB8:
    method = cv2.INTER_LINEAR if pixels.shape[0] <= size else cv2.INTER_AREA
    picture = cv2.resize(pixels.astype(np.float32), (size, size), interpolation=method)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
