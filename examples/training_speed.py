"""Images a second of a recipe's training step, of the same step written plainly, and of the loader; of one core.

python examples/training_speed.py recipes/smoke.yml 3 task.crops=[my/faces]     # recipe, steps, settings as for --set
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before the libraries are loaded

import sys
import time
from pathlib import Path

import cv2

from revisage.process import keep_freed_memory
from revisage.training.recipe import read_recipe

sys.path.append(str(Path(__file__).parent.parent / "tests" / "training"))
from straightforward_step import Stepper

keep_freed_memory()  # as a training does
cv2.setNumThreads(1)
recipe, steps = read_recipe(Path(sys.argv[1]), sys.argv[3:]), int(sys.argv[2])
ours, plain = Stepper(recipe, plain=False), Stepper(recipe, plain=True)
batch, clock, totals = recipe.training.batch, time.process_time, [0.0, 0.0, 0.0]
for index in range(steps + 1):  # in turn, in processor time: all meet the same disturbances
    marks = [clock()]
    samples = [ours.task.dataset[index * batch + image] for image in range(batch)]
    marks.append(clock())
    losses, after = ours(samples), clock()
    plain_losses = plain(samples)
    marks += [after, clock()]
    if index == 0:  # warms up
        print(", ".join(f"{name} {value:.5g} (plainly {plain_losses[name]:.5g})" for name, value in losses.items()))
    else:
        totals = [total + end - start for total, start, end in zip(totals, marks, marks[1:], strict=False)]
loader, step, plainly = (steps * batch / total for total in totals)
print(f"loader {loader:.1f}, step {step:.2f}, plain step {plainly:.2f} images a second: {step / plainly:.2f} times")
