"""The fastest number format in which a network stays what it is."""

from __future__ import annotations

import logging
from dataclasses import replace

from revisage.models.architectures import ARCHITECTURES
from revisage.models.backends.torch import TorchNetwork
from revisage.models.check_images import MIN_PSNR, check_images, psnr
from revisage.models.device import fast_formats

LOGGER = logging.getLogger(__name__)


def choose_format(network: TorchNetwork) -> TorchNetwork:
    """The same network in the fastest format of its device that keeps ``MIN_PSNR`` against float32 on a real face.

    Speeds are not measured: on devices with instructions for them, half-precision formats take about half of the time.
    The choice is logged, and the reason of the device says how close the format came.
    """
    header, device = network.header, network.device
    size = header.size or 64
    images = check_images(ARCHITECTURES[header.architecture].role, size, size, 1)
    exact_device = replace(device, dtype="float32")
    exact = replace(network, device=exact_device, compiled=None)(images)
    notes: list[str] = []
    chosen = "float32"
    for dtype in fast_formats(device.kind):
        found = psnr(replace(network, device=replace(device, dtype=dtype), compiled=None)(images), exact)
        notes.append(f"{dtype} keeps {found:.1f} dB")
        if found >= MIN_PSNR:
            chosen = dtype
            break
    told = f"{', '.join(notes) or 'no faster format here'}, {MIN_PSNR:.0f} are asked for"
    reason = f"{device.reason.partition(';')[0]}; {chosen}: fast, {told}; by torch"
    LOGGER.info("%s runs in %s on %s: %s", header.architecture, chosen, device.device, told)
    return replace(network, device=replace(device, dtype=chosen, reason=reason))
