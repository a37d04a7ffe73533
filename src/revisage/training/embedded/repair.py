"""Training the repair network: patches of photos, damaged at places that are known."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset, default_collate

from revisage.evaluation.metrics.image import RGB8
from revisage.models.checkpoint import Header
from revisage.models.nets.repair_unet import RepairUNet
from revisage.training.checks import Problems, check_sizes
from revisage.training.config import Strict
from revisage.training.data.degradations.recipes import DegradationSettings, Steps, StepSettings, choose_randomly
from revisage.training.data.degradations.steps import Probability, Range
from revisage.training.distributed import World
from revisage.training.embedded.background import Photo, PhotoSource, cut_patch, split_photos, to_chw
from revisage.training.task import OptimizerStep, Progress, ValidationResult
from revisage.training.tasks.networks import NetworkConfig, initial_network
from revisage.training.tasks.samples import image_grid
from revisage.types import FloatImage

VISIBLE = (4 / 255, 12 / 255)
"""Changes of a pixel, in the channel that changes most, from which it counts as a little and as wholly damaged."""
PATCHES = 4
"""Samples in a row that come from one photo: decoding it costs as much as all else."""
FOUND = 0.5
"""Probability from which a pixel counts as found in the validation."""


class RepairUNetConfig(NetworkConfig):
    """Of :class:`RepairUNet`."""

    network = RepairUNet
    type: Literal["RepairUNet"] = "RepairUNet"
    widths: tuple[PositiveInt, ...] = (24, 40, 64, 80)
    blocks: tuple[PositiveInt, ...] = (1, 1, 1, 2)


class RepairConfig(Strict):
    """A training of the repair network.

    Attributes:
        photos: where they lie; every 20th of them, by name, is kept to validate on.
        patch: side of a sample, a multiple of the network's.
        shared_steps: done to every original: looks that are to stay, and parts that resemble damage.
        damage: done to the sample alone; the difference is the truth.
        intact: how often a sample is not damaged.
        softness: sigma of a blur of original and sample, in pixels.
        degradation: of these each sample meets one afterwards: grain, compression.
        fill: weight of the distance of pixels where there is damage.
    """

    kind: Literal["repair"]
    photos: tuple[PhotoSource, ...] = Field(min_length=1)
    patch: PositiveInt = 128
    shared_steps: tuple[StepSettings, ...] = ()
    damage: tuple[StepSettings, ...] = Field(min_length=1)
    intact: Probability = 0.35
    softness: Range = (0.0, 1.0)
    degradation: tuple[DegradationSettings, ...] = Field((Steps(()),), min_length=1)
    network: RepairUNetConfig = RepairUNetConfig()
    fill: NonNegativeFloat = 1.0

    def metrics_of_validation(self) -> dict[str, str]:
        return {"recall": "higher", "precision": "higher", "psnr": "higher", "damaged_psnr": "higher"}

    def build(self, seed: int, missing: Collection[str] = ()) -> RepairTask:
        return RepairTask(self, seed, missing)


@dataclass(frozen=True, eq=False)
class DamagedPatches(Dataset[dict[str, Tensor]]):
    """Endless random patches of photos, ``gt``, what became of them, ``lq``, and where: ``mask``.

    Attributes:
        config: how they are made.
        photos: (file, least and largest factor to shrink it by).
        seed: of everything random.
    """

    config: RepairConfig
    photos: Sequence[Photo]
    seed: int

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """``lq`` and ``gt`` (3, P, P) RGB and ``mask`` (1, P, P), all in [0, 1]."""
        rng = np.random.default_rng((self.seed, 1, index))
        config = self.config
        gt = cut_patch(self.photos, index // PATCHES, self.seed, config.patch, rng)
        for step in config.shared_steps:
            gt = step(gt, rng)
        damaged = gt
        if rng.random() >= config.intact:
            for step in config.damage:
                damaged = step(damaged, rng)
        gt, damaged = _soften(gt, damaged, float(rng.uniform(*config.softness)))
        mask = damage_mask(gt, damaged)
        lq, _ = choose_randomly(config.degradation)(damaged, rng)
        return {"lq": to_chw(lq), "gt": to_chw(gt), "mask": torch.from_numpy(mask)[None]}


def damage_mask(gt: FloatImage, damaged: FloatImage) -> FloatImage:
    """(H, W, 3) twice -> (H, W) from 0, where nothing is seen to have changed, to 1."""
    low, high = VISIBLE
    change = np.abs(damaged - gt).max(axis=2)
    return np.clip((change - np.float32(low)) / np.float32(high - low), 0, 1)


def _soften(gt: FloatImage, damaged: FloatImage, sigma: float) -> tuple[FloatImage, FloatImage]:
    if sigma < 0.2:
        return gt, damaged
    soft, softened = (np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32) for image in (gt, damaged))
    return soft, softened


class RepairTask:
    """See :class:`revisage.training.task.Task`."""

    collate = staticmethod(default_collate)

    def __init__(self, config: RepairConfig, seed: int, missing: Collection[str] = ()) -> None:
        self.config = config
        with Problems(missing) as problems:
            self.network = initial_network(config.network.build, None)
            problems.add(*check_sizes(self.network, patch=config.patch))
            photos, self._kept = problems.attempt(lambda: split_photos(config.photos), "task.photos") or ([], [])
            self.dataset = DamagedPatches(config, photos, seed)
            self._validation = DamagedPatches(config, self._kept, seed + 1)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {"repairer": self.network}

    def optimizer_steps(self, batch: dict[str, Tensor], progress: Progress) -> Iterator[OptimizerStep]:
        """Cross-entropy and overlap of the mask (Milletari et al. 2016, arXiv 1606.04797); distance of the filling."""
        del progress
        output = self.network(batch["lq"].contiguous(memory_format=torch.channels_last)).float()
        mask, filled, logits = batch["mask"], output[:, :3], output[:, 3:]
        found = torch.sigmoid(logits)
        overlap = (2 * (found * mask).sum() + 1) / (found.sum() + mask.sum() + 1)
        # Around damage as well: what is taken for damage is mostly a pixel wider.
        weight = F.max_pool2d(mask, 5, 1, 2) + 0.02
        distance = (weight * (filled - batch["gt"]).abs()).sum() / (3 * weight.sum())
        yield (
            "repairer",
            {
                "mask": F.binary_cross_entropy_with_logits(logits, mask),
                "overlap": 0.1 * (1 - overlap),
                "fill": self.config.fill * distance,
            },
        )

    @torch.inference_mode()
    def validate(self, network: nn.Module, world: World) -> ValidationResult:
        """Recall and precision of pixels, PSNR of all that is damaged before and after, on photos not trained on."""
        network.eval()
        device = next(network.parameters()).device
        rows: list[tuple[float, ...]] = []
        shown: list[RGB8] = []
        for index in world.shard(4 * len(self._kept)):
            sample = {name: image[None] for name, image in self._validation[index].items()}
            filled, probability = network(sample["lq"].to(device)).float().cpu().split((3, 1), dim=1)
            rows.append(_compare(sample, filled, probability))
            if len(shown) < 6 and sample["mask"].any():
                repaired = torch.where(probability > FOUND, filled, sample["lq"])
                shown.append(
                    image_grid(
                        2 * torch.cat([sample["lq"], probability.expand(-1, 3, -1, -1)]) - 1,
                        2 * torch.cat([repaired, sample["gt"]]) - 1,
                    )
                )
        total = np.sum(world.gather(rows), axis=0)
        return ValidationResult(_metrics(*total.tolist()), np.vstack(shown) if shown else None)

    def header(self) -> Header:
        return self.config.network.header()

    def image_grid(self, batch: dict[str, Tensor]) -> RGB8:
        return image_grid(2 * batch["lq"] - 1, 2 * batch["gt"] - 1)


def _compare(sample: Mapping[str, Tensor], filled: Tensor, probability: Tensor) -> tuple[float, ...]:
    """Counts of pixels found rightly, found, damaged; sums of squares within the damage, before and after."""
    found, mask = probability > FOUND, sample["mask"] > 0.5
    repaired = torch.where(found, filled.clamp(0, 1), sample["lq"])
    before, after = ((image - sample["gt"]).square().mean(1, keepdim=True) for image in (sample["lq"], repaired))
    sums = (found & mask).sum(), found.sum(), mask.sum(), (before * mask).sum(), (after * mask).sum()
    return tuple(float(one) for one in sums)


def _metrics(right: float, found: float, damaged: float, before: float, after: float) -> dict[str, float]:
    psnr, damaged_psnr = (float(-10 * np.log10(max(power, 1e-9) / max(damaged, 1))) for power in (after, before))
    return {
        "recall": right / max(damaged, 1),
        "precision": right / max(found, 1),
        "psnr": psnr,
        "damaged_psnr": damaged_psnr,
    }
