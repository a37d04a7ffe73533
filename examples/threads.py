"""One restorer shared by threads, each with a photo of its own: threads.py OUTPUT photo.jpg more.jpg ..."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import revisage


def main(output: str, *photos: str) -> None:
    restorer = revisage.load("embedded")

    def restore(photo: Path) -> None:
        result = restorer(revisage.read_image(photo))
        revisage.write_image(Path(output) / photo.name, result.image, like=photo)

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(restore, map(Path, photos)))  # the list makes errors come out


if __name__ == "__main__":
    main(*sys.argv[1:])
