"""Where the weights of a name or a file lie, and how they get there; nothing here imports torch before it must."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from revisage.errors import CheckpointError, MissingWeightsError, UnknownModelError, did_you_mean
from revisage.models.architectures import ARCHITECTURES
from revisage.models.registry import MODELS

if TYPE_CHECKING:
    from revisage.models.download import Progress


def cache_folder() -> Path:
    r"""Folder of downloaded weights; not made here.

    ``$REVISAGE_CACHE``, else ``$XDG_CACHE_HOME/revisage``, else the system's: ``~/.cache/revisage``,
    ``~/Library/Caches/revisage`` (macOS) or ``%LOCALAPPDATA%\revisage\Cache`` (Windows).
    """
    if own := os.environ.get("REVISAGE_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):  # on every system, and ~ as it stands
        return Path(xdg) / "revisage"
    return user_cache_path("revisage", appauthor=False)


def package_folder() -> Path:
    """Folder of the weights that come with the package."""
    return Path(str(files("revisage") / "weights"))


def is_offline() -> bool:
    """Whether ``$REVISAGE_OFFLINE`` forbids downloads: set to anything but 0, no or false."""
    return os.environ.get("REVISAGE_OFFLINE", "").lower() not in ("", "0", "no", "false")


def mirror() -> str | None:
    """``$REVISAGE_MIRROR``: a base address that is asked for each file, by its name, before the official ones."""
    return os.environ.get("REVISAGE_MIRROR", "").rstrip("/") or None


def path_of(name: str) -> Path:
    """Path of the file of a name of ``MODELS``, present or not: in the package, or in the cache."""
    spec = MODELS[name]
    return (cache_folder() if spec.urls else package_folder()) / spec.file


def present() -> list[str]:
    """The names of ``MODELS`` whose files are on this machine."""
    return [name for name in MODELS if path_of(name).is_file()]


def weight_file(model: str | Path, *, offline: bool | None = None) -> Path:
    """Path of the weights of a named model or of a file; published ones are downloaded if need be.

    UnknownModelError: says which names are like it. CheckpointError, MissingWeightsError, DownloadError: see ``fetch``.
    """
    if str(model) in MODELS:
        return fetch(str(model), offline=offline)
    path = Path(model)
    if path.is_file():
        return path
    if path.is_dir():
        raise UnknownModelError(f"{path} is a folder, not a weight file; a training writes model.safetensors into it")
    raise UnknownModelError(f"no model or file {str(model)!r}{_hint(path.name)}")


def fetch(name: str, *, offline: bool | None = None) -> Path:
    """The file of a name of ``MODELS``; downloaded into the cache if it is not there.

    A download shows a bar on a terminal. It is checked before it is used: size and SHA-256 where they are known,
    otherwise whether it holds weights of the architecture.

    Raises:
        UnknownModelError: there is no such name.
        CheckpointError: a file of that name is there, but has not the size of the published one.
        MissingWeightsError: it is not here, and downloads are off; says how to bring it.
        DownloadError: it cannot be had; says how to bring it.
    """
    if name not in MODELS:
        raise UnknownModelError(f"no model {name!r}{_hint(name)}")
    spec, path = MODELS[name], path_of(name)
    if path.is_file():
        size = path.stat().st_size
        if spec.size not in (None, size):
            raise CheckpointError(f"{path} has {size} bytes, not the {spec.size} of {name}: remove it to have it again")
        return path
    if not spec.urls:
        raise MissingWeightsError(f"{path} is missing: the package is not whole, install it again")
    from revisage.models.download import Remote, download, manual_download_hint

    remote = Remote(spec.file, spec.urls, spec.size, spec.sha256)
    if is_offline() if offline is None else offline:
        raise MissingWeightsError(
            f"{name} is not here and downloads are off; {manual_download_hint(remote, path.parent)}"
        )

    def check(file: Path) -> None:
        if not spec.sha256 and spec.architecture in ARCHITECTURES:
            from revisage.models.build import build

            build(file, spec.architecture)

    with _progress_bar(name) as progress:
        return download(remote, cache_folder(), mirror=mirror(), check=check, progress=progress)


MEANT = {
    **{re.sub(r"[^a-z0-9+]|v(?=\d)", "", spec.file.rpartition(".")[0].lower()): name for name, spec in MODELS.items()},
    "gfpgan": "gfpgan-1.4",
    "gfpganclean": "gfpgan-1.4",
    "restoreformer": "restoreformer",
    "restoreformerplusplus": "restoreformer++",
    **dict.fromkeys(("realesrgan", "realesrganx2", "esrgan"), "realesrgan-x2plus"),
    **dict.fromkeys(("retinaface", "retinafaceresnet", "resnet50"), "retinaface-resnet50"),
    **dict.fromkeys(("mobilenet", "retinafacemobile025", "mobilenet025"), "retinaface-mobilenet"),
    "arcface": "arcface-resnet18",
    "codeformer": "the path of its .pth file (pip install 'revisage[spandrel]'), or of an exported .onnx file",
    "gpen": "an exported .onnx file of it, see docs/export.md",
    **dict.fromkeys(("default", "builtin", "own"), "embedded"),
    "yunet": "the path of its .onnx file",
}
"""Names of a model in other tools, without punctuation -> its name here."""


def _hint(name: str) -> str:
    """A question to append if the name is nearly that of a model, or that of its file; else where all are listed."""
    plain = re.sub(r"\.(pth|pt|ckpt|safetensors|onnx)$", "", name)
    return did_you_mean(plain, MODELS, MEANT) or "; `revisage models` lists all"


@contextmanager
def _progress_bar(name: str) -> Generator[Progress]:
    """Show a bar with size, speed and remaining time on stderr while inside; nothing where stderr is no terminal.

    Yields:
        the function that moves it; the bar appears with its first call.
    """
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)

        def move(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield move
