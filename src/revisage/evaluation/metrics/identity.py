"""Whether a restored face is still the same person: angles and distances between identity descriptors.

"Deg", the angle that the face-restoration literature gives, is taken between embeddings of :class:`ResNetArcFace`;
cosine and Euclidean distance between those of :class:`FaceDescriptor`. They are different networks with different
scales: an angle of one says nothing about a distance of the other.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from revisage.evaluation.metrics.image import RGB8
from revisage.images.pixels import to_float, to_tensor
from revisage.models.nets import arcface, face_descriptor

Vector = NDArray[np.floating]


def cosine_distance(a: Vector, b: Vector) -> float:
    """1 - cosine of the angle between two (D,) vectors: 0 for one direction, 2 for opposite ones."""
    return 1.0 - _cosine(a, b)


def angle(a: Vector, b: Vector) -> float:
    """Angle between two (D,) vectors in degrees, 0..180."""
    return float(np.degrees(np.arccos(np.clip(_cosine(a, b), -1, 1))))


def euclidean_distance(a: Vector, b: Vector) -> float:
    """Length of the difference of two (D,) vectors."""
    return float(np.linalg.norm(a.astype(np.float64) - b))


def describe(network: face_descriptor.FaceDescriptor, picture: RGB8) -> Vector:
    """Aligned face (S, S, 3) uint8 RGB -> (128,) descriptor."""
    with torch.inference_mode():
        return network(face_descriptor.chips(to_tensor([to_float(picture)]), size=picture.shape[0]))[0].numpy()


def embed(network: arcface.ResNetArcFace, picture: RGB8) -> Vector:
    """Aligned face (S, S, 3) uint8 RGB -> (512,) embedding of its gray picture, as in GFP-GAN's identity loss."""
    with torch.inference_mode():
        return network(arcface.gray_faces(to_tensor([to_float(picture)])))[0].numpy()


def _cosine(a: Vector, b: Vector) -> float:
    x, y = a.astype(np.float64), b.astype(np.float64)
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))
