"""Restore the faces of images that a diffusers pipeline made: ``restore_images(pipeline(prompt).images)``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import PIL.Image

import revisage

load = lru_cache(1)(revisage.load)


def restore_images(
    images: Sequence[PIL.Image.Image], model: str = "embedded", **controls: Any
) -> list[PIL.Image.Image]:
    """Restore the faces of Pillow images; all faces share batches.

    Args:
        images: ``pipeline(prompt).images``; RGB or RGBA.
        model: as for ``revisage.load``.
        **controls: of a restoration: strength, scale, ...
    """
    return [PIL.Image.fromarray(result.image) for result in load(model)(list(images), **controls)]


if __name__ == "__main__":
    from diffusers import AutoPipelineForText2Image

    pipeline = AutoPipelineForText2Image.from_pretrained("stabilityai/sdxl-turbo")
    images = pipeline("a portrait of a sailor", num_inference_steps=1, guidance_scale=0.0).images
    restore_images(images)[0].save("restored.png")
