"""Training the face detector: its task, and the MultiBox loss. Validation scenes show people kept out of training."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from revisage.boxes import nms
from revisage.errors import RecipeError
from revisage.evaluation.metrics.faces import DetectionEvaluator
from revisage.models.checkpoint import Header
from revisage.models.nets.retinaface import NetworkName, RetinaFace, anchors, encode, preprocess, propose
from revisage.training.checks import Problems
from revisage.training.config import Strict
from revisage.training.distributed import World
from revisage.training.embedded.face_scenes import FaceScenes, SceneSample, collate
from revisage.training.embedded.labeled_photos import (
    LabeledPhoto,
    fit_boxes,
    is_held_out,
    read_crops,
    read_false_positives,
    read_photos,
)
from revisage.training.task import OptimizerStep, Progress, ValidationResult
from revisage.training.tasks.networks import initial_network

Array = NDArray[np.float32]


class DetectorConfig(Strict):
    """A detector training.

    Attributes:
        photos, crops: JSON file with boxes and landmarks of whole photos, CSV file with landmarks of aligned crops.
        name_prefixes: beginnings of the paths to use, photos and crops, such as sources with a suitable licence.
        size: of a training scene in pixels.
        network_name: body of the network.
        false_positives: detections of an earlier network in the photos, ``{"name.jpg": [{"box"}]}``; those that are no
            true face are shown often (hard negatives).
        box, landmark: weights of these losses, that of the score being 1.
        negatives: hardest background anchors for each face anchor.
        folds: one person in so many is kept out of the training, for validation.
        backgrounds: made in advance, see :class:`FaceScenes`.
    """

    kind: Literal["detector"]
    photos: Path
    crops: Path
    name_prefixes: tuple[str, ...] = ("",)
    size: Annotated[int, Field(gt=0, multiple_of=4)] = 320
    network_name: NetworkName = "mobile0.25"
    false_positives: Path | None = None
    initial_weights: Path | None = None
    box: NonNegativeFloat = 1.0
    landmark: NonNegativeFloat = 1.0
    negatives: NonNegativeFloat = 7.0
    folds: PositiveInt = 12
    validation_scenes: PositiveInt = 192
    backgrounds: NonNegativeInt = 1000

    def metrics_of_validation(self) -> dict[str, str]:
        names = DetectionEvaluator().metrics()
        return {name: "higher" if name.partition("/")[0] in ("recall", "precision") else "lower" for name in names}

    def build(self, seed: int, missing: Collection[str] = ()) -> DetectorTask:
        return DetectorTask(self, seed, missing)


class DetectorTask:
    """See :class:`revisage.training.task.Task`."""

    def __init__(self, config: DetectorConfig, seed: int, missing: Collection[str] = ()) -> None:
        self.config = config
        with Problems(missing) as problems:
            self.network = problems.attempt(
                lambda: initial_network(lambda: RetinaFace(config.network_name, phase="train"), config.initial_weights),
                "task.initial_weights",
            )
            self.dataset, self.validation_scenes = problems.attempt(
                lambda: self._read_scenes(seed), "task.photos", "task.crops", "task.false_positives"
            ) or (None, None)

    def _read_scenes(self, seed: int) -> tuple[FaceScenes, FaceScenes]:
        """Scenes to train on and to validate on."""
        config = self.config
        photos = read_photos(config.photos, config.name_prefixes)
        crops = read_crops(config.crops, config.name_prefixes, fit_boxes(photos))
        training, validation = self._split(photos)
        if not training or not validation:
            raise RecipeError(f"{config.photos} has too few photos to keep one person in {config.folds} aside")
        false_positives = read_false_positives(config.false_positives, training) if config.false_positives else None
        training_crops, validation_crops = self._split(crops)
        return (
            FaceScenes(training, training_crops, config.size, seed, false_positives, config.backgrounds),
            FaceScenes(validation, validation_crops, config.size, seed + 1, backgrounds=config.backgrounds // 5),
        )

    def _split(self, photos: list[LabeledPhoto]) -> tuple[list[LabeledPhoto], list[LabeledPhoto]]:
        """Photos to train on and to validate on; all images of a person or motif are in one of them."""
        held = [is_held_out(photo.name, self.config.folds) for photo in photos]
        pairs = list(zip(photos, held, strict=True))
        return [photo for photo, out in pairs if not out], [photo for photo, out in pairs if out]

    def collate(self, samples: list[SceneSample]) -> dict[str, Tensor]:
        return collate(samples)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        return {"detector": self.network}

    def optimizer_steps(self, batch: dict[str, Tensor], progress: Progress) -> Iterator[OptimizerStep]:  # noqa: ARG002
        """Its turn: the weighted terms of the MultiBox loss."""
        images, extent = _network_input(batch["images"])
        priors = anchors(*images.shape[-2:]).to(images.device)
        faces = {
            "boxes": batch["boxes"] / extent.repeat(2),
            "landmarks": batch["landmarks"] / extent.repeat(5),
            "kinds": batch["kinds"],
        }
        terms = multibox_loss(self.network(images), priors, faces, negatives=self.config.negatives)
        weights = {"score": 1.0, "box": self.config.box, "landmark": self.config.landmark}
        yield "detector", {name: weights[name] * term for name, term in terms.items()}

    @torch.inference_mode()
    def validate(self, network: nn.Module, world: World) -> ValidationResult:
        """Recall, precision and landmark error on scenes of people and motifs kept aside (`DetectionEvaluator`)."""
        network.eval()
        results: list[tuple[Any, ...]] = []
        shown: list[NDArray[np.uint8]] = []
        share = world.shard(self.config.validation_scenes)
        for start in range(0, len(share), 16):
            batch = collate([self.validation_scenes[index] for index in share[start : start + 16]])
            for pixels, truth, found in zip(batch["images"], _truth(batch), _found(network, batch), strict=True):
                results.append((*truth, *found))
                if len(shown) < 12:
                    shown.append(draw_faces(pixels.permute(1, 2, 0).numpy(), *found))
        evaluator = DetectionEvaluator()
        for result in world.gather(results):
            evaluator.add(*result)
        return ValidationResult(evaluator.metrics(), _grid(shown) if shown else None)

    def image_grid(self, batch: dict[str, Tensor]) -> NDArray[np.uint8]:
        scenes = zip(batch["images"], _truth(batch), strict=True)
        shown = [draw_faces(pixels.permute(1, 2, 0).numpy(), boxes, points) for pixels, (boxes, points, _) in scenes]
        return _grid(shown[:12])

    def header(self) -> Header:
        return Header("RetinaFace", {"network_name": self.config.network_name})


def _grid(shown: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Rows of four; what does not fill one is left out, but for the first."""
    if len(shown) < 4:
        return np.hstack(shown)
    return np.vstack([np.hstack(shown[row : row + 4]) for row in range(0, len(shown) - len(shown) % 4, 4)])


