"""Training the face detector: scenes, MultiBox loss, examination on scenes of faces it has never seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from revisage.boxes import without_overlaps
from revisage.errors import RecipeError
from revisage.evaluation.metrics.faces import DetectionEvaluator
from revisage.models.checkpoint import Header
from revisage.models.nets.retinaface import NetworkName, RetinaFace, anchors, preprocess, propose
from revisage.training.config import Strict
from revisage.training.distributed import World
from revisage.training.embedded.multibox import multibox_loss
from revisage.training.embedded.scenes.face_scenes import FaceScenes, SceneSample, collate
from revisage.training.embedded.scenes.labelled_photos import (
    LabelledPhoto,
    fit_boxes,
    held_out,
    read_crops,
    read_mistakes,
    read_photos,
)
from revisage.training.task import OptimizerStep, Progress, ValidationResult
from revisage.training.tasks.networks import load_initial_weights

Array = NDArray[np.float32]


class DetectorConfig(Strict):
    """A detector training.

    Attributes:
        photos: JSON file with boxes and landmarks of whole photos.
        crops: CSV file with landmarks of aligned crops.
        name_prefixes: beginnings of the paths to use, photos and crops, say the sources whose licence allows it.
        side: of a training scene in pixels.
        network_name: body of the network.
        mistakes: detections of an earlier network in the photos, ``{"name.jpg": [{"box"}]}``; those that are no true
            face are shown often (hard negatives).
        initial_weights: initial weights.
        box, landmark: weights of these losses, that of the score being 1.
        negatives: hardest background anchors for each face anchor.
        folds: one person in so many is kept out of the training and examined on.
        examined: scenes in an examination.
        backgrounds: made in advance, see :class:`FaceScenes`.
    """

    kind: Literal["detector"]
    photos: Path
    crops: Path
    name_prefixes: tuple[str, ...] = ("",)
    side: PositiveInt = 320
    network_name: NetworkName = "mobile0.25"
    mistakes: Path | None = None
    initial_weights: Path | None = None
    box: NonNegativeFloat = 1.0
    landmark: NonNegativeFloat = 1.0
    negatives: NonNegativeFloat = 7.0
    folds: PositiveInt = 12
    examined: PositiveInt = 192
    backgrounds: NonNegativeInt = 1000

    def build(self, seed: int) -> DetectorTask:
        """The task, with its data read (RecipeError if something is missing)."""
        return DetectorTask(self, seed)


class DetectorTask:
    """See :class:`revisage.training.task.Task`."""

    def __init__(self, config: DetectorConfig, seed: int) -> None:
        self.config = config
        self.network = RetinaFace(config.network_name, phase="train")
        load_initial_weights(self.network, config.initial_weights)
        photos = read_photos(config.photos, config.name_prefixes)
        crops = read_crops(config.crops, config.name_prefixes, fit_boxes(photos))
        learnt, kept = [p for p in photos if self._learnt(p)], [p for p in photos if not self._learnt(p)]
        if not learnt or not kept:
            raise RecipeError(f"{config.photos} has too few photos to keep one person in {config.folds} aside")
        mistakes = read_mistakes(config.mistakes, learnt) if config.mistakes else None
        own, others = [c for c in crops if self._learnt(c)], [c for c in crops if not self._learnt(c)]
        self.dataset = FaceScenes(learnt, own, config.side, seed, mistakes, config.backgrounds)
        self.examined = FaceScenes(kept, others, config.side, seed + 1, backgrounds=config.backgrounds // 5)

    def _learnt(self, photo: LabelledPhoto) -> bool:
        """Whether a person or motif is for training, in all pictures of it."""
        return not held_out(photo.name, self.config.folds)

    def collate(self, samples: list[SceneSample]) -> dict[str, Tensor]:
        """Stack the scenes; fewer faces are filled up."""
        return collate(samples)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The detector, alone."""
        return {"detector": self.network}

    def optimizer_steps(self, batch: dict[str, Tensor], progress: Progress) -> Iterator[OptimizerStep]:  # noqa: ARG002
        """Its turn: the weighted terms of the MultiBox loss."""
        pictures, extent = _network_input(batch["pictures"])
        priors = anchors(*pictures.shape[-2:]).to(pictures.device)
        faces = {
            "boxes": batch["boxes"] / extent.repeat(2),
            "landmarks": batch["landmarks"] / extent.repeat(5),
            "kinds": batch["kinds"],
        }
        terms = multibox_loss(self.network(pictures), priors, faces, negatives=self.config.negatives)
        weights = {"score": 1.0, "box": self.config.box, "landmark": self.config.landmark}
        yield "detector", {name: weights[name] * term for name, term in terms.items()}

    @torch.inference_mode()
    def validate(self, network: nn.Module, world: World) -> ValidationResult:
        """Recall, precision and landmark error on scenes of people and motifs kept aside (`DetectionEvaluator`)."""
        network.eval()
        results: list[tuple[Any, ...]] = []
        shown: list[NDArray[np.uint8]] = []
        share = world.shard(self.config.examined)
        for start in range(0, len(share), 16):
            batch = collate([self.examined[index] for index in share[start : start + 16]])
            for pixels, truth, found in zip(batch["pictures"], _truth(batch), _found(network, batch), strict=True):
                results.append((*truth, *found))
                if len(shown) < 12:
                    shown.append(drawn(pixels.permute(1, 2, 0).numpy(), *found))
        evaluator = DetectionEvaluator()
        for result in world.gather(results):
            evaluator.add(*result)
        return ValidationResult(evaluator.metrics(), _grid(shown))

    def image_grid(self, batch: dict[str, Tensor]) -> NDArray[np.uint8]:
        """Scenes with their true faces."""
        scenes = zip(batch["pictures"], _truth(batch), strict=True)
        shown = [drawn(pixels.permute(1, 2, 0).numpy(), boxes, points) for pixels, (boxes, points, _) in scenes]
        return _grid(shown[:12]) if len(shown) >= 4 else np.hstack(shown)

    def header(self) -> Header:
        """The network's class and constructor arguments."""
        return Header("RetinaFace", {"network_name": self.config.network_name})


