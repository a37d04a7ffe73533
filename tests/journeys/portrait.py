"""The photo that the journeys begin with."""

import numpy as np

from locations import PORTRAIT
from revisage.images import read_image


def head():
    """A small image that holds hardly more than a face, 200 x 200."""
    return np.ascontiguousarray(read_image(PORTRAIT)[20:220, 125:325])
