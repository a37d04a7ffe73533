"""GFPGAN's ``GFPGANer``: the classic interface to a restorer."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from revisage.auxiliary import FirstOutput
from revisage.compat.bgr import BackgroundUpsampler, copy_alpha, to_bgr, to_rgb, wrap_upsampler
from revisage.compat.face_restore_helper import FaceRestoreHelper
from revisage.errors import InputError, UnknownModelError
from revisage.loading import load
from revisage.models.registry import MODELS
from revisage.restore.controls import Controls, Selection
from revisage.restore.pipeline import Restorer
from revisage.restore.upscale import lanczos
from revisage.types import Face, FaceStatus, Image, RestoredFace

if TYPE_CHECKING:
    import torch


class GFPGANer:
    """Restores faces behind the classic interface. Any number of threads may share one.

    Args:
        model_path: a weights file; a name such as "gfpgan-1.4" or "embedded"; or the address at which one of the known
            models is published. Downloads are checked and kept in this library's cache.
        upscale: output scale factor, above 0, at most 8.
        arch: "clean", "bilinear", "original", "RestoreFormer" or "RestoreFormer++": what a file must hold. "auto" takes
            what it holds. For names and addresses the registry knows.
        channel_multiplier: ignored: the width of a network is read from its file.
        bg_upsampler: enlarges the background: ``enhance(BGR image, outscale=upscale) -> (BGR image, ...)``. It is
            called once an image; what it raises comes out. A name or file is one of ``revisage.load(background=...)``:
            "embedded", "auto", "realesrgan-x2plus". None for Lanczos.
        device: "cuda", "cpu", a ``torch.device``, ...; None for the best there is.

    Attributes:
        gfpgan: the network.
        device: where it is.
        upscale: as given; may be set.
        arch: as given.
        bg_upsampler: as given; may be set, but not to another name.

    Raises:
        InputError: an unknown ``arch``, or one that is not that of the model at an address.
        WeightsError: see ``revisage.load``.
        DeviceError: the device is not to be had here.
    """

    def __init__(
        self,
        model_path: str | Path,
        upscale: float = 2,
        arch: str = "clean",
        channel_multiplier: float = 2,  # noqa: ARG002
        bg_upsampler: BackgroundUpsampler | str | Path | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        self.upscale, self.arch, self.bg_upsampler = upscale, arch, bg_upsampler
        self._background = bg_upsampler if isinstance(bg_upsampler, str | Path) else None
        model, architecture = resolve_model(model_path, arch)
        self._restorer = load(
            model,
            device="auto" if device is None else str(device),
            architecture=architecture,
            background=self._background or "lanczos",
        )
        self._calls = threading.local()

    @property
    def gfpgan(self) -> Any:
        """The network: of a weights file the torch module, of an ``.onnx`` file a function of arrays."""
        network = self._restorer.network
        opened = network.network if isinstance(network, FirstOutput) else network
        module = getattr(opened, "module", opened)
        return getattr(module, "network", module)

    @property
    def device(self) -> Any:
        """Where the network is: a ``torch.device``, or a name where torch is not installed."""
        name = self._restorer.device.device if self._restorer.device else "cpu"
        try:
            import torch
        except ImportError:
            return name
        return torch.device(name)

    @property
    def face_helper(self) -> FaceRestoreHelper:
        """The faces that this thread's last ``enhance`` found, cut out, restored; never those of another thread.

        It is the thread's own: what is done to it changes no restoration, past or to come.
        """
        if not hasattr(self._calls, "face_helper"):
            self._calls.face_helper = self._empty_helper()
        return self._calls.face_helper

    def enhance(
        self,
        img: Image,
        has_aligned: bool = False,
        only_center_face: bool = False,
        paste_back: bool = True,
        weight: float = 0.5,
    ) -> tuple[list[Image], list[Image], Image | None]:
        """Restore the faces of an image. The same image gives the same result, and no call sees another.

        Args:
            img: gray, BGR or BGRA, uint8 or uint16.
            has_aligned: the image is one aligned face. It keeps its proportions: its longer side becomes that of the
                network's faces.
            only_center_face: restore only the face nearest to the middle.
            paste_back: put the faces back into the image.
            weight: 0 to 1. Up to 0.5, the default, faces are restored fully; towards 1 they keep more and more of the
                photo, and at 1 all of it: CodeFormer's fidelity, see :func:`revisage.compat.strength_of`.

        Returns:
            The faces before and the faces after, (size, size, 3) BGR, best score first; and the image, (H * upscale,
            W * upscale, 3) BGR, with its transparency as a fourth channel if it had one, or None for aligned faces and
            if nothing is pasted. All in the dtype of ``img``. A face that the network failed at is in neither list; a
            RuntimeWarning says so.

        Raises:
            InputError: ``img`` is no image, ``weight`` or ``upscale`` is out of range.
            RuntimeError: what torch raises, no memory left say.
        """
        image = to_rgb(img)
        paste_back = paste_back and not has_aligned
        controls = Controls(
            scale=self.upscale if paste_back else 1,
            strength=strength_of(weight),
            aligned=has_aligned,
            only_center_face=only_center_face,
            selection=Selection(order="score"),
        )
        try:
            (result,) = self._restorer_for(paste_back).restore([image], controls)
        except MemoryError as error:  # callers of the classic tool expect what torch raises
            raise RuntimeError(str(error)) from error
        _warn_of_failures(result.faces)
        helper = self._calls.face_helper = self._filled_helper(image, result.faces)
        restored = copy_alpha(to_bgr(result.image), img) if paste_back else None
        return list(helper.cropped_faces), list(helper.restored_faces), restored

    def _restorer_for(self, paste_back: bool) -> Restorer:
        upsampler = self.bg_upsampler
        if not paste_back or upsampler is None:
            return replace(self._restorer, upscale=lanczos)
        if not isinstance(upsampler, str | Path):
            return replace(self._restorer, upscale=wrap_upsampler(upsampler))
        if upsampler != self._background:
            raise InputError(f"bg_upsampler={upsampler!r}: a name is given when a GFPGANer is made")
        return self._restorer

    def _empty_helper(self) -> FaceRestoreHelper:
        return FaceRestoreHelper(self.upscale, self._restorer.size, detect=self._restorer.detect)

    def _filled_helper(self, image: Image, faces: Sequence[RestoredFace]) -> FaceRestoreHelper:
        helper = self._empty_helper()
        helper.input_img = to_bgr(image)
        done = [face for face in faces if face.status is FaceStatus.RESTORED]
        helper.take([found for face in done if (found := _to_face(face))])
        helper.cropped_faces = [to_bgr(face.crop) for face in done if face.crop is not None]
        helper.restored_faces = [to_bgr(face.restored) for face in done if face.restored is not None]
        helper.get_inverse_affine()
        return helper


def _to_face(face: RestoredFace) -> Face | None:
    """The face as the detector gave it, None if it came aligned."""
    if face.box is None or face.landmarks is None:
        return None
    return Face(face.box, face.landmarks, face.score)


def _warn_of_failures(faces: Sequence[RestoredFace]) -> None:
    failed = [face.reason for face in faces if face.status is FaceStatus.FAILED]
    if failed:
        warnings.warn(f"{len(failed)} of {len(faces)} faces failed: {failed[0]}", RuntimeWarning, stacklevel=3)


ARCHITECTURES: Mapping[str, str | None] = {
    "clean": "GFPGANv1Clean",
    "bilinear": "GFPGANBilinear",
    "original": "GFPGANv1",
    "RestoreFormer": "RestoreFormer",
    "RestoreFormer++": "RestoreFormer",
    "auto": None,
}
"""Classic ``arch`` -> network class; "auto", which is new, takes what the file holds."""


def resolve_model(model_path: str | Path, arch: str) -> tuple[str | Path, str | None]:
    """What ``revisage.load`` takes for a classic model path and ``arch``.

    Args:
        model_path: a weights file, a name of the registry, or the address at which one of its models is published.
        arch: a key of ``ARCHITECTURES``. Names do not ask for it: the registry says what they are.

    Returns:
        model and architecture.

    Raises:
        InputError: there is no such ``arch``, or the model at that address is of another.
        UnknownModelError: no model of the registry is published under the last part of the address.
    """
    if arch not in ARCHITECTURES:
        raise InputError(f"unknown arch {arch!r}; choose one of {', '.join(ARCHITECTURES)}")
    architecture = ARCHITECTURES[arch]
    if str(model_path) in MODELS:
        return model_path, None
    address = urlsplit(str(model_path))
    if address.scheme not in ("http", "https"):
        return model_path, architecture
    name = _find_published(unquote(address.path).rpartition("/")[2], str(model_path))
    if architecture not in (None, MODELS[name].architecture):
        raise InputError(f"{name} is a {MODELS[name].architecture}, not of arch {arch!r}, which is a {architecture}")
    return name, None


def _find_published(file: str, address: str) -> str:
    """Name of the model whose file is called so at one of its addresses."""
    for name, spec in MODELS.items():
        if file in {unquote(url).rpartition("/")[2] for url in spec.urls}:
            return name
    raise UnknownModelError(f"no known model is published as {file!r}; download {address} and give the file's path")


def strength_of(weight: float) -> float:
    """The classic ``weight`` as a strength of restoration, 1 for all weights up to 0.5, then falling linearly to 0.

    ``weight`` came from CodeFormer, where 0 asks for quality and 1 for fidelity to the photo; GFPGAN took it and did
    nothing with it. The direction is CodeFormer's. Callers who never chose have always sent 0.5 and got the full
    restoration: they still do. There is no more than full, so the weights below 0.5 are full as well.

    Args:
        weight: 0 to 1.

    Returns:
        1 (restore fully) to 0 (leave the face alone).

    Raises:
        InputError: ``weight`` is out of range.
    """
    if not 0 <= weight <= 1:
        raise InputError(f"weight must be between 0 (quality) and 1 (fidelity to the photo), not {weight:g}")
    return min(2 - 2 * weight, 1.0)
