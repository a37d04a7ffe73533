"""The same face at five strengths, side by side: strengths.py photo.jpg grid.png."""

import sys

import numpy as np

import revisage

STRENGTHS = (0, 0.25, 0.5, 0.75, 1)


def main(photo: str, grid: str) -> None:
    restorer = revisage.load("embedded")
    image = revisage.read_image(photo)
    results = [restorer(image, strength=strength, only_center_face=True) for strength in STRENGTHS]
    faces = [face.restored for result in results for face in result.faces if face.restored is not None]
    if not faces:
        sys.exit(f"no face found in {photo}")
    revisage.write_image(grid, np.hstack(faces))


if __name__ == "__main__":
    main(*sys.argv[1:])
