"""From the labels of a parsing network to what of a restored face is pasted."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.types import FloatImage

PASTED = (*range(1, 14), 15)
"""Places in ``nets.parsenet.CLASSES``: all of the head. Background, hats, necklaces, necks and clothes are left alone,
since restorers know little of them."""
SOFTNESS = 11 * 2**0.5 / 512
"""Standard deviation of the mask's blurred edge, as a share of the crop: two blurs of 11 pixels of 512, as GFP-GAN has
them."""
FRAME = 10 / 512
"""Width of the crop's edge that is never pasted, as a share of the crop."""


def head_mask(labels: NDArray[np.uint8]) -> FloatImage:
    """How much of the correction of an aligned face is taken, by what its pixels show.

    Where the head reaches the edge of the crop the mask falls to 0 as softly as everywhere else.

    Args:
        labels: (S, S) places in ``nets.parsenet.CLASSES``.

    Returns:
        (S, S) float32 in [0, 1].
    """
    size = len(labels)
    table = np.zeros(256, np.float32)
    table[list(PASTED)] = 1
    head = table[labels]
    # Half of a blurred step lies outside: it has to end where the frame begins.
    frame = round((FRAME + 2 * SOFTNESS) * size)
    head[:frame] = head[-frame:] = head[:, :frame] = head[:, -frame:] = 0
    soft = cv2.GaussianBlur(head, (0, 0), SOFTNESS * size)
    edge = np.minimum(np.arange(size), np.arange(size)[::-1])
    fade = np.clip(edge / (FRAME * size) - 1, 0, 1).astype(np.float32)
    return np.asarray(soft * np.minimum(fade[:, None], fade[None]), np.float32)
