import numpy as np
import pytest
from stand_ins import SIZE, Brighter

from on_arrays import opened
from revisage.auxiliary import FirstOutput
from revisage.compat import GFPGANer
from revisage.restore.pipeline import Restorer


@pytest.fixture
def gfpganer(monkeypatch):
    """Makes a GFPGANer of a network and a detector that the test chooses: gfpganer(faces, network, **arguments)."""

    def make(faces=(), network=None, **arguments):
        detect = faces if callable(faces) else lambda _: list(faces)
        restorer = Restorer(
            "test", detect, FirstOutput(network := opened(network or Brighter())), SIZE, device=network.device
        )
        monkeypatch.setattr("revisage.compat.gfpganer.load", lambda *_, **__: restorer)
        return GFPGANer("any.pth", **arguments)

    return make


@pytest.fixture
def photo():
    """(120, 160, 3) uint8 of one color, so that changes are seen."""
    return np.full((120, 160, 3), (40, 100, 160), np.uint8)
