"""Training the background upscaler: patches of photos, degraded at half their size."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from revisage.evaluation.metrics.image import RGB8, psnr, ssim
from revisage.images.pixels import from_float, to_float
from revisage.models.checkpoint import Header
from revisage.models.nets.background_unet import BackgroundUNet, enlarge_twice
from revisage.training.checks import Problems, check_sizes
from revisage.training.config import Strict
from revisage.training.data.crops import decode_image, list_crops
from revisage.training.data.datasets import resize_crop, shuffled_index, to_chw_tensor
from revisage.training.data.degradations.recipes import DegradationSettings, Steps, StepSettings, choose_randomly
from revisage.training.data.degradations.steps import Degradation, Step
from revisage.training.distributed import World
from revisage.training.task import OptimizerStep, Progress, ValidationResult
from revisage.training.tasks.networks import NetworkConfig, initial_network
from revisage.training.tasks.samples import image_grid, to_images
from revisage.training.tasks.terms import CosinePerceptualTerm, LossInputs, PixelTerm
from revisage.types import FloatImage

FACTOR = BackgroundUNet.factor
"""Side of an original over that of the sample that is made of it."""


class BackgroundUNetConfig(NetworkConfig):
    """Of :class:`BackgroundUNet`."""

    network = BackgroundUNet
    type: Literal["BackgroundUNet"] = "BackgroundUNet"
    widths: tuple[PositiveInt, ...] = (32, 64, 96)
    blocks: tuple[PositiveInt, ...] = (1, 2, 3)
    gate_threshold: NonNegativeFloat = 0.0


Photo = tuple[Path, tuple[float, float]]
"""A file, and the least and largest factor to shrink it by."""
Shrink = Annotated[float, Field(gt=0, le=1)]


class PhotoSource(Strict):
    """A folder of photos.

    Attributes:
        folder: searched with its folders.
        name_prefixes: beginnings of the file names to use.
        shrink: originals are photos made smaller by a factor between these, which hides their compression.
        weight: how often each photo is drawn in a round.
    """

    folder: Path
    name_prefixes: tuple[str, ...] = ("",)
    shrink: tuple[Shrink, Shrink] = (0.5, 1.0)
    weight: PositiveInt = 1


class BackgroundConfig(Strict):
    """A training of the background upscaler.

    Attributes:
        photos: where they lie; every 20th of them, by name, is kept to validate on.
        patch: side of a sample, a multiple of the network's.
        color_steps: done to every original: looks, such as sepia, that are to stay.
        degradation: of these each sample meets one, after it was reduced to half its size.
        perceptual: a light term, if any.
    """

    kind: Literal["background"]
    photos: tuple[PhotoSource, ...] = Field(min_length=1)
    patch: PositiveInt = 80
    color_steps: tuple[StepSettings, ...] = ()
    degradation: tuple[DegradationSettings, ...] = Field((Steps(),), min_length=1)
    network: BackgroundUNetConfig = BackgroundUNetConfig()
    initial_weights: Path | None = None
    pixel: PixelTerm = PixelTerm()
    perceptual: CosinePerceptualTerm | None = None

    def metrics_of_validation(self) -> dict[str, str]:
        return {f"{prefix}{name}": "higher" for name in ("psnr", "ssim") for prefix in ("", "cubic_")}

    def patches(self, photos: Sequence[Photo], seed: int) -> PhotoPatches:
        degradation = choose_randomly(self.degradation)
        return PhotoPatches(photos, patch=self.patch, color_steps=self.color_steps, degradation=degradation, seed=seed)

    def build(self, seed: int, missing: Collection[str] = ()) -> BackgroundTask:
        return BackgroundTask(self, seed, missing)


@dataclass(frozen=True, eq=False)
class PhotoPatches(Dataset[dict[str, Tensor]]):
    """Endless random patches of photos, ``gt``, and what became of them, ``lq``, at half the size.

    Attributes:
        photos: (file, least and largest factor to shrink it by).
        patch: side of ``lq``.
        color_steps: done to ``gt``.
        degradation: of ``lq``, after it was reduced.
        seed: of everything random.
    """

    photos: Sequence[Photo]
    _: KW_ONLY
    patch: int
    color_steps: Sequence[Step]
    degradation: Degradation
    seed: int

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """``lq`` (3, P, P) and ``gt`` (3, 2 P, 2 P) RGB in [0, 1]."""
        rng = np.random.default_rng((self.seed, 1, index))
        gt = cut_patch(self.photos, index, self.seed, FACTOR * self.patch, rng)
        for step in self.color_steps:
            gt = step(gt, rng)
        lq, _ = self.degradation(_halve(gt, rng), rng)
        return {"lq": to_chw(lq), "gt": to_chw(gt)}


def cut_patch(photos: Sequence[Photo], index: int, seed: int, side: int, rng: np.random.Generator) -> FloatImage:
    """A random square of a photo, shrunk to (side, side, 3), turned and mirrored."""
    path, shrink = photos[shuffled_index(index, len(photos), seed)]
    pixels = _decode(path)
    cut = min(round(side / rng.uniform(*shrink)), *pixels.shape[:2])
    top, left = (int(rng.integers(0, length - cut + 1)) for length in pixels.shape[:2])
    part = to_float(np.ascontiguousarray(pixels[top : top + cut, left : left + cut]))
    return _turn(resize_crop(part, side), int(rng.integers(8)))


@lru_cache(maxsize=1)
def _decode(path: Path) -> RGB8:
    """A photo; patches of one photo that follow each other decode it once."""
    return decode_image(path.read_bytes(), str(path))


def to_chw(image: FloatImage) -> Tensor:
    """(H, W, 3) in [0, 1] -> (3, H, W) in [0, 1]."""
    return (to_chw_tensor(image) + 1) / 2


def _turn(image: FloatImage, way: int) -> FloatImage:
    """One of the eight ways to turn and mirror a square image."""
    turned = np.rot90(image, way % 4)
    return np.ascontiguousarray(turned[:, ::-1] if way >= 4 else turned)


def _halve(image: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Half the size, by area averages or more sharply, as cameras and programs do."""
    method = int(rng.choice([cv2.INTER_AREA, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4]))
    if method != cv2.INTER_AREA:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 0.8))), np.float32)
    height, width = (length // FACTOR for length in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.float32).clip(0, 1)


class BackgroundTask:
    """See :class:`revisage.training.task.Task`."""

    collate = staticmethod(default_collate)

    def __init__(self, config: BackgroundConfig, seed: int, missing: Collection[str] = ()) -> None:
        self.config = config
        with Problems(missing) as problems:
            self.network = problems.attempt(
                lambda: initial_network(config.network.build, config.initial_weights), "task.initial_weights"
            )
            problems.add(*check_sizes(self.network, patch=config.patch))
            self._pixel = config.pixel.build()
            self._perceptual = problems.attempt(
                lambda: config.perceptual.build() if config.perceptual else None, "task.perceptual"
            )
            photos, self._kept = problems.attempt(lambda: split_photos(config.photos), "task.photos") or ([], [])
            self.dataset = config.patches(photos, seed)
            self._validation = config.patches(self._kept, seed + 1)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {"upscaler": self.network}

    def optimizer_steps(self, batch: dict[str, Tensor], progress: Progress) -> Iterator[OptimizerStep]:
        """Distances of pixels and of features."""
        restored = self.network(batch["lq"].contiguous(memory_format=torch.channels_last)).float()
        gt = batch["gt"]
        detail = torch.ones(len(gt), device=gt.device)
        inputs = LossInputs(2 * restored - 1, 2 * gt - 1, detail, [], [], gt.shape[-1], progress.images)
        terms = {"pixel": self._pixel(inputs)}
        yield "upscaler", terms | ({"perceptual": self._perceptual(inputs)} if self._perceptual else {})

    @torch.inference_mode()
    def validate(self, network: nn.Module, world: World) -> ValidationResult:
        """PSNR and SSIM on photos that are not trained on, beside those of cubic convolution."""
        network.eval()
        device = next(network.parameters()).device
        rows: list[dict[str, float]] = []
        shown: list[RGB8] = []
        for index in world.shard(len(self._kept)):
            sample = {name: image[None] for name, image in self._validation[index].items()}
            batch = torch.cat(
                [sample["gt"], network(sample["lq"].to(device)).float().cpu(), enlarge_twice(sample["lq"])]
            )
            gt, restored, cubic = (np.asarray(from_float(one, np.uint8), np.uint8) for one in to_images(2 * batch - 1))
            rows.append(
                {
                    f"{prefix}{name}": metric(image, gt)
                    for prefix, image in (("", restored), ("cubic_", cubic))
                    for name, metric in (("psnr", psnr), ("ssim", ssim))
                }
            )
            if len(shown) < 6:
                shown.append(np.hstack([cubic, restored, gt]))
        rows = world.gather(rows)
        return ValidationResult(
            {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}, np.vstack(shown) if shown else None
        )

    def header(self) -> Header:
        return self.config.network.header()

    def image_grid(self, batch: dict[str, Tensor]) -> RGB8:
        return image_grid(2 * enlarge_twice(batch["lq"].cpu()) - 1, 2 * batch["gt"] - 1)


def split_photos(sources: Sequence[PhotoSource]) -> tuple[list[Photo], list[Photo]]:
    """Photos to train on, each as often as its weight says, and every 20th file, once, to validate on."""
    found: list[Photo] = []
    for source in sources:
        photos = list_crops(source.folder, source.name_prefixes)
        found += [(photo.path, source.shrink) for photo in photos for _ in range(source.weight)]
    kept = dict(list(dict(found).items())[::20])
    return [photo for photo in found if photo[0] not in kept], list(kept.items())
