"""Weights files by torch: on CUDA, XPU and MPS, and in half precision."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from revisage.errors import CheckpointError
from revisage.models.build import build
from revisage.models.checkpoint import Header
from revisage.models.device import DeviceConfig, is_out_of_memory
from revisage.models.nets import retinaface
from revisage.models.nets.arcface import ResNetArcFace, gray_faces
from revisage.models.nets.bisenet import BiSeNet
from revisage.models.nets.retinaface import RetinaFace
from revisage.process import keep_large_blocks
from revisage.types import Array


@dataclass(frozen=True, eq=False)
class Compiled:
    """A compiled module, which runs one batch at a time: on CUDA its graph writes all outputs to the same memory.

    Attributes:
        module: takes batches of powers of two, each compiled at its first call.
        lock: held while it runs and its outputs are fetched.
    """

    module: Callable[[Tensor], Tensor | tuple[Tensor, ...]]
    lock: Lock = field(default_factory=Lock)

    def __call__(self, batch: Tensor) -> tuple[Tensor, ...]:
        """Run the module on a batch, filled up with its last image to the next power of two; outputs are copies."""
        count = len(batch)
        filled = 1 << (count - 1).bit_length()
        with self.lock:
            outputs = self.module(torch.cat([batch, batch[-1:].expand(filled - count, -1, -1, -1)]))
            return tuple(output[:count].clone() for output in ([outputs] if isinstance(outputs, Tensor) else outputs))


@dataclass(frozen=True, eq=False)
class TorchNetwork:
    """A module on its device; see ``backends.Network``.

    Attributes:
        compiled: the module as ``torch.compile`` makes it, see :func:`compile_mode`; None: as it is.
    """

    header: Header
    device: DeviceConfig
    module: nn.Module = field(repr=False)
    compiled: Compiled | None = field(default=None, repr=False)

    def __call__(self, images: NDArray[np.float32], *more: Array) -> tuple[NDArray[np.float32], ...]:  # noqa: ARG002
        """Run the network on float32 images."""
        try:
            batch = self._to_device(images)
            outputs = run_network(self.compiled or self.module, batch, self.device)
            return tuple(np.ascontiguousarray(output.cpu().numpy()) for output in outputs)
        except (RuntimeError, ValueError) as error:
            if is_out_of_memory(error):
                if self.device.kind == "cuda":
                    torch.cuda.empty_cache()  # so that a smaller batch finds it in one piece
                raise MemoryError(str(error)) from error
            raise CheckpointError(f"the network fails on images {images.shape}: {error}") from error

    def _to_device(self, images: NDArray[np.float32]) -> Tensor:
        """Images on the device, channels last; a GPU fetches them from pinned memory while it still computes."""
        batch = torch.from_numpy(np.require(images, np.float32, ["C", "W"]))  # others torch takes with a warning
        if self.device.kind == "cuda":
            batch = batch.pin_memory().to(self.device.device, non_blocking=True)
        return batch.to(self.device.device, memory_format=torch.channels_last)


def open_weights(
    path: Path, device: DeviceConfig, architecture: str | None = None, *, compile: bool = False
) -> TorchNetwork:
    """Open a weights file; see ``backends.open_network``.

    Raises:
        MissingWeightsError: there is no such file.
        CheckpointError: damaged, unsafe, of no known network, or of another than asked for.
    """
    if device.kind == "cpu":
        keep_large_blocks()
    network, header = build(path, architecture)
    network = retinaface.fuse_batch_norms(network) if isinstance(network, RetinaFace) else network
    module = inference_module(network).to(device.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    mode = compile_mode(torch.__version__)
    compiled = Compiled(torch.compile(module, mode=mode, dynamic=False)) if compile else None
    return TorchNetwork(header, device, module, compiled)


def compile_mode(version: str) -> str:
    """The mode of ``torch.compile`` that suits a version of torch.

    "reduce-overhead" records CUDA graphs: one launch for hundreds of small kernels. Before torch 2.13 they fail an
    assertion in threads other than the one that torch set them up in (pytorch issue 123177), and restorers run networks
    in threads that come and go. A version that cannot be read counts as an earlier one.
    """
    found = re.match(r"(\d+)\.(\d+)", version)
    has_threads = found is not None and (int(found[1]), int(found[2])) >= (2, 13)
    return "reduce-overhead" if has_threads else "default"


def run_network(
    network: Callable[[Tensor], Tensor | tuple[Tensor, ...]], batch: Tensor, device: DeviceConfig
) -> tuple[Tensor, ...]:
    """Run a network without gradients; images with non-finite outputs in half precision run again in float32.

    The number format is that of ``device``, where the batch is. Outputs are float32, and may still not be finite.
    """
    dtype = getattr(torch, device.dtype)
    half = dtype != torch.float32
    with torch.inference_mode():
        with torch.autocast(device.kind, dtype, enabled=half):
            outputs = _as_floats(network(batch))
        if half:
            finite = torch.stack([torch.isfinite(output).flatten(1).all(1) for output in outputs]).all(0)
            if not finite.all():
                for output, exact in zip(outputs, _as_floats(network(batch[~finite])), strict=True):
                    output[~finite] = exact
        return outputs


def _as_floats(outputs: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(output.float() for output in ([outputs] if isinstance(outputs, Tensor) else outputs))


def inference_module(network: nn.Module) -> nn.Module:
    """A network in evaluation mode as a module with the inputs and outputs of its role, see ``backends``."""
    if isinstance(network, RetinaFace):
        return _Detector(network).eval()
    adapters = {ResNetArcFace: _GrayEmbedder, BiSeNet: _ImageNetParser}
    adapter = next((made for kind, made in adapters.items() if isinstance(network, kind)), _First)
    return adapter(network).eval()


class _First(nn.Module):
    """The first output of a network: the restored image, the logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        output = self.network(images)
        return output if isinstance(output, Tensor) else output[0]


class _GrayEmbedder(_First):
    """ResNetArcFace on whole aligned crops in color."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.normalize(self.network(gray_faces(images)))


class _ImageNetParser(_First):
    """BiSeNet, which takes images normalized as for ImageNet."""

    def forward(self, images: Tensor) -> Tensor:
        mean, deviation = images.new_tensor(((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))[:, :, None, None]
        return super().forward((images / 2 + 0.5 - mean) / deviation)


class _Detector(nn.Module):
    """RetinaFace on RGB images in 0..255."""

    def __init__(self, network: RetinaFace) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        boxes, scores, landmarks = self.network(retinaface.preprocess(images))
        return boxes, scores if self.network.phase == "test" else scores.softmax(-1), landmarks
