"""detect -> align -> restore -> paste, for one picture or for many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from revisage.errors import InputError
from revisage.geometry import compose, invert, magnification, resizing
from revisage.images.icc import ColorSpace, parse_color_space
from revisage.images.pixels import from_tensor, to_float, to_tensor
from revisage.models.device import evaluate
from revisage.restore.align import align, cut_out
from revisage.restore.blend import Moderated, moderate, needed
from revisage.restore.controls import Choices, Controls
from revisage.restore.enhance import Enhance, in_srgb
from revisage.restore.inputs import as_image, fit, profile_of
from revisage.restore.parse import head_mask
from revisage.restore.paste import paste
from revisage.restore.select import Selection, largest, reasons_against
from revisage.restore.upscale import lanczos
from revisage.restore.verdicts import align_selected, finished, judged
from revisage.types import AlignedFace, Array, Face, FaceStatus, FloatImage, Image, Restoration, RestoredFace

if TYPE_CHECKING:
    import PIL.Image
    import torch

    from revisage.models.device import Choice


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
        upscale: (picture, scale) -> the enlarged background, of the picture's dtype, with pixel centres at
            x' = scale x + (scale - 1) / 2.
        parse: aligned faces (size, size, 3) in [0, 1] -> (N, size, size) uint8, the place of each pixel's class in
            ``nets.parsenet.CLASSES``; None if there is no parsing network.
        describe: aligned faces (S, S, 3) in [0, 1] -> (N, D) float32 of length 1, whose products are cosines between
            identities; of no faces, (0, D). None if there is no identity network. It may load its weights when it is
            first called, and raise WeightsError then.
    """

    name: str
    detect: Callable[[Image], list[Face]]
    network: Callable[[torch.Tensor], torch.Tensor]
    size: int
    choice: Choice
    batch: int = 1
    upscale: Callable[[Image, float], Image] = lanczos
    parse: Callable[[Sequence[FloatImage]], NDArray[np.uint8]] | None = None
    describe: Callable[[Sequence[FloatImage]], NDArray[np.float32]] | None = None

    @overload
    def __call__(
        self, image: Image | PIL.Image.Image, *, profile: bytes | None = None, **choices: Unpack[Choices]
    ) -> Restoration: ...

    @overload
    def __call__(
        self, image: Sequence[Image | PIL.Image.Image], *, profile: bytes | None = None, **choices: Unpack[Choices]
    ) -> list[Restoration]: ...

    def __call__(
        self, image: Any, *, profile: bytes | None = None, **choices: Unpack[Choices]
    ) -> Restoration | list[Restoration]:
        """Restore one picture, or a list of them (their faces share batches; the results are the same).

        Args:
            image: (H, W, 3) RGB uint8, uint16 or float32 in [0, 1], or a Pillow image; or a list of such.
            profile: ICC profile of the colour space that the pictures are in, and their results as well; None for
                what a Pillow image says of itself, and else sRGB.
            **choices: how: ``scale``, ``strength``, ``aligned``, ``only_center_face``, ``regions``, ``selection``,
                ``min_identity``, ``identity_action``, ``keep_grain``; see
                :class:`revisage.restore.controls.Controls`.

        Returns:
            The restoration, or a list of them for a list.

        Raises:
            InputError: a picture of another shape or dtype, a value out of range.
        """
        controls = Controls(**choices)
        single = not isinstance(image, list | tuple)
        images = [image] if single else image
        profiles = [profile_of(one) if profile is None else profile for one in images]
        results = self.restore([as_image(one) for one in images], controls, profiles=profiles)
        return results[0] if single else results

    def restore(
        self,
        pictures: Sequence[Image],
        controls: Controls,
        faces: Sequence[list[Face]] | None = None,
        enhance: Enhance | None = None,
        profiles: Sequence[bytes] | None = None,
    ) -> list[Restoration]:
        """Restore pictures; what calling does, for programs that hand their users' choices on.

        Args:
            pictures: as :func:`revisage.restore.inputs.as_image` returns them.
            controls: what was chosen.
            faces: those of each picture, if they are known already; None detects them.
            enhance: takes the place of :meth:`enhance`, for programs that know more of a face than one picture shows:
                is given the crops of all chosen faces, those of the first picture first, as :meth:`aligned` cuts them,
                in sRGB.
            profiles: the ICC profile of each picture, empty for sRGB; None if all are sRGB.

        Raises:
            InputError: see above.
            WeightsError: a control needs a network that is not there.
        """
        controls = self.settled(controls)
        spaces = [parse_color_space(icc) for icc in ([b""] * len(pictures) if profiles is None else profiles)]
        if controls.aligned:
            return self._restore_aligned(pictures, controls, spaces)
        return self._restore_photos(pictures, controls, faces, enhance or self.enhance, spaces)

    def aligned(self, picture: Image, faces: list[Face], controls: Controls) -> dict[int, AlignedFace]:
        """The faces that :meth:`restore` shows to the network: place in ``faces`` -> aligned face, in order.

        Args:
            picture: as :func:`revisage.restore.inputs.as_image` returns it.
            faces: those in it.
            controls: as :meth:`settled` returns them.
        """
        return align_selected(picture, self._chosen(picture, faces, controls.chosen), self.size)

    def settled(self, controls: Controls) -> Controls:
        """The same controls with all done that is the same for every picture; done once, it need not be done again.

        Pictures of people to look for (``selection.like``) become descriptors; a missing identity network comes to
        light.

        Raises:
            InputError: a picture to look for has no face.
            WeightsError: there is no identity network, or it cannot be loaded.
        """
        like = controls.selection.like
        if controls.min_identity is None and not like:
            return controls
        needed(self.describe)([])
        known = tuple(one if one.ndim == 1 else self._person(as_image(one)) for one in like)
        return replace(controls, selection=replace(controls.selection, like=known))

    def _person(self, picture: Image) -> NDArray[np.float32]:
        faces = self.detect(picture)
        if not faces:
            raise InputError("no face is found in the picture of the person to look for")
        face = faces[largest(faces)]
        return needed(self.describe)([align(picture, face.landmarks, self.size, face.box).crop])[0]

    def _restore_photos(
        self,
        pictures: Sequence[Image],
        controls: Controls,
        faces: Sequence[list[Face]] | None,
        enhance: Enhance,
        spaces: Sequence[ColorSpace | None],
    ) -> list[Restoration]:
        backgrounds = [self.upscale(picture, controls.scale) for picture in pictures]
        detected = [self.detect(picture) for picture in pictures] if faces is None else faces
        found = [self._chosen(*pair, controls.chosen) for pair in zip(pictures, detected, strict=True)]
        aligned = [align_selected(*pair, self.size) for pair in zip(pictures, found, strict=True)]
        # The faces of all pictures go through the network together, in order.
        befores = [face.crop for positions in aligned for face in positions.values()]
        ratios = [magnification(face.crop_from_image) for positions in aligned for face in positions.values()]
        of_faces = [space for positions, space in zip(aligned, spaces, strict=True) for _ in positions]
        moderated = iter(self._moderated(befores, ratios, controls, in_srgb(enhance, of_faces)))

        results: list[Restoration] = []
        for picture, background, restored, positions in zip(pictures, backgrounds, found, aligned, strict=True):
            pairs: list[tuple[AlignedFace, FloatImage]] = []
            for place, face in positions.items():
                outcome = next(moderated)
                restored[place] = finished(restored[place], face.crop, outcome, picture.dtype)
                if outcome is not None and restored[place].status is FaceStatus.RESTORED:
                    shown = self._shown(background, face, controls.scale)
                    pairs.append((shown, outcome.over(shown.crop)))
            results.append(Restoration(paste(background, pairs, controls.scale, self._masks(pairs)), restored))
        return results

    def _masks(self, pairs: Sequence[tuple[AlignedFace, FloatImage]]) -> list[FloatImage] | None:
        """What of each restored face is pasted; None if there is no network to tell."""
        if self.parse is None or not pairs:
            return None
        return [head_mask(labels) for labels in self.parse([restored for _, restored in pairs])]

    def _chosen(self, picture: Image, faces: list[Face], selection: Selection) -> list[RestoredFace]:
        """Say of each face whether it will be restored (status RESTORED) or why not."""

        def likeness(candidates: list[Face]) -> list[float]:
            return self._likeness(picture, candidates, np.stack(selection.like))

        reasons = reasons_against(faces, picture.shape, selection, likeness if selection.like else None)
        return [judged(face, reason) for face, reason in zip(faces, reasons, strict=True)]

    def _likeness(self, picture: Image, faces: list[Face], people: Array) -> list[float]:
        """Of each face the highest cosine to a row of ``people``, -1 where the face cannot be aligned."""
        described = [-1.0] * len(faces)
        for place, face in enumerate(faces):
            with suppress(InputError):  # said when it comes to restoring
                crop = align(picture, face.landmarks, self.size, face.box).crop
                described[place] = float((needed(self.describe)([crop]) @ people.T).max())
        return described

    def _shown(self, background: Image, face: AlignedFace, scale: float) -> AlignedFace:
        """The face as the background has it already; what is pasted is the difference to that."""
        if self.upscale is lanczos:
            return face
        crop_from_background = compose(face.crop_from_image, invert(resizing(scale, scale)))
        return replace(face, crop=cut_out(background, crop_from_background, self.size).crop)

    def _restore_aligned(
        self, pictures: Sequence[Image], controls: Controls, spaces: Sequence[ColorSpace | None]
    ) -> list[Restoration]:
        fitted = [fit(to_float(picture), self.size) for picture in pictures]
        ratios = [self.size / max(picture.shape[:2]) for picture in pictures]
        enhance = in_srgb(self.enhance, spaces)
        moderated = self._moderated([crop for crop, _ in fitted], ratios, controls, enhance)
        results: list[Restoration] = []
        for picture, (before, used), outcome in zip(pictures, fitted, moderated, strict=True):
            face = finished(judged(None), before, outcome, picture.dtype, used)
            results.append(Restoration(picture if face.restored is None else face.restored, [face]))
        return results

    def _moderated(
        self, befores: Sequence[FloatImage], magnifications: Sequence[float], controls: Controls, enhance: Enhance
    ) -> list[Moderated | None]:
        """How far each face is restored; None where the network gave no finite picture."""
        afters = enhance(befores)
        triples = zip(befores, afters, magnifications, strict=True)
        sound = [(before, after, ratio) for before, after, ratio in triples if after is not None]
        crops, restored, ratios = zip(*sound, strict=True) if sound else ((), (), ())
        moderated = iter(moderate(crops, restored, ratios, controls, self.parse, self.describe))
        return [None if after is None else next(moderated) for after in afters]

    def enhance(self, crops: Sequence[FloatImage]) -> list[FloatImage | None]:
        """Aligned faces as the network restores them, in batches.

        Args:
            crops: (size, size, 3) float32 in [0, 1].

        Returns:
            Likewise; None where the network gave no finite picture.
        """
        results: list[FloatImage | None] = []
        for start in range(0, len(crops), self.batch):
            results += self._enhance_together(crops[start : start + self.batch])
        return results

    def _enhance_together(self, crops: Sequence[FloatImage]) -> list[FloatImage | None]:
        import torch

        output = evaluate(self.network, to_tensor(crops).to(self.choice.device), self.choice)
        sound = torch.isfinite(output).flatten(1).all(1)
        return [after if good else None for after, good in zip(from_tensor(output), sound.tolist(), strict=True)]
