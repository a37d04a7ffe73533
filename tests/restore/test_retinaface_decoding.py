"""The decoding in numpy, which inference uses, against that of the network's module, which training uses."""

import numpy as np
import pytest
import torch

from revisage.models.nets import retinaface as nets
from revisage.restore import retinaface


@pytest.mark.parametrize(("height", "width"), [(64, 96), (37, 101), (8, 8)])
def test_anchors_are_those_of_the_network(height, width):
    in_pixels = nets.anchors(height, width, dtype=torch.float64).numpy() * [width, height, width, height]
    np.testing.assert_allclose(retinaface.anchors(height, width), in_pixels, rtol=1e-6)


def test_boxes_and_landmarks_are_those_of_the_network():
    rng = np.random.default_rng(0)
    priors = retinaface.anchors(40, 56)
    boxes = rng.normal(size=(2, len(priors), 4)).astype(np.float32)
    landmarks = rng.normal(size=(2, len(priors), 10)).astype(np.float32)
    found = retinaface.decode(boxes, landmarks, priors)
    expected = nets.decode(*(torch.from_numpy(x.copy()) for x in (boxes, landmarks, priors)))
    np.testing.assert_allclose(found[0], expected[0].numpy(), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found[1], expected[1].unflatten(-1, (5, 2)).numpy(), rtol=1e-5, atol=1e-4)
