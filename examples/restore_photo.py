"""Restore one photo and say what became of each face: restore_photo.py photo.jpg restored.jpg."""

import sys

import revisage


def main(photo: str, target: str) -> None:
    restorer = revisage.load("embedded")
    result = restorer(revisage.read_image(photo), scale=2, strength=1.0)
    for face in result.faces:
        print(f"{face.status} (score {face.score:.2f}) {face.reason}")
    revisage.write_image(target, result.image, like=photo)


if __name__ == "__main__":
    main(*sys.argv[1:])
