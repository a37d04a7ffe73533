"""detect -> align -> restore -> paste, for one picture or for many at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, overload

import cv2
import numpy as np
from numpy.typing import DTypeLike

from revisage.controls import Controls
from revisage.errors import InputError
from revisage.faces.align import align
from revisage.faces.paste import paste
from revisage.tensors import from_float, from_tensor, to_float, to_tensor
from revisage.types import AlignedFace, Array, Face, FaceStatus, FloatImage, Image, Restoration, RestoredFace
from revisage.upscale import lanczos

if TYPE_CHECKING:
    import PIL.Image
    import torch

    from revisage.device import Choice

MIN_EYE_DISTANCE = 5.0
"""Pixels between the eyes below which a face holds nothing to restore (the classic tool's threshold)."""


@dataclass(frozen=True)
class Restorer:
    """Restores the faces of pictures. Remembers nothing between calls; any number of threads may share one.

    Attributes:
        name: model name or file.
        detect: picture -> faces, best first.
        network: (N, 3, size, size) RGB in [-1, 1] -> the same shape.
        size: side of the faces that the network takes.
        choice: device and number format, and why.
        batch: faces that go through the network together.
    """

    name: str
    detect: Callable[[Image], list[Face]]
    network: Callable[[torch.Tensor], torch.Tensor]
    size: int
    choice: Choice
    batch: int = 1

    @overload
    def __call__(
        self,
        image: Image | PIL.Image.Image,
        *,
        scale: float = 2,
        strength: float = 1,
        aligned: bool = False,
        only_center_face: bool = False,
    ) -> Restoration: ...

    @overload
    def __call__(
        self,
        image: Sequence[Image | PIL.Image.Image],
        *,
        scale: float = 2,
        strength: float = 1,
        aligned: bool = False,
        only_center_face: bool = False,
    ) -> list[Restoration]: ...

    def __call__(
        self,
        image: Any,
        *,
        scale: float = 2,
        strength: float = 1,
        aligned: bool = False,
        only_center_face: bool = False,
    ) -> Restoration | list[Restoration]:
        """Restore one picture, or a list of them (their faces share batches; the results are the same).

        Args:
            image: (H, W, 3) RGB uint8, uint16 or float32 in [0, 1], or a Pillow image; or a list of such.
            scale: sides of the result over sides of the input, above 0, at most 8.
            strength: 0 leaves the faces alone, 1 restores them fully; between, the two are mixed.
            aligned: the whole picture is one face in the position of the alignment template. The result has the size of
                the network (its longer side, if it is not square) and ``scale`` plays no role.
            only_center_face: restore only the face nearest to the middle.

        Returns:
            The restoration, or a list of them for a list.

        Raises:
            InputError: a picture of another shape or dtype, a value out of range.
        """
        controls = Controls(scale=scale, strength=strength, aligned=aligned, only_center_face=only_center_face)
        single = not isinstance(image, list | tuple)
        results = self.restore([as_image(one) for one in ([image] if single else image)], controls)
        return results[0] if single else results

    def restore(
        self, pictures: Sequence[Image], controls: Controls, faces: Sequence[list[Face]] | None = None
    ) -> list[Restoration]:
        """Restore pictures; what calling does, for programs that hand their users' choices on.

        Args:
            pictures: as :func:`as_image` returns them.
            controls: what was chosen.
            faces: those of each picture, if they are known already; None detects them.

        Raises:
            InputError: see above.
        """
        if controls.aligned:
            return self._restore_aligned(pictures, controls)
        return self._restore_photos(pictures, controls, faces)

    def _restore_photos(
        self, pictures: Sequence[Image], controls: Controls, faces: Sequence[list[Face]] | None
    ) -> list[Restoration]:
        backgrounds = [lanczos(picture, controls.scale) for picture in pictures]
        detected = [self.detect(picture) for picture in pictures] if faces is None else faces
        found = [select(*pair, controls.only_center_face) for pair in zip(pictures, detected, strict=True)]
        aligned = [align_selected(*pair, self.size) for pair in zip(pictures, found, strict=True)]
        # The faces of all pictures go through the network together, in order.
        befores = [face.crop for positions in aligned for face in positions.values()]
        crops = iter(self._at_strength(befores, controls))

        results: list[Restoration] = []
        for picture, background, restored, positions in zip(pictures, backgrounds, found, aligned, strict=True):
            pairs: list[tuple[AlignedFace, FloatImage]] = []
            for place, face in positions.items():
                crop = next(crops)
                restored[place] = finished(restored[place], face.crop, crop, picture.dtype)
                if crop is not None:
                    pairs.append((face, crop))
            results.append(Restoration(paste(background, pairs, controls.scale), restored))
        return results

    def _restore_aligned(self, pictures: Sequence[Image], controls: Controls) -> list[Restoration]:
        fitted = [fit(to_float(picture), self.size) for picture in pictures]
        crops = self._at_strength([crop for crop, _ in fitted], controls)
        results: list[Restoration] = []
        for picture, (before, (height, width)), after in zip(pictures, fitted, crops, strict=True):
            face = RestoredFace(None, None, 1.0, FaceStatus.RESTORED)
            used = None if after is None else after[:height, :width]
            face = finished(face, before[:height, :width], used, picture.dtype)
            results.append(Restoration(picture if face.restored is None else face.restored, [face]))
        return results

    def _at_strength(self, crops: Sequence[FloatImage], controls: Controls) -> list[FloatImage | None]:
        pairs = zip(crops, self.enhance(crops), strict=True)
        return [None if after is None else mix(before, after, controls.strength) for before, after in pairs]

    def enhance(self, crops: Sequence[FloatImage]) -> list[FloatImage | None]:
        """Aligned faces as the network restores them, in batches.

        Args:
            crops: (size, size, 3) float32 in [0, 1].

        Returns:
            Likewise; None where the network gave no finite picture.
        """
        import torch

        results: list[FloatImage | None] = []
        for start in range(0, len(crops), self.batch):
            part = crops[start : start + self.batch]
            tensor = to_tensor(part).to(self.choice.device)
            half = self.choice.dtype != torch.float32
            with torch.inference_mode(), torch.autocast(self.choice.device.type, self.choice.dtype, enabled=half):
                output = self.network(tensor).float()
            sound = torch.isfinite(output).flatten(1).all(1).tolist()
            results += [after if good else None for after, good in zip(from_tensor(output), sound, strict=True)]
        return results


def mix(before: FloatImage, after: FloatImage, strength: float) -> FloatImage:
    """``before`` at strength 0, ``after`` at 1, linear between."""
    return np.asarray(before + np.float32(strength) * (after - before), np.float32)


def as_image(image: Any) -> Image:
    """Pillow image or array -> (H, W, 3) picture; arrays are checked, not converted.

    Raises:
        InputError: not a picture of the shapes and dtypes that ``revisage.types`` states.
    """
    if hasattr(image, "convert") and hasattr(image, "mode"):
        image = np.asarray(image.convert("RGB"))
    if not isinstance(image, np.ndarray):
        raise InputError(f"a picture is a numpy array or a Pillow image, not {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"a picture has the shape (height, width, 3), not {image.shape}")
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(f"a picture is uint8, uint16 or float32 in [0, 1], not {image.dtype}")
    if image.dtype == np.float32 and not np.isfinite(image).all():
        raise InputError("the picture holds values that are not finite")
    return image


def select(picture: Image, faces: list[Face], only_center: bool) -> list[RestoredFace]:
    """Say of each face whether it will be restored (status RESTORED) or why not."""
    height, width = picture.shape[:2]
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    distances = [float(np.linalg.norm((face.box[:2] + face.box[2:]) / 2 - middle)) for face in faces]
    center = int(np.argmin(distances)) if faces else -1
    chosen: list[RestoredFace] = []
    for place, face in enumerate(faces):
        status, reason = FaceStatus.RESTORED, ""
        eyes = math.dist(face.landmarks[0], face.landmarks[1])
        if only_center and place != center:
            status, reason = FaceStatus.NOT_SELECTED, "not the centre face"
        elif eyes < MIN_EYE_DISTANCE:
            status, reason = FaceStatus.TOO_SMALL, f"eyes only {eyes:.1f} px apart"
        chosen.append(RestoredFace(face.box, face.landmarks, face.score, status, reason))
    return chosen


def align_selected(picture: Image, faces: list[RestoredFace], size: int) -> dict[int, AlignedFace]:
    """Place in ``faces`` -> aligned face, if it is to be restored; hopeless landmarks mark a face as failed."""
    aligned: dict[int, AlignedFace] = {}
    for place, face in enumerate(faces):
        if face.status is not FaceStatus.RESTORED or face.landmarks is None:
            continue
        try:
            aligned[place] = align(picture, face.landmarks, size)
        except InputError as error:
            faces[place] = replace(face, status=FaceStatus.FAILED, reason=str(error))
    return aligned


def fit(picture: FloatImage, size: int) -> tuple[FloatImage, tuple[int, int]]:
    """Scale to ``size`` on the longer side and extend the other by repeating its edge -> (square crop, used (H, W))."""
    height, width = picture.shape[:2]
    factor = size / max(height, width)
    used = max(round(height * factor), 1), max(round(width * factor), 1)
    method = cv2.INTER_LINEAR if factor >= 1 else cv2.INTER_AREA
    scaled: Array = cv2.resize(picture, used[::-1], interpolation=method)
    square = np.pad(scaled, ((0, size - used[0]), (0, size - used[1]), (0, 0)), mode="edge")
    return square.astype(np.float32), used


def finished(face: RestoredFace, before: FloatImage, after: FloatImage | None, dtype: DTypeLike) -> RestoredFace:
    """The face with its crops in the picture's dtype, or marked as failed."""
    if after is None:
        return replace(face, status=FaceStatus.FAILED, reason="the network's output is not finite")
    return replace(face, crop=from_float(before, dtype), restored=from_float(after, dtype))
