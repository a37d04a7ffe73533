"""A name or a file becomes a restorer: its networks are opened and wired to the steps of a restoration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from revisage.errors import CheckpointError, UnknownModelError
from revisage.images.pixels import to_nchw
from revisage.models.architectures import ARCHITECTURES
from revisage.models.backends import Network, Role, open_network
from revisage.models.fetch import present, weight_file
from revisage.models.registry import DEFAULT_PARSER, MODELS
from revisage.restore.blend import Embed, Parse
from revisage.restore.detect import Detector
from revisage.restore.pipeline import Restorer
from revisage.restore.retinaface import RetinaFaceProposals
from revisage.restore.upscale import STEP, TiledUpscaler, check_tile, lanczos
from revisage.types import FloatImage

LANCZOS = "lanczos"
"""Name of the background upscaler that needs no network."""
ROLES: dict[Role, str] = {
    "restorer": "a restorer",
    "detector": "a face detector",
    "embedder": "an identity embedder",
    "parser": "a face parser",
    "upscaler": "a background upscaler",
}
"""Role -> how messages name it."""
BATCH = 16
"""Faces that are embedded together; bounds the memory for images of crowds."""


def load(
    model: str | Path = "embedded",
    *,
    device: str = "auto",
    dtype: str = "auto",
    architecture: str | None = None,
    detector: str | Path = "embedded-detector",
    background: str | Path = LANCZOS,
    tile: int = 400,
    identity: str | Path = "embedded-identity",
    parser: str | Path | None = "auto",
    batch: int | None = None,
    fidelity: float = 0.5,
    input_range: tuple[float, float] | None = None,
    channels: Literal["rgb", "bgr"] | None = None,
    offline: bool | None = None,
) -> Restorer:
    """Load a restorer.

    Args:
        model: a registered name (``revisage models`` lists them), downloaded if it is neither in the package nor in the
            cache; or the file of a face restorer. ``.onnx`` files run by onnxruntime, whoever exported them.
            ``.safetensors``, ``.pth``, ``.pt`` and ``.ckpt`` files need torch: CoarseToFineUNet, RestorationUNet,
            GFPGANv1Clean, GFPGANv1, GFPGANBilinear, RestoreFormer or RestoreFormer++, recognized by their content.
            Code in files is never run.
        device: "auto", "cpu", "cuda", "cuda:1", "xpu", "mps", "directml", "coreml" or "openvino".
        dtype: "auto" (float32), "float32", "bfloat16" or "float16".
        architecture: "GFPGANBilinear" for weights trained with bilinear layers; their files look like those of
            GFPGANv1, the default for them.
        detector: face detector: a registered name or a RetinaFace file.
        background: background upscaler: "lanczos", a registered name or a file (RRDBNet, SRVGGNetCompact).
        tile: size of the background upscaler's tiles in pixels; 0: the whole image. Halved if memory is short.
        identity: identity embedder: a registered name or a file (FaceEmbedder, ResNetArcFace). Loaded at first use.
        parser: face parser: a registered name or a file (ParseNet). Restricts the paste to the head and finds the
            regions. "auto": the published one if its file is in the cache, never downloaded; None: the alignment
            template stands in.
        batch: faces that go through the network together; None: 1 on a CPU, 8 elsewhere.
        fidelity: second input of exported restorers that have one (CodeFormer): 0 best looking, 1 truest.
        input_range: values of black and white in a restorer exported by others; None: what its file says, else (-1, 1).
        channels: channel order of a restorer exported by others; None: what its file says, else "rgb".
        offline: True never downloads; None follows the environment variable ``REVISAGE_OFFLINE``.

    Raises:
        UnknownModelError: neither a name nor a file; or a model of another role.
        MissingWeightsError: the file is missing, and downloads are off.
        DownloadError: the file cannot be downloaded.
        CheckpointError: the file is damaged, holds more than tensors, or does not fit its network.
        DeviceError: device, dtype or torch are not available.
        InputError: tiles too small.
    """
    spec = MODELS.get(str(model))
    # Names are validated before any download.
    check_role(model, "restorer")
    check_role(detector, "detector")
    check_role(identity, "embedder")
    check_role(parser or DEFAULT_PARSER, "parser")
    upscale = lanczos if background == LANCZOS else load_upscaler(background, tile, device, dtype, offline=offline)
    path = weight_file(model, offline=offline)
    network = open_network(
        path,
        device,
        dtype,
        architecture=architecture or (spec and spec.architecture),
        fidelity=fidelity,
        input_range=input_range,
        channels=channels,
    )
    size = network.header.size
    if size is None:
        raise UnknownModelError(f"{model} is a {network.header.architecture}, not a restorer")
    return Restorer(
        name=str(model),
        detect=load_detector(detector, device, offline=offline),
        network=FirstOutput(network),
        size=size,
        device=network.device,
        batch=batch or (1 if network.device.kind == "cpu" else 8),  # on a CPU batches only cost memory
        upscale=upscale,
        parse=_parser(parser, device, offline=offline),
        embed=lazy(partial(load_embedder, identity, device, offline=offline)),
    )


@dataclass(frozen=True)
class FirstOutput:
    """A network as a function of one array to one array, its first output."""

    network: Network

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, H, W) -> (N, 3, H', W'), see ``backends``."""
        return self.network(batch)[0]


