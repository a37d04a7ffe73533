"""Where the weights of a name or a file lie, and how they get there."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from revisage.errors import CheckpointError, MissingWeightsError, UnknownModelError
from revisage.models.architectures import NETWORKS
from revisage.models.build import SUFFIXES, build
from revisage.models.cache import cache_folder, is_offline, mirror
from revisage.models.download import Remote, by_hand, download
from revisage.models.registry import MODELS, path_of
from revisage.models.transfer import Progress


def weight_file(model: str | Path, *, offline: bool | None = None) -> Path:
    """Where the weights of a named model, or of a file given as such, lie; published ones are downloaded if need be.

    Raises:
        UnknownModelError: says which names are like it.
        CheckpointError, MissingWeightsError, DownloadError: see ``fetch``.
    """
    if str(model) in MODELS:
        return fetch(str(model), offline=offline)
    path = Path(model)
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise UnknownModelError(f"{path}: weight files end in {', '.join(SUFFIXES)}")
        return path
    raise UnknownModelError(f"no model or file {str(model)!r}{_suggestion(path.name)}; `revisage models` lists all")


def fetch(name: str, *, offline: bool | None = None) -> Path:
    """The file of a name of ``catalogue.MODELS``; downloaded into the cache if it is not there.

    A download shows a bar on a terminal. It is checked before it is used: size and SHA-256 where they are known,
    otherwise whether it holds weights of the architecture.

    Args:
        name: of the model.
        offline: True never downloads; None asks the environment variable ``REVISAGE_OFFLINE``.

    Raises:
        UnknownModelError: there is no such name.
        CheckpointError: a file of that name is there, but has not the size of the published one.
        MissingWeightsError: it is not here, and downloads are off; says how to bring it.
        DownloadError: it cannot be had; says how to bring it.
    """
    if name not in MODELS:
        raise UnknownModelError(f"no model {name!r}{_suggestion(name)}; `revisage models` lists all")
    spec, path = MODELS[name], path_of(name)
    if path.is_file():
        size = path.stat().st_size
        if spec.size not in (None, size):
            raise CheckpointError(f"{path} has {size} bytes, not the {spec.size} of {name}: remove it to have it again")
        return path
    if not spec.urls:
        raise MissingWeightsError(f"{path} is missing: the package is not whole, install it again")
    remote = Remote(spec.file, spec.urls, spec.size, spec.sha256)
    if is_offline() if offline is None else offline:
        raise MissingWeightsError(f"{name} is not here and downloads are off; {by_hand(remote, path.parent)}")

    def check(file: Path) -> None:
        if not spec.sha256 and spec.architecture in NETWORKS:
            build(file, spec.architecture)

    with transfer_bar(name) as progress:
        return download(remote, cache_folder(), mirror=mirror(), check=check, progress=progress)


def _suggestion(name: str) -> str:
    """A question to append, if the name is nearly that of a model, or what its file is called."""
    same_file = [model for model, spec in MODELS.items() if spec.file == name]
    near = same_file or get_close_matches(name, MODELS, n=2)
    return f"; did you mean {' or '.join(near)}?" if near else ""


@contextmanager
def transfer_bar(name: str) -> Generator[Progress]:
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
