"""Collect what `train.py` needs in one folder, small enough to send to a rented machine.

    python recipes/accelerator/prepare.py data/faces data/features OUTPUT [MORE_FACES ...]

The first folder has `train/512`, `train/256` and `val` (`gt`, `lq/mild` ...), the second `vgg16.npz` and
`face_descriptor.npz`; further folders hold aligned faces of 512 or 256 pixels, in folders of these names.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from revisage.evaluation.metrics.networks import read_descriptor, read_vgg16
from revisage.models.build import read_state
from revisage.training.data.degradations.old_photo import Dust, Scratches

PREFIXES = ("house_", "t2i_")
"""Sources with a plain licence."""
VALIDATION = 32


def main(faces: Path, features: Path, output: Path, more: list[Path]) -> None:
    for folder in ("faces_512", "faces_512_halved", "faces_256"):
        (output / folder).mkdir(parents=True)
    for size in (512, 256):
        for path in sorted((faces / "train" / str(size)).iterdir()):
            if path.name.startswith(PREFIXES):
                add(path, size, output, path.stem, 90)
    for path in sorted(path for folder in more for path in folder.glob("*/*.jpg")):
        add(path, int(path.parent.name), output, f"more_{path.stem}", 86)
    for kind in ("gt", "mild", "medium", "severe"):
        source = faces / "val" / ("gt" if kind == "gt" else f"lq/{kind}")
        (output / "val" / kind).mkdir(parents=True)
        for path in sorted(source.iterdir())[::2][:VALIDATION]:
            recode(path, output / "val" / kind / f"{path.stem}.webp", 95) if kind == "gt" else shutil.copy(
                path, output / "val" / kind
            )
    np.savez_compressed(
        output / "masks.npz", scratches=masks(Scratches((1, 8)), 200), dust=masks(Dust((4, 60), (0, 4)), 300)
    )
    np.savez_compressed(output / "vgg16.npz", **eight_bits(read_vgg16(features / "vgg16.npz").state_dict()))
    descriptor = read_descriptor(features / "face_descriptor.npz").state_dict()
    np.savez_compressed(
        output / "face_descriptor.npz", **{key: value.half().numpy() for key, value in descriptor.items()}
    )
    first = read_state(Path("src/revisage/weights/restorer.onnx"))
    np.savez_compressed(output / "first.npz", **eight_bits(first))
    total = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    print(f"{total / 1e6:.1f} MB")


def recode(source: Path, target: Path, quality: int, size: int | None = None) -> None:
    """Write an image as WebP, perhaps at a smaller size (averaged)."""
    image = cv2.imread(str(source))
    image = image if size is None else cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(target), image, [cv2.IMWRITE_WEBP_QUALITY, quality])


def add(path: Path, size: int, output: Path, name: str, quality: int) -> None:
    """A face in fewer bytes, one of 512 pixels also halved."""
    recode(path, output / f"faces_{size}" / f"{name}.webp", quality)
    if size == 512:
        recode(path, output / "faces_512_halved" / f"{name}.webp", 90, 256)


def masks(step: Scratches | Dust, count: int) -> np.ndarray:
    """(count, 512, 512) uint8 opacities."""
    found = []
    for seed in range(count):
        black, white = (
            step(np.full((512, 512, 3), level, np.float32), np.random.default_rng(seed)) for level in (0, 1)
        )
        found.append(np.rint((1 - (white - black)[..., 0]) * 255).clip(0, 255).astype(np.uint8))
    return np.stack(found)


def eight_bits(state: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Convolutions as int8 with a scale for each output channel; the rest as float32."""
    arrays: dict[str, np.ndarray] = {}
    for key, value in state.items():
        if value.dim() == 4:
            scale = value.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-12) / 127
            arrays[key] = (value / scale).round().to(torch.int8).numpy()
            arrays[f"{key}:scale"] = scale.numpy()
        else:
            arrays[key] = value.numpy()
    return arrays


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]), [Path(argument) for argument in sys.argv[4:]])
