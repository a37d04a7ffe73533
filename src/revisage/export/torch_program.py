"""Networks as ``torch.export`` programs: ``.pt2`` files for AOTInductor, ExecuTorch and whatever else reads them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from revisage.errors import CheckpointError
from revisage.models.backends.torch import inference_module
from revisage.models.checkpoint import Header
from revisage.models.pt2_file import HEADER_FILE


def write_program(
    path: Path, network: nn.Module, header: Header, example: NDArray[np.float32], axes: tuple[int, ...]
) -> None:
    """Write a network in evaluation mode as it is used, see ``backends``; its header lies beside it as an extra file.

    ``example`` (2, 3, H, W) is traced; the ``axes`` of images may have any length (CheckpointError: torch cannot export
    it).
    """
    shapes = (dict.fromkeys(axes, torch.export.Dim.DYNAMIC),)
    for value in (*network.parameters(), *network.buffers()):
        value.data = value.detach().clone()  # what lies in a mapped weights file would be written with all of the file
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                inference_module(network), (torch.from_numpy(example),), dynamic_shapes=shapes
            )
            torch.export.save(program, path, extra_files={HEADER_FILE: header.to_json()})
    except Exception as error:  # of many kinds, each with pages of advice
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise CheckpointError(f"torch cannot export a {header.architecture}: {first.strip()}") from error


def run_program(path: Path, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """Run a program that this process has just written: ``torch.export.load`` is not safe for the files of others."""
    module = torch.export.load(path).module()
    with torch.inference_mode():
        outputs = module(torch.from_numpy(images))
    return tuple(output.numpy() for output in ([outputs] if isinstance(outputs, torch.Tensor) else outputs))
