"""Auxiliary models of a restoration, by name or file: detector, background upscaler, repairer, face parser, embedder.

The ``load_*`` functions raise UnknownModelError for a model of another role, besides what ``weight_file`` and
``open_network`` raise. All but the upscaler run in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Generic, ParamSpec, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.errors import CheckpointError, UnknownModelError
from revisage.images.pixels import to_nchw
from revisage.models.architectures import ARCHITECTURES
from revisage.models.backends import Network, Role, open_network
from revisage.models.backends.given import KeptNetwork
from revisage.models.backends.yunet import is_yunet, open_yunet
from revisage.models.fetch import weight_file
from revisage.models.registry import DEFAULT_PARSER, MODELS
from revisage.restore.detect import Detector
from revisage.restore.inputs import as_image
from revisage.restore.repair import Repairer
from revisage.restore.retinaface import RetinaFaceProposals
from revisage.restore.select import sort_faces
from revisage.restore.upscale import STEP, TiledUpscaler, check_tile
from revisage.types import Face, FloatImage, Image

BACKGROUND_OVERLAP = 56, 8
"""Overlap and fade of the tiles of a BackgroundUNet. At 48 pixels from a cut its result differs from that of
the whole photo by 3.4 levels at most, at 56 by 1.3, at 64 by 0.5: docs/notes/background.md."""
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
ROLES: dict[Role, str] = {
    "restorer": "a restorer",
    "detector": "a face detector",
    "embedder": "an identity embedder",
    "parser": "a face parser",
    "upscaler": "a background upscaler",
    "repairer": "a network that repairs prints",
}
"""Role -> how messages name it."""
BATCH = 16
"""Faces that are embedded together; bounds the memory for images of crowds."""


@dataclass(frozen=True)
class FirstOutput:
    """A network as a function of one array to one array, its first output."""

    network: Network | KeptNetwork = field(repr=False)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, H, W) -> (N, 3, H', W'), see ``backends``."""
        return self.network(batch)[0]


class Lazy(Generic[Arguments, Result]):
    """A function that is made at the first call, once, however many threads call it."""

    def __init__(self, make: Callable[[], Callable[Arguments, Result]]) -> None:
        self._make = make
        self._lock = Lock()
        self._made: Callable[Arguments, Result] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Lazy, (self._make,)

    def __call__(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """Call it."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            made = self._made
        return made(*args, **kwargs)


def check_role(model: str | Path, role: Role) -> None:
    """Raise UnknownModelError if ``model`` is the name of a model of another role."""
    spec = MODELS.get(str(model))
    if spec and spec.role != role:
        raise UnknownModelError(f"{model} is a {spec.architecture}, not {ROLES[role]}: it {spec.description}")


def open_by_role(
    model: str | Path,
    role: Role,
    device: str = "auto",
    dtype: str = "float32",
    *,
    fast: bool = False,
    offline: bool | None = None,
) -> Network:
    """Open the network of a registered name or file; arguments as for ``load``."""
    check_role(model, role)
    network = open_network(weight_file(model, offline=offline), device, dtype, fast=fast, role=role)
    row = ARCHITECTURES.get(network.header.architecture)
    if row is not None and row.role != role:
        raise UnknownModelError(f"{model} is a {network.header.architecture}, not {ROLES[role]}")
    return network


def load_detector(
    model: str | Path = "embedded-detector", device: str = "auto", *, offline: bool | None = None
) -> OrderedDetector:
    """A face detector. A YuNet runs in OpenCV, on the CPU."""
    check_role(model, "detector")
    path = weight_file(model, offline=offline)
    if is_yunet(path):
        return OrderedDetector(open_yunet(path))
    return OrderedDetector(Detector(RetinaFaceProposals(open_by_role(path, "detector", device))))


@dataclass(frozen=True)
class OrderedDetector:
    """A face detector as users call it.

    Attributes:
        search: image -> faces in any order.
    """

    search: Callable[[Image], list[Face]] = field(repr=False)

    def __call__(self, image: Image) -> list[Face]:
        """Detect the faces of one image.

        Args:
            image: (H, W, 3) RGB, uint8, uint16 or float32 in [0, 1], or a Pillow image.

        Returns:
            Faces in pixels of the image, left to right in rows from top to bottom: the order of their numbers.

        Raises:
            InputError: no such image.
        """
        return sort_faces(self.search(as_image(image)))


def load_upscaler(
    model: str | Path,
    tile: int = TiledUpscaler.tile,
    device: str = "auto",
    dtype: str = "auto",
    *,
    fast: bool = False,
    offline: bool | None = None,
) -> TiledUpscaler:
    """A background upscaler; arguments as for ``load``.

    UnknownModelError: it upscales no color images. InputError: tiles too small.
    """
    check_tile(tile)
    network = open_by_role(model, "upscaler", device, dtype, fast=fast, offline=offline)
    try:
        factor = network(np.zeros((1, 3, STEP, STEP), np.float32))[0].shape[-1] // STEP
    except CheckpointError as error:
        raise UnknownModelError(f"{model} upscales no color images") from error
    if network.header.architecture == "BackgroundUNet":
        return TiledUpscaler(FirstOutput(network), factor, tile, *BACKGROUND_OVERLAP)
    return TiledUpscaler(FirstOutput(network), factor, tile)


def load_repairer(model: str | Path = "embedded-repair", device: str = "auto") -> Repairer:
    """A network that fills scratches, creases and dust."""
    return Repairer(FirstOutput(open_by_role(model, "repairer", device)))


def load_parser(model: str | Path = DEFAULT_PARSER, device: str = "auto", *, offline: bool | None = None) -> Parser:
    """A face parser."""
    return Parser(open_by_role(model, "parser", device, offline=offline))


@dataclass(frozen=True)
class Parser:
    """A parsing network as ``blend.Parse``: crops (S, S, 3) in [0, 1] -> labels (N, S, S) uint8."""

    network: Network = field(repr=False)

    def __call__(self, crops: Sequence[FloatImage]) -> NDArray[np.uint8]:
        """One by one: a batch would cost more memory than it saves time."""
        return np.stack([self._label(crop) for crop in crops])

    def _label(self, crop: FloatImage) -> NDArray[np.uint8]:
        size = int(self.network.header.arguments["in_size"])
        shrunk = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if size < len(crop) else cv2.INTER_LINEAR)
        labels = self.network(to_nchw([np.asarray(shrunk, np.float32)]))[0][0].argmax(axis=0).astype(np.uint8)
        nearest = (np.arange(len(crop)) * 2 + 1) * len(labels) // (2 * len(crop))
        return labels[nearest[:, None], nearest]


def load_embedder(
    model: str | Path = "embedded-identity", device: str = "auto", *, offline: bool | None = None
) -> Embedder:
    """An identity embedder."""
    return Embedder(open_by_role(model, "embedder", device, offline=offline))


@dataclass(frozen=True)
class Embedder:
    """An embedding network as ``blend.Embed``: crops (S, S, 3) in [0, 1] -> (N, D) of length 1."""

    network: Network = field(repr=False)

    def __call__(self, crops: Sequence[FloatImage]) -> NDArray[np.float32]:
        """In batches of ``BATCH``."""
        if not crops:
            return np.zeros((0, 0), np.float32)
        parts = [crops[start : start + BATCH] for start in range(0, len(crops), BATCH)]
        return np.concatenate([self.network(to_nchw(part))[0] for part in parts])
