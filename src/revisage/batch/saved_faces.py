"""Every face of a photo as pictures of their own, where the classic tool puts them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from revisage.batch.options import FOLDERS, Options
from revisage.images import write_image
from revisage.types import RestoredFace


def write_faces(faces: Sequence[RestoredFace], stem: str, options: Options) -> None:
    """Each restored face as it was, as it is, and both side by side.

    They are numbered from 00 by their places among all faces of the photo, best score first.

    Args:
        faces: of one photo; those that were not restored are left out.
        stem: what they are called, relative to the folders of faces.
        options: the output folder and the suffix.

    Raises:
        OutputError: one cannot be written.
    """
    for place, face in enumerate(faces):
        if face.crop is None or face.restored is None:
            continue
        name = f"{stem}_{place:02d}"  # the number by which the face can be chosen another time
        pictures = (face.crop, ""), (face.restored, options.ending), (np.hstack([face.crop, face.restored]), "")
        for folder, (picture, end) in zip(FOLDERS[1:], pictures, strict=True):
            write_image(options.output / folder / f"{name}{end}.png", picture, overwrite=True)
