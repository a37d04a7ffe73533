"""Pictures made of whole numbers alone, the same on every machine."""

import numpy as np


def texture(seed, height, width):
    """Cells of 32, 8, 2 and 1 pixels with random colors, added up."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.int64)
    for cell in (32, 8, 2, 1):
        colors = rng.integers(0, 64, (height // cell + 1, width // cell + 1, 3))
        total += colors.repeat(cell, axis=0).repeat(cell, axis=1)[:height, :width]
    return total.astype(np.uint8)


def softened(image):
    """Mean of each pixel and three of its neighbours, rounded down."""
    wide = image.astype(np.int64)
    shifted = [np.roll(wide, shift, axis=(0, 1)) for shift in ((0, 0), (0, 1), (1, 0), (1, 1))]
    return (sum(shifted) // 4).astype(np.uint8)
