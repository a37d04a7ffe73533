"""YuNet (Wu et al. 2023), the face detector of OpenCV, as a function of images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from threading import local
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.errors import CheckpointError
from revisage.models.checkpoint import METADATA_KEY
from revisage.models.onnx_file import read_onnx
from revisage.types import Array, Face, Image

_COARSE_SIZE = 320
"""Long side of the second, smaller image in which faces are searched that fill the photo."""


@dataclass(frozen=True, eq=False)
class YuNet:
    """Detects faces. Any number of threads may share one; each gets an OpenCV detector of its own.

    Attributes:
        model: contents of the ``.onnx`` file.
        threshold: least score of a face.
        max_pixels: larger images are reduced to this area.
    """

    model: bytes = field(repr=False)
    threshold: float = 0.6
    max_pixels: int = 2_000_000
    _own: local = field(default_factory=local, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return YuNet, (self.model, self.threshold, self.max_pixels)

    def __call__(self, image: Image) -> list[Face]:
        """Faces of an image (H, W, 3) RGB uint8, uint16 or float32 in [0, 1]; best score first."""
        levels = 255 if image.dtype == np.uint8 else 65535 if image.dtype == np.uint16 else 1
        rgb = np.clip(np.round(image * np.float32(255 / levels)), 0, 255)
        bgr = cv2.cvtColor(rgb.astype(np.uint8), cv2.COLOR_RGB2BGR)
        height, width = bgr.shape[:2]
        fine = min(1.0, (self.max_pixels / (height * width)) ** 0.5)
        coarse = _COARSE_SIZE / max(height, width)
        found = np.concatenate([self._search(bgr, scale) for scale in {fine, min(fine, coarse)}])
        boxes, scores = found[:, :4], found[:, 14]
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), self.threshold, 0.3)
        faces: list[Face] = []
        for index in np.array(kept, int).ravel():
            x, y, w, h = boxes[index]
            box = np.array([x, y, x + w, y + h], np.float32)
            faces.append(Face(box, found[index, 4:14].reshape(5, 2).copy(), float(scores[index])))
        return faces

    def _search(self, bgr: Array, scale: float) -> NDArray[np.float32]:
        """(K, 15) x, y, width, height, five points, score; in pixels of the whole image."""
        height, width = bgr.shape[:2]
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        detector = self._detector()
        detector.setInputSize(size)
        _, faces = detector.detect(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA) if scale < 1 else bgr)
        found = np.zeros((0, 15), np.float32) if faces is None else np.asarray(faces, np.float32)
        ratio = np.array([width / size[0], height / size[1]], np.float32)
        points = found[:, :14].reshape(-1, 7, 2) * ratio
        points[:, [0, *range(2, 7)]] += (ratio - 1) / 2  # between centers of pixels; all but width and height
        return np.concatenate([points.reshape(-1, 14), found[:, 14:]], axis=1)

    def _detector(self) -> Any:
        if not hasattr(self._own, "detector"):
            self._own.detector = _create(self.model, self.threshold)
        return self._own.detector


def is_yunet(path: Path) -> bool:
    """Whether an ``.onnx`` file is a YuNet, by the names of its outputs."""
    if path.suffix.lower() != ".onnx" or METADATA_KEY in read_onnx(path).metadata:
        return False
    content = path.read_bytes()
    return all(name in content for name in (b"cls_8", b"obj_8", b"bbox_8", b"kps_8"))


def open_yunet(path: Path, threshold: float = 0.6) -> YuNet:
    """Open a YuNet, as OpenCV's model zoo publishes it.

    MissingWeightsError: there is no such file. CheckpointError: damaged, refers to other files, or is no YuNet.
    """
    read_onnx(path)
    model = path.read_bytes()
    try:
        _create(model, threshold).detect(np.zeros((64, 64, 3), np.uint8))
    except cv2.error as error:
        raise CheckpointError(f"{path} is no YuNet that OpenCV can run: {' '.join(str(error).split())}") from error
    return YuNet(model, threshold)


def _create(model: bytes, threshold: float) -> Any:
    """A detector of OpenCV, without what its importer prints."""
    buffer = np.frombuffer(model, np.uint8)
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.FaceDetectorYN.create("onnx", buffer, np.zeros(0, np.uint8), (64, 64), threshold, 0.3, 5000)
    finally:
        cv2.utils.logging.setLogLevel(level)
