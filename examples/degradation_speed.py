"""How many 512-pixel faces a second one core degrades, beside the same steps done plainly at full size."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before the libraries are loaded

import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch

import revisage
from revisage.process import keep_freed_memory
from revisage.training.data.crops import Crop
from revisage.training.data.datasets import FFHQDegradationDataset
from revisage.training.data.degradations.published import FFHQDegradation

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests" / "training" / "data"))
from straightforward_degradation import straightforward  # noqa: E402

keep_freed_memory()  # as a training does
cv2.setNumThreads(1)
torch.set_num_threads(1)
count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
face = revisage.read_image(ROOT / "tests" / "data" / "astronaut.jpg")
ours, plain, seconds = FFHQDegradationDataset([Crop("face", face)], seed=1), FFHQDegradation(), [0.0, 0.0]
for index in range(count):  # alternately, in processor time: both meet the same disturbances
    starts = [time.process_time()]
    ours[index]
    starts.append(time.process_time())
    straightforward(face, plain, np.random.default_rng((1, 1, index)))
    starts.append(time.process_time())
    seconds = [total + after - before for total, before, after in zip(seconds, starts, starts[1:], strict=False)]
fast, slow = (count / total for total in seconds)
print(f"{fast:.1f} faces a second, {slow:.1f} done plainly: {fast / slow:.1f} times as many")
