"""A comparison as one image: a column for each version, a row for each image."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import combining, normalize

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from revisage.comparison.versions import Row
from revisage.evaluation.metrics.image import RGB8

BACKGROUND, TEXT, DIM = (21, 23, 28), (235, 237, 240), (150, 155, 163)
GAP = 8
"""Pixels between images and around the grid."""


def draw_grid(labels: Sequence[str], rows: Sequence[Row]) -> RGB8:
    """Draw a grid (H, W, 3) uint8 of rows, each of images of one size, as many as there are columns.

    Without ``labels`` of the columns there is no text at all; names of rows are drawn if there are several.
    """
    columns = len(rows[0].images)
    cell = max(row.images[0].shape[1] for row in rows)
    width = GAP + columns * (cell + GAP)
    size = int(np.clip(cell // 24, 14, 36))
    font, small = ImageFont.load_default(size), ImageFont.load_default(max(size * 3 // 4, 12))
    top = 2 * size if labels else GAP
    name_height = 2 * size if labels and len(rows) > 1 else 0
    height = top + sum(row.images[0].shape[0] + GAP + name_height for row in rows)
    canvas = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for column, label in enumerate(labels):
        place = GAP + column * (cell + GAP) + cell // 2, top // 2
        draw.text(place, _shortened(label, font, cell), TEXT, font, anchor="mm")
    y = top
    for row in rows:
        for column, image in enumerate(row.images):
            indent = (cell - image.shape[1]) // 2
            canvas.paste(Image.fromarray(image), (GAP + column * (cell + GAP) + indent, y))
        y += row.images[0].shape[0] + GAP
        if name_height:
            draw.text((width // 2, y + size // 2), _shortened(row.name, small, width), DIM, small, anchor="mm")
            y += name_height
    return np.asarray(canvas)


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The end of a text that is not wider than this, in letters that can be drawn."""
    bare = "".join(letter for letter in normalize("NFKD", text) if not combining(letter))
    shown = text = bare.encode("ascii", "replace").decode()  # Pillow's font has no other letters
    while len(text) > 1 and font.getlength(shown) > width:
        text = text[1:]
        shown = f"...{text}"
    return shown
