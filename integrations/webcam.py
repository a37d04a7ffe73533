"""Restore the frames of a webcam or video stream: ``python webcam.py 0``; q ends it.

Faces are tracked, and smoothed over time as in videos, so frames come out a few frames late.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

import revisage
from revisage.restore.controls import Controls
from revisage.restore.pipeline import Restorer
from revisage.tracking.faces import restored_frames


@dataclass(frozen=True)
class Frame:
    """An RGB image (H, W, 3) and when it was taken, in seconds."""

    image: np.ndarray
    seconds: float


def read(capture: Any) -> Iterator[Frame]:
    """The frames of an OpenCV capture until it ends."""
    last = 0.0
    while True:
        ok, bgr = capture.read()
        if not ok:
            return
        last = max(time.monotonic(), last + 1e-3)  # strictly increasing
        yield Frame(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), last)


def restore_stream(capture: Any, restorer: Restorer, **controls: Any) -> Iterator[np.ndarray]:
    """Restored frames of an OpenCV capture, BGR uint8, in their order; all of them.

    Args:
        capture: ``cv2.VideoCapture``, or anything with its ``read``.
        restorer: what ``revisage.load`` returns.
        **controls: of a restoration: strength, ...; frames keep their size unless scale is given..
    """
    resolved = restorer.resolve(Controls(**{"scale": 1, **controls}))
    for frame in restored_frames(read(capture), restorer, resolved):
        yield cv2.cvtColor(frame.restoration.image, cv2.COLOR_RGB2BGR)


if __name__ == "__main__":
    source = sys.argv[1] if len(sys.argv) > 1 else "0"
    for image in restore_stream(cv2.VideoCapture(int(source) if source.isdigit() else source), revisage.load()):
        cv2.imshow("restored", image)  # needs opencv-python, not the headless one
        if cv2.waitKey(1) == ord("q"):
            break
