"""An image's way: detect -> select -> align -> enhance -> blend -> paste, for one image or for many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from revisage.errors import InputError, WeightsError
from revisage.geometry import compose, invert, resizing
from revisage.images.icc import ColorSpace, parse_color_space
from revisage.images.pixels import is_gray
from revisage.restore.align import align, align_job, crop_face
from revisage.restore.background import AutoUpscaler, mix, without_color
from revisage.restore.blend import Embed, Parse, blend, require_embedder
from revisage.restore.controls import Controls, RestoreOptions, Selection
from revisage.restore.enhance import RestoreNetwork, enhance
from revisage.restore.face_job import FaceJob
from revisage.restore.inputs import as_image, check_faces, resize_and_pad, take, warn_if_nearly_black
from revisage.restore.paste import Layer, crop_mask, in_threads, make_layer, paste_layers
from revisage.restore.regions import head_mask
from revisage.restore.repair import Repair
from revisage.restore.select import largest, select, sort_faces
from revisage.restore.upscale import Upscale, lanczos, scaled_size
from revisage.types import AlignedFace, Array, Face, FaceStatus, FloatImage, Image, Restoration, RestoredFace

if TYPE_CHECKING:
    import PIL.Image

    from revisage.models.device import DeviceConfig


Progress = Callable[[int, int], None]
"""Called with the number of images that are done, and of all."""
GROUP_BATCHES = 4
"""Batches of faces after which the images that they come from are finished, on a CPU; 1 on an accelerator."""
LARGE = 2**25
"""Bytes of a result from which on it matters that networks hold no memory meanwhile."""
Item = TypeVar("Item")


def _keep_memory() -> None:
    """Nothing is released: networks of others may have no working memory here."""


@dataclass(frozen=True)
class Restorer:
    """Restores the faces of images. Stateless; any number of threads may share one.

    Attributes:
        name: model name or file.
        detect: image -> faces; those of ``revisage.load`` are ordered from left to right, top to bottom.
        network: (N, 3, size, size) float32 RGB in [-1, 1] -> the same shape.
        size: side of the network's aligned faces in pixels.
        device: where and in which number format the network runs, and why.
        batch: faces that go through the network together.
        upscale: (image, scale) -> enlarged background of the image's dtype, pixel centers at
            x' = scale x + (scale - 1) / 2. An ``AutoUpscaler`` chooses for each image.
        parse: face parser, see ``blend.Parse``; None if there is none.
        embed: identity embedder, see ``blend.Embed``; None if there is none. It may load its weights at the first call,
            and raise WeightsError then.
        release_memory: gives working memory of networks back, before and after the background of a large photo.
        repairer: fills scratches, creases and dust, see ``repair.Repair``; None if there is none. It, too, may load its
            weights at the first call.
    """

    name: str
    detect: Callable[[Image], list[Face]] = field(repr=False)
    network: RestoreNetwork = field(repr=False)
    size: int
    device: DeviceConfig | None = field(default=None, repr=False)
    batch: int = field(default=1, repr=False)
    upscale: Upscale = field(default=lanczos, repr=False)
    parse: Parse | None = field(default=None, repr=False)
    embed: Embed | None = field(default=None, repr=False)
    repairer: Repair | None = field(default=None, repr=False)
    release_memory: Callable[[], None] = field(default=_keep_memory, repr=False)

    @overload
    def __call__(
        self,
        image: Image | PIL.Image.Image,
        *,
        faces: Sequence[Face] | None = None,
        profile: bytes | None = None,
        progress: Progress | None = None,
        **options: Unpack[RestoreOptions],
    ) -> Restoration: ...

    @overload
    def __call__(
        self,
        image: Sequence[Image | PIL.Image.Image],
        *,
        faces: Sequence[Sequence[Face]] | None = None,
        profile: bytes | None = None,
        progress: Progress | None = None,
        **options: Unpack[RestoreOptions],
    ) -> list[Restoration]: ...

    def __call__(
        self,
        image: Any,
        *,
        faces: Any = None,
        profile: bytes | None = None,
        progress: Progress | None = None,
        **options: Unpack[RestoreOptions],
    ) -> Restoration | list[Restoration]:
        """Restore one image, or a list of them (their faces share batches; the results are the same).

        Args:
            image: (H, W, 3 or 4) RGB or RGBA uint8, uint16 or float32 in [0, 1]; or a Pillow image: it is turned
                upright by its EXIF orientation, 16 bits (modes I;16 and I) are kept; or a list of them.
            faces: the image's faces, with your own boxes and landmarks (of a list: one list per image); None detects.
                Results keep their order.
            profile: ICC profile of the images and their results; None: that of a Pillow image, else sRGB.
            progress: called after each image with the number of those that are done, and of all. It may raise
                ``CancelledError``, which comes out of this call.
            **options: controls, see :class:`revisage.restore.controls.Controls`.

        Returns:
            The restoration, or a list of them for a list. Transparency is kept, as a fourth channel.

        Raises:
            InputError: an image of another shape, dtype or range of values, an unknown option, a value out of range.
            WeightsError: an option needs a network that is missing.
        """
        controls = Controls(**options)
        if controls.aligned and faces is not None:
            raise InputError("an aligned image is one face by itself: leave out faces, or aligned")
        if progress is not None and not callable(progress):  # pyright: ignore[reportUnnecessaryComparison]
            raise InputError(f"progress is a function of two numbers, not {progress!r}")
        single = not isinstance(image, list | tuple)
        images: Sequence[Any] = [image] if single else image
        for one in images:
            warn_if_nearly_black(one)
        if not (profile is None or isinstance(profile, bytes)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"profile is the content of an ICC profile in bytes, not {type(profile).__name__}")
        profiles = None if profile is None else [profile] * len(images)
        known = None if faces is None else check_faces([faces] if single else faces, len(images))
        results = self.restore(images, controls, faces=known, profiles=profiles, progress=progress)
        return results[0] if single else results

    def restore(
        self,
        images: Sequence[Image | PIL.Image.Image],
        controls: Controls,
        faces: Sequence[Sequence[Face]] | None = None,
        profiles: Sequence[bytes] | None = None,
        progress: Progress | None = None,
    ) -> list[Restoration]:
        """Restore images; ``__call__`` for programs that pass their users' options on.

        Args:
            images: as ``__call__`` takes them.
            controls: options.
            faces: those of each image, if known; None detects them.
            profiles: ICC profile of each image, empty for sRGB; None: those of Pillow images, else sRGB.
            progress: as for ``__call__``.

        Raises:
            InputError: an image of another kind, or a value out of range.
            WeightsError: a control needs a network that is missing.
        """
        given = [take(one) for one in images]
        controls = self.resolve(controls)
        pixels = [one.image for one in given]
        profiles = [one.profile for one in given] if profiles is None else profiles
        groups: Iterable[_Group] = self._groups(pixels, controls, faces, profiles)
        enhanced = (replace(group, jobs=self.enhance(group.jobs)) for group in self._overlapped(groups))
        results: list[Restoration] = []
        for group in self._overlapped(enhanced):
            restored = self.finish(group.images, group.jobs, controls)
            for one, result in zip(given[group.places], restored, strict=True):
                results.append(one.complete(result))
                if progress:
                    progress(len(results), len(given))
        return results

    def _groups(
        self,
        images: Sequence[Image],
        controls: Controls,
        faces: Sequence[Sequence[Face]] | None,
        profiles: Sequence[bytes],
    ) -> Iterator[_Group]:
        """Prepare as many images at a time as fill some batches: more at once would only hold their crops."""
        full = self.batch * (1 if self.has_accelerator else GROUP_BATCHES)
        stop = 0
        while stop < len(images):
            start = stop
            jobs: list[FaceJob] = []
            repaired: list[Image] = []
            while stop < len(images) and (stop == start or 0 < sum(job.is_active for job in jobs) < full):
                own = slice(stop, stop + 1)
                known = None if faces is None else faces[own]
                repaired += [self.repair(image, controls) for image in images[own]]
                prepared = self.prepare(repaired[-1:], controls, known, profiles[own])
                jobs += [replace(job, image=stop - start) for job in prepared]
                stop += 1
            yield _Group(slice(start, stop), repaired, jobs)

    @property
    def has_accelerator(self) -> bool:
        """Whether the network leaves the CPU to other work."""
        return self.device is not None and self.device.kind != "cpu"

    def _overlapped(self, groups: Iterable[_Group]) -> Iterable[_Group]:
        """The same groups; with an accelerator each is made while the one before is worked on."""
        return one_ahead(groups) if self.has_accelerator else groups

    def resolve(self, controls: Controls) -> Controls:
        """Do once what is the same for every image: reference images become embeddings.

        Raises:
            InputError: a reference image has no face.
            WeightsError: an identity embedder is needed and missing, or cannot be loaded.
        """
        reference = controls.selection.reference
        if controls.min_identity is None and not reference:
            return controls
        require_embedder(self.embed)([])
        known = tuple(one if getattr(one, "ndim", 0) == 1 else self._embed_person(as_image(one)) for one in reference)
        return replace(controls, selection=replace(controls.selection, reference=known))

    def repair(self, image: Image, controls: Controls) -> Image:
        """Fill scratches, creases and dust if that is wanted (WeightsError: there is no network for it)."""
        if not controls.repair:
            return image
        if self.repairer is None:
            raise WeightsError("this restorer has no network that repairs photos; leave out repair")
        return self.repairer(image)

    def prepare(
        self,
        images: Sequence[Image],
        controls: Controls,
        faces: Sequence[Sequence[Face]] | None = None,
        profiles: Sequence[bytes] | None = None,
    ) -> list[FaceJob]:
        """Detect, select and align the faces of images; arguments as for :meth:`restore`, controls resolved."""
        jobs: list[FaceJob] = []
        for index, image in enumerate(images):
            space = parse_color_space(b"" if profiles is None else profiles[index])
            own_strengths = dict(controls.face_strengths or {})
            if controls.aligned:
                jobs.append(replace(self._whole_image(index, image, space), own_strength=own_strengths.get(0)))
                continue
            scaled_size(image, controls.scale)  # wrong sizes are found before any work
            order = controls.selection.order
            detected = sort_faces(self.detect(image), order) if faces is None else faces[index]
            found = [
                FaceJob(index, face, space=space, own_strength=own_strengths.get(number))
                for number, face in enumerate(detected)
            ]
            selected = self._select(image, found, controls.effective_selection)
            jobs += [align_job(job, image, self.size) for job in selected]
        return jobs

    def enhance(self, jobs: Sequence[FaceJob]) -> list[FaceJob]:
        """Restore prepared faces by the network, in batches over all images."""
        return enhance(jobs, self.network, self.batch)

    def finish(self, images: Sequence[Image], jobs: Sequence[FaceJob], controls: Controls) -> list[Restoration]:
        """Blend enhanced faces and paste them on the upscaled images."""
        blended = blend(jobs, controls, self.parse, self.embed)
        of_image: list[list[FaceJob]] = [[] for _ in images]
        for job in blended:
            of_image[job.image].append(job)
        make = self._aligned_result if controls.aligned else self._paste
        return [make(image, own, controls) for image, own in zip(images, of_image, strict=True)]

    def _select(self, image: Image, jobs: list[FaceJob], selection: Selection) -> list[FaceJob]:
        def similarity(faces: list[Face]) -> list[float]:
            return self._similarity(image, faces, np.stack(selection.reference))

        return select(jobs, image.shape, selection, similarity if selection.reference else None)

    def _paste(self, image: Image, jobs: Sequence[FaceJob], controls: Controls) -> Restoration:
        scale = controls.scale
        is_large = image.nbytes * scale**2 >= LARGE
        if is_large:
            self.release_memory()
        background, repaired = self._background(image, controls)
        if is_large:
            self.release_memory()

        def finish(job: FaceJob) -> tuple[RestoredFace, Layer | None]:
            if job.status is not FaceStatus.RESTORED or job.aligned is None:
                return job.to_result(image.dtype), None
            composite = job.composite()
            face, restored = self._on_background(job, background, scale) if repaired else (job.aligned, composite)
            mask = crop_mask(len(restored)) if self.parse is None else head_mask(self.parse([restored])[0])
            layer = make_layer(face, restored, mask, scale, background.shape)  # at once: of crowds crops are large
            return job.to_result(image.dtype, composite), layer

        # A parser takes all of the processor itself.
        finished = in_threads(finish, jobs) if self.parse is None else [finish(job) for job in jobs]
        paste_layers(background, [layer for _, layer in finished if layer])
        return Restoration(background, [result for result, _ in finished])

    def _background(self, image: Image, controls: Controls) -> tuple[Image, bool]:
        """The image enlarged, in an array of its own, and whether it differs from what Lanczos makes of it."""
        scale, strength = controls.scale, controls.background_strength

        def own(enlarged: Image) -> Image:
            return enlarged.copy() if np.may_share_memory(enlarged, image) else np.ascontiguousarray(enlarged)

        upscale = self.upscale.choose(image) if isinstance(self.upscale, AutoUpscaler) else self.upscale
        if upscale is lanczos or strength == 0:
            return own(lanczos(image, scale)), False
        repaired = own(upscale(image, scale))
        if is_gray(image):
            without_color(repaired)
        if strength < 1:
            mix(lanczos(image, scale), repaired, strength)
        return repaired, True

    def _on_background(self, job: FaceJob, background: Image, scale: float) -> tuple[AlignedFace, FloatImage]:
        """The face as a repaired background shows it, and its composite with that; the difference is pasted."""
        assert job.aligned is not None
        crop_from_background = compose(job.aligned.crop_from_image, invert(resizing(scale, scale)))
        shown = replace(job.aligned, crop=crop_face(background, crop_from_background, self.size).crop)
        return shown, job.composite(shown.crop)

    def _whole_image(self, index: int, image: Image, space: ColorSpace | None) -> FaceJob:
        crop, valid = resize_and_pad(image, self.size)
        factor = self.size / max(image.shape[:2])
        return FaceJob(index, None, aligned=AlignedFace(crop, resizing(factor, factor)), valid=valid, space=space)

    def _aligned_result(self, image: Image, jobs: Sequence[FaceJob], controls: Controls) -> Restoration:  # noqa: ARG002
        face = jobs[0].to_result(image.dtype)
        return Restoration(image if face.restored is None else face.restored, [face])

    def _embed_person(self, image: Image) -> NDArray[np.float32]:
        faces = self.detect(image)
        if not faces:
            raise InputError("no face is found in the reference image")
        face = faces[largest(faces)]
        return require_embedder(self.embed)([align(image, face.landmarks, self.size, face.box).crop])[0]

    def _similarity(self, image: Image, faces: list[Face], people: Array) -> list[float]:
        """Of each face the highest cosine similarity to a row of ``people``, -1 where the face cannot be aligned."""
        similarities = [-1.0] * len(faces)
        for index, face in enumerate(faces):
            with suppress(InputError):  # reported when it comes to restoring
                crop = align(image, face.landmarks, self.size, face.box).crop
                similarities[index] = float((require_embedder(self.embed)([crop]) @ people.T).max())
        return similarities


@dataclass(frozen=True)
class _Group:
    """Images that are restored together, their places in the list, and their faces; ``image`` counts from 0."""

    places: slice
    images: Sequence[Image]
    jobs: Sequence[FaceJob]


def one_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items; the next one is made in a thread while the caller works on one.

    The thread sees the context of the caller: a server tells by it whether the work is to end.
    """
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:

        def make_next() -> Future[Any]:  # each time with a copy of its own: a context cannot be entered twice at once
            return pool.submit(copy_context().run, next, iterator, end)

        waiting = make_next()
        while (item := waiting.result()) is not end:
            waiting = make_next()
            yield item
