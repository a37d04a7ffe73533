"""The plan of the bench: each factor varied from a common base, with the plain formulation in the same groups."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from revisage.bench.measure import Case, Command, Group
from revisage.bench.subjects import Backend, Request, Subject
from revisage.types import Array

STAGES = "Photo of 2000 x 1333 with 12 faces, result at twice the size"
START = "Start"
LIBRARIES = "python -c 'import cv2, numpy, onnxruntime, PIL.Image'"
EMBEDDED = "embedded, onnxruntime float32"
RESTORE = "revisage restore, a photo of 400 x 400"


@dataclass(frozen=True)
class Ratio:
    """How many times as fast a case is as another of its group.

    Attributes:
        name: in the report and in stored files.
        slow: name of the case that is compared with.
        fast: name of the case.
        steps: of a photo that count; none: all.
    """

    name: str
    group: str
    slow: str
    fast: str
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Groups and what to make of them."""

    groups: tuple[Group, ...]
    ratios: tuple[Ratio, ...]
    left_out: tuple[str, ...]


FULL_SIZE: dict[str, dict[str, Any]] = {
    "GFPGANv1Clean": {"channel_multiplier": 2, "input_is_latent": True, "different_w": True, "sft_half": True},
    "RestoreFormer": {},
}
"""Architecture -> arguments with which it was published."""


def make_plan(folder: Path, quick: bool, models: Sequence[Path] = ()) -> Plan:
    """Plan a run, and write the files that it needs: weights of random numbers, always the same ones, up to a gigabyte.

    ``quick``: only ratios, of smaller networks. Otherwise ``models`` are timed as well, in groups of their own.
    """
    own = tuple(_own_group(path) for path in models)
    has_torch = find_spec("torch") is not None
    missing = () if has_torch else ("torch is not installed: full-size networks and the plain formulation",)
    if not has_torch:
        return Plan((_start(folder), _embedded_group(has_torch), _stages({}), *own), (), missing)
    sizes = {"GFPGANv1Clean": 128} if quick else dict.fromkeys(FULL_SIZE, 512)
    process = multiprocessing.get_context("spawn").Process(target=_write_files, args=(folder, sizes))
    process.start()
    process.join()
    weights = {name: str(_weights_path(folder, name)) for name in sizes}
    return _quick_plan(folder, weights) if quick else _full_plan(folder, weights, own)


def _weights_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"


def _write_files(folder: Path, sizes: dict[str, int]) -> None:
    """Write the weights, in a process of its own: torch then takes no memory from what is measured."""
    import torch

    from revisage.models.checkpoint import save_weights
    from revisage.models.nets.gfpgan import GFPGANv1Clean
    from revisage.models.nets.restoreformer import RestoreFormer

    for name, size in sizes.items():
        torch.manual_seed(0)
        network = RestoreFormer() if name == "RestoreFormer" else GFPGANv1Clean(size, **FULL_SIZE[name])
        save_weights(_weights_path(folder, name), network.state_dict())


def _full_plan(folder: Path, weights: dict[str, str], own: tuple[Group, ...]) -> Plan:
    groups = [_start(folder), _embedded_group(True)]
    ratios: list[Ratio] = []
    for name, path in weights.items():
        one, many = f"{name}, 512 pixels, one face", f"{name}, 512 pixels, threads and batches"
        kinds: dict[str, tuple[Backend, str]] = {
            "plain float32": ("plain", "float32"),
            "torch float32": ("torch", "float32"),
            "torch bfloat16": ("torch", "bfloat16"),
        }
        subjects = {kind: Subject(path, *how) for kind, how in kinds.items()}
        groups.append(Group(one, tuple(Case(kind, who, Request("network")) for kind, who in subjects.items()), 4))
        variants = [
            (kind, who, label, threads, batch)
            for label, threads, batch in (("1 thread", 1, 1), ("batch 4", 0, 4), ("batch 8", 0, 8))
            for kind, who in subjects.items()
            if kind != "plain float32" or batch == 1
        ]
        cases = tuple(
            Case(f"{kind}, {label}", who, Request("network", batch, threads), batch * (2 if threads else 1), batch)
            for kind, who, label, threads, batch in variants
        )
        ratios += [Ratio(f"{name} {kind}", one, "plain float32", kind) for kind in kinds if kind != "plain float32"]
        if name == "GFPGANv1Clean":
            groups.append(_stages(subjects))
            for kind in ("torch float32", "torch bfloat16"):
                ratios.append(Ratio(f"photo, {name} {kind}", STAGES, "plain float32", kind))
                steps = ("detect", "align", "paste")
                ratios.append(Ratio(f"photo, all but network, {kind}", STAGES, "plain float32", kind, steps))
        groups.append(Group(many, cases, 3))  # after the photo: batches raise the memory of their processes
    left_out = "full-size networks by onnxruntime: exporting them takes minutes; --model FILE.onnx times one"
    return Plan((*groups, *own), tuple(ratios), (left_out,))


