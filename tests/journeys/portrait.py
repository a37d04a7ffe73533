"""The photo that the journeys begin with."""

from pathlib import Path

import numpy as np

from revisage.files.images import read_image

PORTRAIT = Path(__file__).parents[1] / "data" / "astronaut.jpg"


def head():
    """A small picture that holds hardly more than a face, 200 x 200."""
    return np.ascontiguousarray(read_image(PORTRAIT)[20:220, 125:325])
