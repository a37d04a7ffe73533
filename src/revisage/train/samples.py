"""What restorers of whole faces are shown (provisional)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from revisage.data.crops import CropPatches, read_crops
from revisage.data.degradation import FFHQDegradation
from revisage.train.config import Strict


class SamplesConfig(Strict):
    """Faces."""

    gt: Path
    components: Path | None = None

    def build(self, size: int, seed: int) -> Dataset[Any]:
        """The samples."""
        return CropPatches(
            read_crops([self.gt]), size=size, patch=size, degradation=FFHQDegradation(), seed=seed
        )
