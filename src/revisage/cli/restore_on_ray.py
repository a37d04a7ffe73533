"""``revisage restore --engine ray``: what differs from a run on this machine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from revisage.cli.destination import DASH, DEFAULT
from revisage.errors import InputError

if TYPE_CHECKING:
    from revisage.batch import Outcome, Sources


def collect_for_ray(paths: Sequence[str], output: str | None) -> tuple[Sources, Path]:
    """The sources, and the folder of the results, which may be URLs.

    InputError: Ray is missing; stdin or stdout; nothing to restore.
    """
    from revisage.jobs.buckets import parse_location
    from revisage.jobs.collector import Kind
    from revisage.scale.run import collect_sources

    if find_spec("ray") is None:
        raise InputError("--engine ray needs Ray: pip install 'revisage[scale]'")
    if DASH in (*paths, output):
        raise InputError("- (stdin, stdout) cannot be used with --engine ray; leave it out")
    target = parse_location(output or DEFAULT)
    return collect_sources(paths, target, (Kind.IMAGE, Kind.VIDEO)), target


def run_on_ray(
    model: str, networks: Mapping[str, Any], actors: int | None, *, resume: bool, strict: bool
) -> Callable[..., Generator[Outcome]]:
    """A function that restores sources on Ray; with a CUDA device each actor has a GPU.

    ``networks`` are further arguments of ``revisage.load``. Without ``actors`` there are as many as fit. With
    ``strict`` a video whose result would lack something fails.
    """
    from revisage.loading import load
    from revisage.scale import Pool, ray_restore_files

    restore_video = None
    if find_spec("av") is not None:
        from revisage.video.restore import restore_video as restore

        restore_video = partial(restore, resume=resume, strict=strict)
    gpus = int(str(networks.get("device")).startswith("cuda"))
    make = partial(load, model, **networks)
    return partial(ray_restore_files, make, model, restore_video=restore_video, pool=Pool(actors=actors, gpus=gpus))
