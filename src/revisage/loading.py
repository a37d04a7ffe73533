"""A name or a file becomes a restorer: its networks are opened and wired to the steps of a restoration."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from revisage.auxiliary import (
    FirstOutput,
    Lazy,
    check_role,
    load_detector,
    load_embedder,
    load_parser,
    load_repairer,
    load_upscaler,
)
from revisage.errors import CheckpointError, InputError, UnknownModelError, did_you_mean, suggest_keywords
from revisage.models.architectures import ARCHITECTURES
from revisage.models.backends import open_network, release_memory
from revisage.models.backends.given import KeptNetwork, WeightsSource, as_file
from revisage.models.fetch import present, weight_file
from revisage.models.registry import DEFAULT_PARSER, MODELS
from revisage.restore.background import AutoUpscaler
from revisage.restore.blend import Parse
from revisage.restore.pipeline import Restorer
from revisage.restore.upscale import Upscale, check_tile, lanczos

MEANT = {
    **dict.fromkeys(("name", "modelpath", "modelname", "weights", "checkpoint", "path", "file", "version"), "model"),
    **dict.fromkeys(("gpu", "cuda", "provider", "providers", "backend"), "device"),
    **dict.fromkeys(("half", "fp16", "bf16", "precision"), "dtype"),
    **dict.fromkeys(("cudagraph", "cudagraphs", "torchcompile"), "compile"),
    **dict.fromkeys(("bgupsampler", "upscaler", "upsampler", "backgroundupscaler"), "background"),
    **dict.fromkeys(("bgtile", "tilesize"), "tile"),
    **dict.fromkeys(("detmodel", "detectionmodel", "facedetector"), "detector"),
    **dict.fromkeys(("arch", "type"), "architecture"),
    **dict.fromkeys(("parsingmodel", "faceparser"), "parser"),
    **dict.fromkeys(("embedder", "identityembedder", "arcface"), "identity"),
    **dict.fromkeys(("batchsize", "maxbatch"), "batch"),
    **{name: f"{name}= in the call of the restorer" for name in ("scale", "strength", "aligned")},
    **dict.fromkeys(("upscale", "outscale"), "scale= in the call of the restorer"),
    "weight": "strength= in the call of the restorer",
    "threads": "revisage.tune_process(threads=...)",
}
"""Words of other tools -> keywords of ``load``."""
LANCZOS = "lanczos"
"""Name of the background upscaler that needs no network."""
AUTO = "auto"
EMBEDDED_BACKGROUND = "embedded-background"


@suggest_keywords(MEANT)
def load(
    model: WeightsSource = "embedded",
    *,
    device: str = "auto",
    dtype: str = "auto",
    fast: bool = False,
    compile: bool = False,
    architecture: str | None = None,
    detector: str | Path = "embedded-detector",
    background: str | Path = AUTO,
    tile: int = 432,
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
            ``.safetensors``, ``.pth``, ``.pt``, ``.ckpt`` and ``.pt2`` files need torch: CoarseToFineUNet,
            RestorationUNet, GFPGANv1Clean, GFPGANv1, GFPGANBilinear, RestoreFormer or RestoreFormer++, recognized by
            their content; with ``revisage[spandrel]`` also CodeFormer. Code in files is never run. Or
            the bytes of such a file (but ``.pt2``), or a file object that is open for reading them.
        device: "auto", "cpu", "cuda", "cuda:1", "xpu", "mps", "directml", "coreml" or "openvino".
        dtype: "auto" (float32 on a CPU, float16 on torch's accelerators), "float32", "bfloat16" or "float16".
        fast: take the fastest number format that keeps 45 dB against float32 on a check crop; ``restorer.device`` and
            one line of the log say which. Networks that onnxruntime runs on a CPU stay as they are.
        compile: have torch compile the restorer at its first face (minutes; from torch 2.13 on as CUDA graphs), to run
            faster then.
        architecture: "GFPGANBilinear" for weights trained with bilinear layers; their files look like those of
            GFPGANv1, the default for them.
        detector: face detector: a registered name, a RetinaFace file, or a YuNet ``.onnx``.
        background: background upscaler: "lanczos"; "embedded" (the same as "embedded-background"); "auto", the embedded
            one for photos that are noisy, blurred or blocky, else Lanczos; a registered name or a file (RRDBNet,
            SRVGGNetCompact, BackgroundUNet; with ``revisage[spandrel]`` SwinIR, HAT, DAT and more).
        tile: size of the background upscaler's tiles in pixels; 0: the whole image. Halved if memory is short.
        identity: identity embedder: a registered name or a file (FaceEmbedder, ResNetArcFace). Loaded at first use.
        parser: face parser: a registered name or a file (ParseNet). Restricts the paste to the head and finds the
            regions. "auto": the published one if its file is in the cache, never downloaded; None: the alignment
            template stands in.
        batch: faces that go through the network together; None: 1 on a CPU, 8 elsewhere.
        fidelity: second input of restorers that have one (CodeFormer): 0 best looking, 1 truest.
        input_range: values of black and white in a restorer exported by others; None: what its file says, else (-1, 1).
        channels: channel order of a restorer exported by others; None: what its file says, else "rgb".
        offline: True never downloads; None follows the environment variable ``REVISAGE_OFFLINE``.

    Raises:
        UnknownModelError: neither a name nor a file; or a model of another role.
        MissingWeightsError: the file is missing, and downloads are off.
        DownloadError: the file cannot be downloaded.
        CheckpointError: the file is damaged, holds more than tensors, or does not fit its network.
        DeviceError: device, dtype or torch are not available.
        InputError: an unknown keyword, or a value of a wrong type or out of range.
    """
    files = {"detector": detector, "background": background, "identity": identity, "parser": parser}
    files |= {"model": model} if isinstance(model, str) else {}
    _check_files(files)
    _check_texts({"device": device, "dtype": dtype})
    _check_numbers(tile=tile, batch=batch, fidelity=fidelity, input_range=input_range)
    if channels not in (None, "rgb", "bgr"):
        raise InputError(f"channels is 'rgb' or 'bgr', not {channels!r}")
    if architecture is not None and architecture not in ARCHITECTURES:
        hint = did_you_mean(str(architecture), ARCHITECTURES) or f"; known: {', '.join(ARCHITECTURES)}"
        raise CheckpointError(f"no architecture {architecture!r}{hint}")
    # Names are validated before any download.
    if isinstance(model, str | Path):
        check_role(model, "restorer")
    check_role(detector, "detector")
    check_role(identity, "embedder")
    if str(identity) not in MODELS:  # what is loaded at first use is missed at once, too
        weight_file(identity)
    check_role(parser or DEFAULT_PARSER, "parser")
    upscale = _open_background(background, tile, device, dtype, fast, offline)
    with as_file(model) as given:
        spec = MODELS.get(str(given.model))
        reopen = partial(
            open_network,
            device=device,
            dtype=dtype,
            architecture=architecture or (spec and spec.architecture),
            fast=fast,
            compile=compile,
            fidelity=fidelity,
            input_range=input_range,
            channels=channels,
        )
        network = reopen(weight_file(given.model, offline=offline))
        if network.header.size is None:
            raise UnknownModelError(f"{given.model} is a {network.header.architecture}, not a restorer")
    return Restorer(
        name=given.name,
        detect=load_detector(detector, device, offline=offline),
        network=FirstOutput(network if given.content is None else KeptNetwork(network, given.content, reopen)),
        size=network.header.size,
        device=network.device,
        batch=batch or (1 if network.device.kind == "cpu" else 8),  # on a CPU batches only cost memory
        upscale=upscale,
        parse=_parser(parser, device, offline=offline),
        embed=Lazy(partial(load_embedder, identity, device, offline=offline)),
        repairer=Lazy(partial(load_repairer, device=device)),
        release_memory=release_memory,
    )


