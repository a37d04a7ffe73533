"""facexlib's ``FaceRestoreHelper``: the steps of a restoration one by one, for programs that do them by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from revisage.compat.bgr import DTYPES, fit_background, to_bgr, to_rgb
from revisage.errors import InputError
from revisage.geometry import Affine, invert
from revisage.images import read_image, write_image
from revisage.images.pixels import from_float, to_float
from revisage.restore.align import TEMPLATE, TEMPLATE_SIZE, crop_face, similarity_from_landmarks
from revisage.restore.controls import Selection
from revisage.restore.paste import paste
from revisage.restore.select import sort_faces, unselected_reasons
from revisage.restore.upscale import lanczos
from revisage.types import AlignedFace, Face, Image


class FaceRestoreHelper:
    """Holds one image at a time and what has become of it. Not to be shared: one for each thread.

    ::

        helper = FaceRestoreHelper(2)
        helper.read_image(cv2.imread("photo.jpg"))
        helper.get_face_landmarks_5(eye_dist_threshold=5)
        helper.align_warp_face()
        for crop in helper.cropped_faces:
            helper.add_restored_face(restore(crop))
        helper.get_inverse_affine()
        result = helper.paste_faces_to_input_image()

    Faces are found by the embedded detector, if no other is asked for, and pasted as this library pastes: the
    correction is added, half-pixel exact, with nothing truncated.

    Args:
        upscale_factor: output scale factor, above 0, at most 8.
        face_size: size of the crops.
        crop_ratio: (1, 1); taller or wider crops than the restorers' are not made.
        det_model: face detector: None, the embedded one; "retinaface_resnet50" or "retinaface_mobile0.25", downloaded
            if need be; or whatever ``revisage.load`` takes as ``detector``.
        save_ext: format of the images that are saved on request.
        template_3points: False; a template of three points takes the nose for the mouth.
        pad_blur: False; images are not padded around faces that they cut.
        use_parse: ignored: the mask follows the crop, and what is not changed is not pasted.
        device: of the detector; None for the best there is.
        model_rootpath: ignored.
        detect: RGB image -> faces, instead of the embedded detector.

    Attributes:
        upscale_factor: as given.
        save_ext: as given.
        face_size: (width, height) of the crops.
        face_template: (5, 2) where the landmarks lie in a crop.
        input_img: (H, W, 3) BGR, None before ``read_image``.
        det_faces: for each face (5,) x1, y1, x2, y2, score; always a list.
        all_landmarks_5: for each face (5, 2).
        affine_matrices: for each face (2, 3), image to crop.
        inverse_affine_matrices: for each face (2, 3), the inverse times ``upscale_factor``: facexlib's convention,
            which leaves out the shift of pixel centers. For others to read; pasting does not use them.
        cropped_faces: for each face (face_size, face_size, 3) BGR in the image's dtype.
        restored_faces: what ``add_restored_face`` was given.

    Raises:
        InputError: an argument asks for what is not done here.
    """

    def __init__(
        self,
        upscale_factor: float,
        face_size: int = TEMPLATE_SIZE,
        crop_ratio: Sequence[float] = (1, 1),
        det_model: str | Path | None = None,
        save_ext: str = "png",
        template_3points: bool = False,
        pad_blur: bool = False,
        use_parse: bool = False,  # noqa: ARG002
        device: Any = None,
        model_rootpath: str | None = None,  # noqa: ARG002
        *,
        detect: Callable[[Image], list[Face]] | None = None,
    ) -> None:
        asked = {"crop_ratio": tuple(crop_ratio) != (1, 1), "template_3points": template_3points, "pad_blur": pad_blur}
        if refused := [name for name, wanted in asked.items() if wanted]:
            raise InputError(f"FaceRestoreHelper takes only the default of {', '.join(refused)} here")
        self.upscale_factor = upscale_factor
        self.face_size = (face_size, face_size)
        self.save_ext = save_ext
        self.face_template: NDArray[np.float64] = (TEMPLATE + 0.5) * (face_size / TEMPLATE_SIZE) - 0.5
        self._detect = detect or _detector(det_model, device)
        self.clean_all()

    def clean_all(self) -> None:
        """Forget the image and everything about it."""
        self.input_img: Image | None = None
        self.det_faces: list[NDArray[np.float32]] = []
        self.all_landmarks_5: list[NDArray[np.float32]] = []
        self.affine_matrices: list[Affine] = []
        self.inverse_affine_matrices: list[Affine] = []
        self.cropped_faces: list[Image] = []
        self.restored_faces: list[Image] = []

    def read_image(self, img: str | Path | Image) -> None:
        """Begin anew with an image.

        Args:
            img: a file, or a gray, BGR or BGRA array, uint8 or uint16; 16 bits stay 16 bits.

        Raises:
            InputError: it cannot be read, or is no image.
        """
        image = read_image(img) if isinstance(img, str | Path) else to_rgb(img)
        self.clean_all()
        self.input_img = to_bgr(image)

    def get_face_landmarks_5(
        self,
        only_keep_largest: bool = False,
        only_center_face: bool = False,
        resize: int | None = None,  # noqa: ARG002
        blur_ratio: float = 0.01,  # noqa: ARG002
        eye_dist_threshold: float | None = None,
    ) -> int:
        """Find the faces of the image.

        Args:
            only_keep_largest: keep only the one with the largest box.
            only_center_face: keep only the one nearest to the middle.
            resize: ignored: the detector chooses its own sizes, and its results are in pixels of the image.
            blur_ratio: ignored.
            eye_dist_threshold: leave out faces whose eyes are fewer pixels apart.

        Returns:
            How many there are.

        Raises:
            InputError: no image was read.
        """
        image = to_rgb(self._image())
        found = sort_faces(self._detect(image), "score")
        faces = [face for face in found if _eye_distance(face) >= (eye_dist_threshold or 0)]
        which = "largest" if only_keep_largest else "center" if only_center_face else "all"
        reasons = unselected_reasons(faces, image.shape, Selection(which))
        self.take([face for face, reason in zip(faces, reasons, strict=True) if not reason])
        return len(self.det_faces)

    def take(self, faces: Sequence[Face]) -> None:
        """Take these faces of the image instead of looking for some."""
        self.det_faces = [np.append(face.box, face.score).astype(np.float32) for face in faces]
        self.all_landmarks_5 = [face.landmarks for face in faces]
        self.affine_matrices = self._align()
        self.cropped_faces, self.restored_faces, self.inverse_affine_matrices = [], [], []

    def align_warp_face(self, save_cropped_path: str | None = None, border_mode: str = "constant") -> None:
        """Cut the faces out, into ``cropped_faces``.

        Args:
            save_cropped_path: also write them, as ``{path without extension}_{00, 01, ...}.{save_ext}``.
            border_mode: "constant": what lies outside the image is gray, as the restorers know it.

        Raises:
            InputError: no image was read, or another ``border_mode``.
            OutputError: they cannot be written.
        """
        if border_mode != "constant":
            raise InputError(f"border_mode is 'constant' here, not {border_mode!r}")
        image = to_rgb(self._image())
        self.affine_matrices = self._align()
        aligned = [crop_face(image, matrix, self.face_size[0]) for matrix in self.affine_matrices]
        crops = [from_float(face.crop, image.dtype) for face in aligned]
        self.cropped_faces = [to_bgr(crop) for crop in crops]
        if save_cropped_path is not None:
            for number, crop in enumerate(crops):
                stem = Path(save_cropped_path).with_suffix("")
                write_image(stem.with_name(f"{stem.name}_{number:02d}.{self.save_ext}"), crop)

    def add_restored_face(self, face: Image) -> None:
        """Take the restoration of the next crop: BGR, as large as the crop, uint8 or uint16.

        Raises:
            InputError: it has another size or dtype.
        """
        if face.shape != (*self.face_size[::-1], 3) or face.dtype.name not in DTYPES:
            raise InputError(f"a restored face is {self.face_size} BGR, uint8 or uint16, not {face.shape} {face.dtype}")
        self.restored_faces.append(face)

    def get_inverse_affine(self, save_inverse_affine_path: str | None = None) -> None:
        """Fill ``inverse_affine_matrices``.

        Args:
            save_inverse_affine_path: None; they are not written.

        Raises:
            InputError: a path was given.
        """
        if save_inverse_affine_path is not None:
            raise InputError("inverse affine matrices are not written to files; take them from the attribute")
        self.inverse_affine_matrices = [invert(matrix) * self.upscale_factor for matrix in self.affine_matrices]

    def paste_faces_to_input_image(self, save_path: str | None = None, upsample_img: Image | None = None) -> Image:
        """Put the restored faces back. Changes nothing that this object holds; twice gives the same twice.

        Args:
            save_path: also write the result, as ``{path without extension}.{save_ext}``.
            upsample_img: BGR image to paste on, resized if need be; None for the image, enlarged by Lanczos.

        Returns:
            BGR, in the image's dtype.

        Raises:
            InputError: no image was read, or there are not as many restored faces as crops.
            OutputError: it cannot be written.
        """
        if len(self.restored_faces) != len(self.cropped_faces):
            raise InputError(f"{len(self.restored_faces)} restored faces do not fit {len(self.cropped_faces)} crops")
        image, scale = to_rgb(self._image()), self.upscale_factor
        background = lanczos(image, scale) if upsample_img is None else fit_background(upsample_img, image, scale)
        crops = [to_float(to_rgb(crop)) for crop in self.cropped_faces]
        aligned = [AlignedFace(*pair) for pair in zip(crops, self.affine_matrices, strict=True)]
        restored = [to_float(to_rgb(face)) for face in self.restored_faces]
        result = paste(background, list(zip(aligned, restored, strict=True)), scale)
        if save_path is not None:
            write_image(Path(save_path).with_suffix(f".{self.save_ext}"), result)
        return to_bgr(result)

    def _align(self) -> list[Affine]:
        """Where the crops lie, as restorers align: by the boxes too, unless a program set landmarks alone."""
        faces, points, size = self.det_faces, self.all_landmarks_5, self.face_size[0]
        boxes = [face[:4] for face in faces] if len(faces) == len(points) else [None] * len(points)
        return [similarity_from_landmarks(five, size, box) for five, box in zip(points, boxes, strict=True)]

    def _image(self) -> Image:
        if self.input_img is None:
            raise InputError("there is no image: call read_image first")
        return self.input_img


DETECTORS = {
    "retinaface_resnet50": "retinaface-resnet50",
    "retinaface_mobile0.25": "retinaface-mobilenet",
    "retinaface_mobilenet": "retinaface-mobilenet",
}
"""Classic ``det_model`` -> name of the detector."""


def _detector(det_model: str | Path | None, device: Any) -> Callable[[Image], list[Face]]:
    from revisage.auxiliary import load_detector

    model = "embedded-detector" if det_model is None else DETECTORS.get(str(det_model), det_model)
    return load_detector(model, device="auto" if device is None else str(device))


def _eye_distance(face: Face) -> float:
    return float(np.linalg.norm(face.landmarks[0] - face.landmarks[1]))