def _quick_plan(folder: Path, weights: dict[str, str]) -> Plan:
    """Each three times, in processor seconds: those tell about the same on a busy machine."""
    (path,) = weights.values()
    network, photo = "GFPGANv1Clean at 128 pixels, embedded network at 512", "Photo of 800 x 600 with 2 faces"
    requests = {
        network: Request("network", processor=True),
        photo: Request("photo", faces=2, pixels=(800, 600), plain_faces=1, processor=True),
    }
    subjects = {"plain float32": Subject(path, "plain"), "torch float32": Subject(path, "torch")}
    timed = {title: [(kind, who, request) for kind, who in subjects.items()] for title, request in requests.items()}
    timed[network].append((EMBEDDED, Subject("embedded", "onnxruntime"), requests[network]))
    groups = [
        Group(title, tuple(Case(kind, who, request, 0) for kind, who, request in cases), 1, 2)
        for title, cases in timed.items()
    ]
    start = _start(folder)
    commands = [
        replace(case, cost=0, request=replace(case.request, processor=True))
        for case in start.cases
        if case.name in (LIBRARIES, RESTORE)
    ]
    plain, ours = subjects
    ratios = (
        Ratio("network", network, plain, ours),
        Ratio("detection", photo, plain, ours, ("detect",)),
        Ratio("paste", photo, plain, ours, ("paste",)),
        Ratio("embedded network", network, plain, EMBEDDED),
        Ratio("start: libraries over the command", START, LIBRARIES, RESTORE),
    )
    return Plan((*groups, Group(START, tuple(commands), 1, 2)), ratios, ())


def _embedded_cases(has_torch: bool) -> tuple[Case, ...]:
    kinds: dict[str, tuple[Backend, str]] = {"onnxruntime float32": ("onnxruntime", "float32")}
    if has_torch:
        kinds |= {"torch float32": ("torch", "float32"), "torch bfloat16": ("torch", "bfloat16")}
    subjects = {kind: Subject("embedded", *how) for kind, how in kinds.items()}
    base = [Case(kind, who, Request("network")) for kind, who in subjects.items()]
    varied = [
        Case(f"{kind}, {label}", who, Request("network", batch, threads), batch * (2 if threads else 1), batch)
        for label, threads, batch in (("1 thread", 1, 1), ("batch 4", 0, 4), ("batch 8", 0, 8))
        for kind, who in subjects.items()
    ]
    return (*base, *varied)


def _embedded_group(has_torch: bool) -> Group:
    return Group("Embedded network, 512 pixels", _embedded_cases(has_torch), 2)


def _own_group(path: Path) -> Group:
    subject = Subject(str(path), "onnxruntime" if path.suffix.lower() == ".onnx" else "torch")
    cases = tuple(Case(f"{batch} at once", subject, Request("network", batch), batch, batch) for batch in (1, 4))
    return Group(f"{path.name}, {subject.backend}", cases, 2)


def _stages(subjects: dict[str, Subject]) -> Group:
    """The steps of a photo with many faces, with the embedded network and with others."""
    request = Request("photo")
    embedded = Case(EMBEDDED, Subject("embedded", "onnxruntime"), request, 0.1)
    return Group(STAGES, (*(Case(kind, who, request) for kind, who in subjects.items()), embedded), 6)


def _start(folder: Path) -> Group:
    """Commands from their beginning to their end."""
    import cv2

    from revisage.bench.subjects import FACE
    from revisage.images import read_image, write_image

    photo = folder / "photo.jpg"
    enlarged: Array = cv2.resize(read_image(FACE), (400, 400))
    write_image(photo, enlarged)
    first_face = (
        "import time, revisage, numpy; restorer = revisage.load(); start = time.perf_counter();"
        f"restorer(revisage.read_image({str(photo)!r})); print(time.perf_counter() - start)"
    )
    restore = ("-m", "revisage", "restore", str(photo), "-o", str(folder / f"restored{os.getpid()}"), "--overwrite")
    commands = {
        "python -c pass": ("-c", "pass"),
        LIBRARIES: ("-c", LIBRARIES.split("'")[1]),
        "revisage.load()": ("-c", "import revisage; revisage.load()"),
        "revisage.load(), one face": ("-c", first_face),
        RESTORE: restore,
    }
    return Group(START, tuple(Case(name, None, Command(arguments)) for name, arguments in commands.items()), 1)
