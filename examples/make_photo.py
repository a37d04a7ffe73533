"""How photo.jpg was made: a good portrait, degraded the way a small old web photo is."""

import argparse
import io

import numpy as np
from PIL import Image, ImageFilter


def degrade(portrait: Image.Image, width: int = 400, blur: float = 1.2, noise: float = 5.0, quality: int = 60) -> bytes:
    """Shrink to ``width``, blur (Gaussian, sigma in pixels), add noise (sigma in levels of 255), compress as JPEG."""
    height = round(portrait.height * width / portrait.width)
    small = portrait.resize((width, height), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(blur))
    grain = np.random.default_rng(0).normal(0, noise, (height, width, 3))
    noisy = np.clip(np.rint(np.asarray(small) + grain), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=quality)
    return file.getvalue()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("portrait", help="tests/data/astronaut.jpg")
    arguments.add_argument("photo", help="where to write the degraded JPEG")
    paths = arguments.parse_args()
    with Image.open(paths.portrait) as portrait, open(paths.photo, "wb") as file:  # noqa: PTH123
        file.write(degrade(portrait.convert("RGB")))
