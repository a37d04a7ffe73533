"""Networks as functions of arrays: the boundary behind which onnxruntime and torch lie.

::

    network = open_network(path)                # .onnx, or a weights file for torch
    restored, = network(crops)                  # float32 arrays in, a tuple of float32 arrays out

Inputs and outputs by role, the same from every backend:

============  ===============================================  ========================================================
restorer      (N, 3, S, S) RGB in [-1, 1]                      (N, 3, S, S) RGB about [-1, 1], not clamped
detector      (N, 3, H, W) RGB in 0..255                       offsets of boxes (N, A, 4), scores (N, A, 2): no face,
                                                               face; offsets of landmarks (N, A, 10)
embedder      (N, 3, S, S) RGB in [-1, 1], whole aligned crop  (N, D) of length 1
parser        (N, 3, S, S) RGB in [-1, 1]                      logits (N, classes, S, S)
upscaler      (N, 3, H, W) RGB in [0, 1]                       (N, 3, factor * H, factor * W), not clamped
repairer      (N, 3, H, W) RGB in [0, 1]                       (N, 4, H, W): RGB without damage, not clamped;
                                                               probability of damage
============  ===============================================  ========================================================
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from revisage.errors import CheckpointError, DeviceError, InputError, UnknownNetworkError
from revisage.models.checkpoint import METADATA_KEY, Header, stored_dtype
from revisage.models.device import Backend, DeviceConfig, choose_device, devices, import_torch
from revisage.process import release_free_memory
from revisage.types import Array

Role = Literal["restorer", "detector", "embedder", "parser", "upscaler", "repairer"]


class Network(Protocol):
    """A network that is ready to run. Stateless; any number of threads may share one."""

    @property
    def header(self) -> Header:
        """The file's description of the network."""
        ...

    @property
    def device(self) -> DeviceConfig:
        """Where it runs, and why."""
        ...

    def __call__(self, images: NDArray[np.float32], *more: Array) -> tuple[NDArray[np.float32], ...]:
        """Run the network.

        Args:
            images: C-contiguous, see the head of this module.
            *more: further inputs, if the network has any.

        Raises:
            MemoryError: the device has not enough of it.
            CheckpointError: the network cannot take inputs of this shape.
        """
        ...


def open_network(
    path: Path,
    device: str = "auto",
    dtype: str = "auto",
    *,
    fast: bool = False,
    compile: bool = False,
    backend: Backend | Literal["auto"] = "auto",
    role: Role = "restorer",
    architecture: str | None = None,
    threads: int | None = None,
    input_range: tuple[float, float] | None = None,
    channels: Literal["rgb", "bgr"] | None = None,
    fidelity: float = 0.5,
) -> Network:
    """Open a network; arguments as for ``revisage.load``, but for those named here.

    ``.onnx`` files run in onnxruntime; those that this project exported with their weights by name also in torch, where
    that alone has the requested device or number format. Other weights files need torch; spandrel, if it is installed,
    opens networks that this project does not have. ``backend`` decides otherwise.

    ``.onnx`` files of other projects are checked and adapted according to ``role``. With ``fast``, files that
    onnxruntime runs stay as they are, unless torch alone has an accelerator for them. ``threads`` are those of
    onnxruntime on a CPU; None: see ``process.thread_count``.

    Raises:
        MissingWeightsError: there is no such file.
        CheckpointError: damaged, unsafe, of no known network, or with inputs and outputs that do not fit its role.
        DeviceError: the device, the number format or torch is not available.
        InputError: ``fast`` with a number format, or ``compile`` for a file that onnxruntime runs.
    """
    if fast and dtype != "auto":
        raise InputError(f"fast chooses the number format itself: leave out dtype={dtype!r}, or fast")
    if path.suffix.lower() != ".onnx":
        if backend == "onnxruntime":
            raise CheckpointError(f"{path}: onnxruntime runs .onnx files; `revisage export` makes them")
        import_torch(f"{path.name} (a file of torch weights)")
        config = choose_device(device, dtype, "torch")
    else:
        config = _for_onnx(path, device, dtype, fast) if backend == "auto" else choose_device(device, dtype, backend)
    if config.backend == "torch":
        from revisage.models.backends import torch as by_torch
        from revisage.models.backends.formats import choose_format
        from revisage.models.backends.spandrel import INSTALL, open_by_spandrel

        try:
            network = by_torch.open_weights(path, config, architecture, compile=compile)
        except UnknownNetworkError as error:
            if role not in ("restorer", "upscaler"):
                raise
            if find_spec("spandrel") is None:
                raise UnknownNetworkError(f"{error}; spandrel may know it: {INSTALL}") from None
            network = open_by_spandrel(path, config, role, fidelity)
        return choose_format(network) if fast else network
    if compile:
        raise InputError(f"{path}: only networks that torch runs are compiled; onnxruntime runs this one")
    from revisage.models.backends import onnxruntime as by_onnxruntime

    conventions = by_onnxruntime.Conventions(role, input_range, channels, fidelity)
    return by_onnxruntime.open_onnx(path, config, conventions, threads)


def release_memory() -> None:
    """Give the working memory of networks on the CPU, and all that is free, back to the system."""
    if by_onnxruntime := sys.modules.get("revisage.models.backends.onnxruntime"):
        by_onnxruntime.shrink_shared_memory()
    release_free_memory()


def _for_onnx(path: Path, device: str, dtype: str, fast: bool) -> DeviceConfig:
    """Onnxruntime if it has what is requested, else torch if that does."""
    if fast and device == "auto" and _runs_in_torch(path) and devices("onnxruntime")[0] == "cpu" != devices("torch")[0]:
        return choose_device(device, dtype, "torch")
    try:
        return choose_device(device, "auto" if dtype == _stored_dtype(path) else dtype, "onnxruntime")
    except DeviceError as error:
        if not _runs_in_torch(path):
            raise
        try:
            return choose_device(device, dtype, "torch")
        except DeviceError:
            raise error from None


def _runs_in_torch(path: Path) -> bool:
    """Whether torch is installed and can take the weights out of an ``.onnx`` file."""
    from revisage.models.onnx_file import has_weights

    return find_spec("torch") is not None and has_weights(path)


def _stored_dtype(path: Path) -> str:
    """The format that an ``.onnx`` file computes in, as far as its header says."""
    from revisage.models.onnx_file import read_onnx

    return stored_dtype(Header.from_json(read_onnx(path).metadata.get(METADATA_KEY, "{}"), str(path)))