def _check_files(files: dict[str, Any]) -> None:
    for name, value in files.items():
        if not (isinstance(value, str | os.PathLike) and str(value)) and not (name == "parser" and value is None):
            raise InputError(f"{name} is a name (`revisage models` lists them) or the path of a file, not {value!r}")


def _check_texts(texts: dict[str, Any]) -> None:
    for name, value in texts.items():
        if not isinstance(value, str):
            text = str(value).removeprefix("torch.")
            raise InputError(f"{name} is a text, not of type {type(value).__name__}; write {name}={text!r}")


def _check_numbers(*, tile: Any, batch: Any, fidelity: Any, input_range: Any) -> None:
    if isinstance(tile, bool) or not isinstance(tile, int | np.integer):
        raise InputError(f"tile is a whole number of pixels, not {tile!r}")
    check_tile(int(tile))
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int | np.integer) or batch < 1):
        raise InputError(f"batch is a whole number of faces from 1, not {batch!r}")
    if not isinstance(fidelity, int | float | np.number) or not 0 <= float(fidelity) <= 1:
        raise InputError(f"fidelity is a number between 0 and 1, not {fidelity!r}")
    if input_range is not None and not (
        isinstance(input_range, tuple | list)
        and all(isinstance(value, int | float) for value in input_range)  # pyright: ignore[reportUnknownArgumentType]
        and len(input_range) == 2  # pyright: ignore[reportUnknownArgumentType]
        and input_range[0] < input_range[1]
    ):
        raise InputError(f"input_range is (black, white), two numbers, not {input_range!r}")


def _open_background(
    background: str | Path, tile: int, device: str, dtype: str, fast: bool, offline: bool | None
) -> Upscale:
    if background == LANCZOS:
        return lanczos
    is_own = background in (AUTO, "embedded", EMBEDDED_BACKGROUND)
    name = EMBEDDED_BACKGROUND if is_own else background
    make = partial(load_upscaler, name, tile, device, dtype, fast=fast, offline=offline)
    if not is_own:
        return make()  # files of others are checked at once
    upscaler = Lazy(make)  # most photos do without
    return AutoUpscaler(upscaler) if background == AUTO else upscaler


def _parser(parser: str | Path | None, device: str, *, offline: bool | None) -> Parse | None:
    if parser == "auto":
        parser = DEFAULT_PARSER if DEFAULT_PARSER in present() else None
    return None if parser is None else load_parser(parser, device, offline=offline)
