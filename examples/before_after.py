"""Put a photo and its restoration side by side: before_after.py photo.jpg restored.jpg grid.jpg."""

import sys

import cv2
import numpy as np

import revisage


def main(before_path: str, after_path: str, grid_path: str) -> None:
    before, after = revisage.read_image(before_path), revisage.read_image(after_path)
    height, width = after.shape[:2]
    enlarged = cv2.resize(before, (width, height), interpolation=cv2.INTER_CUBIC)
    revisage.write_image(grid_path, np.hstack([enlarged, after]))


if __name__ == "__main__":
    main(*sys.argv[1:])
