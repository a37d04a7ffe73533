"""GFPGAN's ``GFPGANer``: the classic interface to a restorer."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from revisage.compat.background import BackgroundUpsampler, upscaling_by
from revisage.compat.bgr import bgr_of, rgb_of, with_alpha_of
from revisage.compat.face_restore_helper import FaceRestoreHelper
from revisage.compat.models import model_of
from revisage.compat.weight import strength_of
from revisage.loading import FirstOutput, load
from revisage.restore.controls import Controls, Selection
from revisage.restore.pipeline import Restorer
from revisage.types import Face, FaceStatus, Image, RestoredFace

if TYPE_CHECKING:
    import torch


class GFPGANer:
    """Restores faces behind the classic interface. Any number of threads may share one.

    Args:
        model_path: a weight file; a name such as "gfpgan-1.4" or "embedded"; or the address at which one of the known
            models is published. What has to be downloaded is checked and kept in this library's cache.
        upscale: sides of the result over sides of the picture, above 0, at most 8.
        arch: "clean", "bilinear", "original", "RestoreFormer" or "RestoreFormer++": what a file must hold. "auto" takes
            what it holds. For names and addresses the registry has it.
        channel_multiplier: not looked at: the width of a network is read from its file.
        bg_upsampler: enlarges the background: ``enhance(BGR picture, outscale=upscale) -> (BGR picture, ...)``. It is
            called once a picture; what it raises comes out. None for Lanczos.
        device: "cuda", "cpu", a ``torch.device``, ...; None for the best there is.

    Attributes:
        gfpgan: the network.
        device: where it is.
        upscale: as given; may be set.
        arch: as given.
        bg_upsampler: as given; may be set.

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
        bg_upsampler: BackgroundUpsampler | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        self.upscale, self.arch, self.bg_upsampler = upscale, arch, bg_upsampler
        model, architecture = model_of(model_path, arch)
        self._restorer = load(model, device="auto" if device is None else str(device), architecture=architecture)
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
        """What this thread's last ``enhance`` found, cut out, restored; never what another thread's did.

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
        """Restore the faces of a picture. The same picture gives the same result, and no call sees another.

        Args:
            img: gray, BGR or BGRA, uint8 or uint16.
            has_aligned: the picture is one aligned face. It keeps its proportions: its longer side becomes that of the
                network's faces.
            only_center_face: restore only the face nearest to the middle.
            paste_back: put the faces back into the picture.
            weight: 0 to 1. Up to 0.5, the default, faces are restored fully; towards 1 they keep more and more of the
                photo, and at 1 all of it: CodeFormer's fidelity, see :func:`revisage.compat.strength_of`.

        Returns:
            The faces before and the faces after, (size, size, 3) BGR, best score first; and the picture, (H * upscale,
            W * upscale, 3) BGR, with its transparency as a fourth channel if it had one, or None for aligned faces and
            if nothing is pasted. All in the dtype of ``img``. A face that the network failed at is in neither list; a
            RuntimeWarning says so.

        Raises:
            InputError: ``img`` is no picture, ``weight`` or ``upscale`` is out of range.
            RuntimeError: what torch raises, no memory left say.
        """
        picture = rgb_of(img)
        paste_back = paste_back and not has_aligned
        controls = Controls(
            scale=self.upscale if paste_back else 1,
            strength=strength_of(weight),
            aligned=has_aligned,
            only_center_face=only_center_face,
            selection=Selection(order="score"),
        )
        try:
            (result,) = self._restorer_for(paste_back).restore([picture], controls)
        except MemoryError as error:  # callers of the classic tool expect what torch raises
            raise RuntimeError(str(error)) from error
        _warn_of_failures(result.faces)
        helper = self._calls.face_helper = self._filled_helper(picture, result.faces)
        restored = with_alpha_of(bgr_of(result.image), img) if paste_back else None
        return list(helper.cropped_faces), list(helper.restored_faces), restored

    def _restorer_for(self, paste_back: bool) -> Restorer:
        if not paste_back or self.bg_upsampler is None:
            return self._restorer
        return replace(self._restorer, upscale=upscaling_by(self.bg_upsampler))

    def _empty_helper(self) -> FaceRestoreHelper:
        return FaceRestoreHelper(self.upscale, self._restorer.size, detect=self._restorer.detect)

    def _filled_helper(self, picture: Image, faces: Sequence[RestoredFace]) -> FaceRestoreHelper:
        helper = self._empty_helper()
        helper.input_img = bgr_of(picture)
        done = [face for face in faces if face.status is FaceStatus.RESTORED]
        helper.take([found for face in done if (found := _found(face))])
        helper.cropped_faces = [bgr_of(face.crop) for face in done if face.crop is not None]
        helper.restored_faces = [bgr_of(face.restored) for face in done if face.restored is not None]
        helper.get_inverse_affine()
        return helper


def _found(face: RestoredFace) -> Face | None:
    """The face as the detector gave it, None if it came aligned."""
    if face.box is None or face.landmarks is None:
        return None
    return Face(face.box, face.landmarks, face.score)


def _warn_of_failures(faces: Sequence[RestoredFace]) -> None:
    failed = [face.reason for face in faces if face.status is FaceStatus.FAILED]
    if failed:
        warnings.warn(f"{len(failed)} of {len(faces)} faces failed: {failed[0]}", RuntimeWarning, stacklevel=3)
