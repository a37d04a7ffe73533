"""A restorer whose network is a plain function, and photos that tell whose they are."""

import io

import numpy as np

import revisage
from revisage.restore.pipeline import Restorer
from revisage.serve.engine import Engine
from revisage.serve.settings import Settings
from revisage.types import Face

SIZE = 32


def one_face(image):
    """A face that fills the middle of an image."""
    height, width = image.shape[:2]
    box = np.array([width * 0.1, height * 0.1, width * 0.9, height * 0.9], np.float32)
    points = np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.55], [0.38, 0.7], [0.62, 0.7]], np.float32)
    return [Face(box, points * (width, height), 0.9)]


def invert(crops):
    return -crops


def embed(crops):
    """Everybody is the same person."""
    return np.ones((len(crops), 1), np.float32)


def restorer(network=invert, detect=one_face, embed=None, **more):
    return Restorer("plain", detect, network, SIZE, embed=embed, **more)


def engine(network=invert, detect=one_face, embed=None, of_restorer=None, **settings):
    settings = {"workers": 2, "page": False, **settings}
    return Engine(Settings(**settings), {"plain": restorer(network, detect, embed, **(of_restorer or {}))})


def flat(level, size=(24, 20)):
    """An image of one gray level: its inverted face says whose it is."""
    return np.full((*size, 3), level, np.uint8)


def encoded(image, format="png", **more):
    data = io.BytesIO()
    revisage.write_image(data, image, format=format, **more)
    return data.getvalue()