def check_role(model: str | Path, role: Role) -> None:
    """Raise UnknownModelError if ``model`` is the name of a model of another role."""
    spec = MODELS.get(str(model))
    if spec and spec.role != role:
        raise UnknownModelError(f"{model} is a {spec.architecture}, not {ROLES[role]}: it {spec.description}")


def open_by_role(
    model: str | Path, role: Role, device: str = "auto", dtype: str = "float32", *, offline: bool | None = None
) -> Network:
    """Open the network of a registered name or file.

    Raises:
        UnknownModelError: it has another role; and as ``weight_file``.
    """
    check_role(model, role)
    network = open_network(weight_file(model, offline=offline), device, dtype, role=role)
    row = ARCHITECTURES.get(network.header.architecture)
    if row is not None and row.role != role:
        raise UnknownModelError(f"{model} is a {network.header.architecture}, not {ROLES[role]}")
    return network


def load_detector(
    model: str | Path = "embedded-detector", device: str = "auto", *, offline: bool | None = None
) -> Detector:
    """A face detector, by name or file, in float32: boxes and landmarks need it."""
    return Detector(RetinaFaceProposals(open_by_role(model, "detector", device, offline=offline)))


def load_upscaler(
    model: str | Path, tile: int = 400, device: str = "auto", dtype: str = "auto", *, offline: bool | None = None
) -> TiledUpscaler:
    """A background upscaler, by name or file; see :func:`load`.

    Raises:
        UnknownModelError: it upscales no color images; and as ``weight_file``.
        InputError: tiles too small.
    """
    check_tile(tile)
    network = open_by_role(model, "upscaler", device, dtype, offline=offline)
    try:
        factor = network(np.zeros((1, 3, STEP, STEP), np.float32))[0].shape[-1] // STEP
    except CheckpointError as error:
        raise UnknownModelError(f"{model} upscales no color images") from error
    return TiledUpscaler(FirstOutput(network), factor, tile)


def load_parser(model: str | Path = DEFAULT_PARSER, device: str = "auto", *, offline: bool | None = None) -> Parse:
    """A face parser, by name or file, in float32; see ``blend.Parse``.

    Raises:
        UnknownModelError: another kind of model; and as ``weight_file``.
    """
    network = open_by_role(model, "parser", device, offline=offline)
    size = int(network.header.arguments["in_size"])

    def label(crop: FloatImage) -> NDArray[np.uint8]:
        shrunk = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if size < len(crop) else cv2.INTER_LINEAR)
        labels = network(to_nchw([np.asarray(shrunk, np.float32)]))[0][0].argmax(axis=0).astype(np.uint8)
        nearest = (np.arange(len(crop)) * 2 + 1) * len(labels) // (2 * len(crop))
        return labels[nearest[:, None], nearest]

    # One by one: a batch would cost more memory than it saves time.
    return lambda crops: np.stack([label(crop) for crop in crops])


def _parser(parser: str | Path | None, device: str, *, offline: bool | None) -> Parse | None:
    if parser == "auto":
        parser = DEFAULT_PARSER if DEFAULT_PARSER in present() else None
    return None if parser is None else load_parser(parser, device, offline=offline)


def load_embedder(
    model: str | Path = "embedded-identity", device: str = "auto", *, offline: bool | None = None
) -> Embed:
    """An identity embedder, by name or file, in float32; see ``blend.Embed``.

    Raises:
        UnknownModelError: another kind of model; and as ``weight_file``.
    """
    network = open_by_role(model, "embedder", device, offline=offline)

    def embed(crops: Sequence[FloatImage]) -> NDArray[np.float32]:
        if not crops:
            return np.zeros((0, 0), np.float32)
        parts = [crops[start : start + BATCH] for start in range(0, len(crops), BATCH)]
        return np.concatenate([network(to_nchw(part))[0] for part in parts])

    return embed


def lazy(make: Callable[[], Embed]) -> Embed:
    """An embedder that is made at the first call, once, however many threads call it."""
    lock = Lock()
    made: list[Embed] = []

    def embed(crops: Sequence[FloatImage]) -> NDArray[np.float32]:
        with lock:
            if not made:
                made.append(make())
        return made[0](crops)

    return embed