def _grid(shown: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.vstack([np.hstack(shown[row : row + 4]) for row in range(0, len(shown) - len(shown) % 4, 4)])


def drawn(pixels: NDArray[np.uint8], boxes: Array, landmarks: Array) -> NDArray[np.uint8]:
    """A copy of the picture with boxes and landmarks in it."""
    picture = np.ascontiguousarray(pixels)
    for box, points in zip(boxes, landmarks, strict=True):
        x1, y1, x2, y2 = (round(float(value)) for value in box)
        cv2.rectangle(picture, (x1, y1), (x2, y2), (0, 255, 0), 1)
        for x, y in points:
            cv2.circle(picture, (round(float(x)), round(float(y))), 1, (255, 255, 0), -1)
    return picture


def _network_input(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 R, G, B -> (what the network takes, its width and height)."""
    values = preprocess(pictures.float()).contiguous(memory_format=torch.channels_last)
    return values, values.new_tensor([values.shape[-1], values.shape[-2]])


def _truth(batch: dict[str, Tensor]) -> list[tuple[Array, Array, NDArray[np.bool_]]]:
    """Boxes and landmarks of each picture and whether they count, without the filling."""
    entries = zip(batch["boxes"], batch["landmarks"], batch["kinds"], strict=True)
    return [
        (boxes[kinds >= 0].numpy(), points[kinds >= 0].reshape(-1, 5, 2).numpy(), kinds[kinds >= 0].numpy() == 1)
        for boxes, points, kinds in entries
    ]


def _found(network: nn.Module, batch: dict[str, Tensor], score: float = 0.6) -> list[tuple[Array, Array]]:
    """Boxes and landmarks of each picture, best first, after non-maximum suppression."""
    pictures = batch["pictures"].to(next(network.parameters()).device).float()
    proposals = propose(cast(RetinaFace, network), pictures.contiguous(memory_format=torch.channels_last))
    found: list[tuple[Array, Array]] = []
    for boxes, scores, landmarks in zip(*proposals, strict=True):
        likely = (scores > score).nonzero().flatten()
        rows, values, marks = (x[likely].float().cpu().numpy() for x in (boxes, scores, landmarks))
        kept = without_overlaps(rows, values, 0.4)
        found.append((rows[kept], marks[kept]))
    return found