def draw_faces(pixels: NDArray[np.uint8], boxes: Array, landmarks: Array) -> NDArray[np.uint8]:
    """A copy of the image with boxes and landmarks in it."""
    image = np.ascontiguousarray(pixels)
    for box, points in zip(boxes, landmarks, strict=True):
        x1, y1, x2, y2 = (round(float(value)) for value in box)
        cv2.rectangle(image, (x1, y1), (x2, y2), (0, 255, 0), 1)
        for x, y in points:
            cv2.circle(image, (round(float(x)), round(float(y))), 1, (255, 255, 0), -1)
    return image


def _network_input(images: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 R, G, B -> (what the network takes, its width and height)."""
    values = preprocess(images.float()).contiguous(memory_format=torch.channels_last)
    return values, values.new_tensor([values.shape[-1], values.shape[-2]])


def _truth(batch: dict[str, Tensor]) -> list[tuple[Array, Array, NDArray[np.bool_]]]:
    """Boxes and landmarks of each image and whether they count, without the filling."""
    entries = zip(batch["boxes"], batch["landmarks"], batch["kinds"], strict=True)
    return [
        (boxes[kinds >= 0].numpy(), points[kinds >= 0].reshape(-1, 5, 2).numpy(), kinds[kinds >= 0].numpy() == 1)
        for boxes, points, kinds in entries
    ]


def _found(network: nn.Module, batch: dict[str, Tensor], score: float = 0.6) -> list[tuple[Array, Array]]:
    """Boxes and landmarks of each image, best first, after non-maximum suppression."""
    images = batch["images"].to(next(network.parameters()).device).float()
    proposals = propose(cast(RetinaFace, network), images.contiguous(memory_format=torch.channels_last))
    found: list[tuple[Array, Array]] = []
    for boxes, scores, landmarks in zip(*proposals, strict=True):
        likely = (scores > score).nonzero().flatten()
        rows, values, marks = (x[likely].float().cpu().numpy() for x in (boxes, scores, landmarks))
        kept = nms(rows, values, 0.4)
        found.append((rows[kept], marks[kept]))
    return found


POSITIVE = 0.35
"""Overlap (IoU) from which an anchor stands for a face."""
NEGATIVE = 0.30
"""Overlap below which it stands for background; between the two it does not count."""
COVERED = 0.3
"""Share of an anchor inside an uncertain face from which it does not count as background."""


class Matches(NamedTuple):
    """Targets of the A anchors of N images: (N, A) index of a face, bool for a face, bool for background."""

    face: Tensor
    positive: Tensor
    negative: Tensor


def corners(priors: Tensor) -> Tensor:
    """(A, 4) center and size -> x1, y1, x2, y2."""
    return torch.cat([priors[:, :2] - priors[:, 2:] / 2, priors[:, :2] + priors[:, 2:] / 2], dim=1)


def match(boxes: Tensor, kinds: Tensor, priors: Tensor) -> Matches:
    """Divide the anchors (A, 4), center and size, among faces and background; every face gets at least its best anchor.

    ``boxes`` (N, F, 4) are x1, y1, x2, y2 in the units of ``priors``, ``kinds`` (N, F) 1 a face, 0 uncertain, -1 no
    entry.
    """
    cells = corners(priors)
    overlap = torch.minimum(boxes[:, :, None, 2:], cells[:, 2:]) - torch.maximum(boxes[:, :, None, :2], cells[:, :2])
    shared = overlap.clamp_(min=0).prod(dim=-1)  # (N, F, A)
    own = priors[:, 2:].prod(dim=1)
    sizes = (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1, keepdim=True)
    iou = shared / (sizes + own - shared).clamp(min=1e-12)
    covered = ((shared / own) * (kinds == 0)[..., None]).amax(dim=1) > COVERED

    iou = iou.masked_fill((kinds != 1)[..., None], -1.0)
    best_anchor = iou.argmax(dim=2)
    # Anchors are given to their best face, except that each face may first claim its own best anchor.
    claims = torch.zeros_like(iou).scatter_(2, best_anchor[..., None], 2.0).masked_fill_((kinds != 1)[..., None], 0.0)
    value, face = (iou + claims).max(dim=1)
    return Matches(face, value >= POSITIVE, (value < NEGATIVE) & ~covered)


def multibox_loss(
    outputs: tuple[Tensor, Tensor, Tensor],
    priors: Tensor,
    batch: dict[str, Tensor],
    *,
    negatives: float = 7.0,
) -> dict[str, Tensor]:
    """Unweighted terms, each a mean over the anchors that stand for faces; ``outputs`` are of the phase "train".

    Classification: cross-entropy of all positive and of the ``negatives`` times as many hardest negative anchors of the
    whole batch (so that images without faces count as well). Boxes and landmarks: smooth L1 with a short quadratic
    part, because landmarks have to be exact to a fraction of an anchor's offset unit.

    ``batch`` has ``boxes`` (N, F, 4), ``landmarks`` (N, F, 10), in the units of ``priors`` (A, 4), and ``kinds`` (N,
    F).
    """
    boxes, logits, landmarks = (output.float() for output in outputs)
    matches = match(batch["boxes"], batch["kinds"], priors)
    row, anchor = matches.positive.nonzero(as_tuple=True)
    face = matches.face[row, anchor]
    count = max(len(row), 1)

    entropy = F.cross_entropy(logits.flatten(0, 1), matches.positive.flatten().long(), reduction="none")
    background = entropy[matches.negative.flatten()]
    hardest = background.topk(min(int(negatives * count), len(background))).values
    target_boxes, target_landmarks = encode(batch["boxes"][row, face], batch["landmarks"][row, face], priors[anchor])
    return {
        "score": (entropy[matches.positive.flatten()].sum() + hardest.sum()) / count,
        "box": F.smooth_l1_loss(boxes[row, anchor], target_boxes, reduction="sum", beta=0.2) / count,
        "landmark": F.smooth_l1_loss(landmarks[row, anchor], target_landmarks, reduction="sum", beta=0.2) / count,
    }
