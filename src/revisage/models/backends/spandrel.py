"""Weights of networks that this project does not have, by the package spandrel: CodeFormer, SwinIR, HAT and many more.

The file is read by our own reader, which runs no code; spandrel recognizes the network by its keys.
"""

from __future__ import annotations

import inspect
import logging
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from revisage.errors import CheckpointError, DeviceError
from revisage.models.architectures import FACE_SIZE
from revisage.models.backends.torch import TorchNetwork
from revisage.models.build import read_state
from revisage.models.checkpoint import Header, check_finite
from revisage.models.device import DeviceConfig

INSTALL = "pip install 'revisage[spandrel]'"
LICENSES = {
    "CodeFormer": "S-Lab License 1.0, not for commercial use",
    "SwinIR": "Apache-2.0",
    "Swin2SR": "Apache-2.0",
    "HAT": "Apache-2.0",
    "DAT": "Apache-2.0",
}
"""Of networks and their authors' weights, by spandrel's name; others: as the authors of the file say."""
PURPOSES = {"restorer": ("FaceSR",), "upscaler": ("SR", "Restoration")}
"""Our role -> spandrel's purposes."""

_log = logging.getLogger(__name__)


def open_by_spandrel(path: Path, device: DeviceConfig, role: str, fidelity: float = 0.5) -> TorchNetwork:
    """Open a weights file of a network that spandrel knows.

    Raises:
        CheckpointError: damaged, of no network that it knows, or of one for another role.
        DeviceError: spandrel is not installed.
    """
    state = read_state(path)
    check_finite(state, str(path))
    found = _recognize(state, path)
    name, purpose = found.architecture.name, found.purpose
    if purpose not in PURPOSES.get(role, ()):
        raise CheckpointError(f"{path} is a {name} (spandrel: {purpose}), not of the role {role}")
    if found.input_channels != 3 or found.output_channels != 3:
        raise CheckpointError(f"{path} is a {name} for {found.input_channels} channels, not for color images")
    license = LICENSES.get(name, "as the authors of the file say")
    _log.warning("%s is a %s, run by spandrel; license: %s", path, name, license)
    module = _Restorer(found.model, fidelity) if role == "restorer" else _Upscaler(found)
    size = FACE_SIZE if role == "restorer" else None
    header = Header(name, {}, size, {"license": license, "by": "spandrel"})
    return TorchNetwork(header, device, module.eval().requires_grad_(False).to(device.device))


def _recognize(state: dict[str, Tensor], path: Path) -> Any:
    """The ``ImageModelDescriptor`` of a state dict; networks with restrictive licenses have a package of their own."""
    try:
        spandrel: Any = import_module("spandrel")
    except (ImportError, RuntimeError) as error:  # a torchvision that does not fit torch raises the latter
        raise DeviceError(f"{path} holds weights of no network of ours; for others: {INSTALL} ({error})") from error
    registries = [spandrel.MAIN_REGISTRY]
    with suppress(ImportError):
        registries.append(import_module("spandrel_extra_arches").EXTRA_REGISTRY)
    for registry in registries:
        try:
            return spandrel.ModelLoader(registry=registry).load_from_state_dict(spandrel.canonicalize_state_dict(state))
        except spandrel.UnsupportedModelError:
            continue
        except RuntimeError as error:  # keys are those of a network, shapes are not
            reason = " ".join(str(error).split())
            raise CheckpointError(f"{path} does not fit the network that spandrel finds: {reason}") from error
    raise CheckpointError(f"{path} holds weights of no known network; spandrel does not know it either")


class _Restorer(nn.Module):
    """A face restorer on RGB in [-1, 1]: its first output. spandrel's own call is for [0, 1] and clamps."""

    def __init__(self, network: nn.Module, fidelity: float) -> None:
        super().__init__()
        self.network = network
        has_fidelity = "weight" in inspect.signature(network.forward).parameters
        self.options = {"weight": fidelity} if has_fidelity else {}

    def forward(self, images: Tensor) -> Tensor:
        output = self.network(images, **self.options)
        return output if isinstance(output, Tensor) else output[0]


class _Upscaler(nn.Module):
    """An upscaler on RGB in [0, 1], one image at a time, as spandrel's descriptors take them."""

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.network = descriptor.model
        self.descriptor = descriptor

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.descriptor(image[None]) for image in images])
