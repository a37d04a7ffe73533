"""Faces drawn on their image, with the numbers by which controls select them."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from revisage.images.pixels import from_float, to_float
from revisage.types import Face, Image

COLORS = (255, 220, 0), (0, 200, 255)
"""Of boxes and of landmarks, RGB."""


def draw_faces(image: Image, faces: Mapping[int, Face]) -> Image:
    """A copy of an image (H, W, 3) in 8 bits, with the boxes, numbers and landmarks of faces."""
    drawn = np.ascontiguousarray(from_float(to_float(image), np.uint8))
    width = max(round(max(image.shape[:2]) / 500), 1)
    for number, face in faces.items():
        x1, y1, x2, y2 = (round(float(value)) for value in face.box)
        cv2.rectangle(drawn, (x1, y1), (x2, y2), COLORS[0], width)
        for x, y in face.landmarks:
            cv2.circle(drawn, (round(float(x)), round(float(y))), width, COLORS[1], -1)
        size = max((x2 - x1) / 60, 0.4)
        (_, height), below = cv2.getTextSize(str(number), cv2.FONT_HERSHEY_SIMPLEX, size, width)
        place = max(x1, 0) + width, max(y1, 0) + height + below
        cv2.putText(drawn, str(number), place, cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 3 * width, cv2.LINE_AA)
        cv2.putText(drawn, str(number), place, cv2.FONT_HERSHEY_SIMPLEX, size, COLORS[0], width, cv2.LINE_AA)
    return drawn
