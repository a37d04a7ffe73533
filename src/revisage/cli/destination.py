"""Where the results of ``revisage restore`` go: a folder, one file, or stdout; and ``-`` as an input, stdin."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any

from revisage.errors import InputError, OutputError

if TYPE_CHECKING:
    from revisage.jobs.collector import Sources

DASH = "-"
"""Stands for stdin and stdout."""
DEFAULT = Path("restored")


class _WithoutFolder:
    """A stream on which the temporary folder of stdin and stdout is not seen."""

    def __init__(self, stream: IO[str], folder: str) -> None:
        self._stream, self._folder = stream, folder

    def write(self, text: str) -> int:
        return self._stream.write(text.replace(self._folder, ""))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def pipes(paths: Sequence[str], output: Path | None) -> Generator[tuple[list[str], Path, Callable[[], None]]]:
    """Put files in the place of stdin and stdout, ``-``; lines for people go to stderr then.

    Without ``output`` results go to stdout if ``paths`` is stdin, else to the default folder. Yields inputs and output
    that are files and folders, and a function that writes the result to stdout, where it goes. InputError: ``-`` beside
    other inputs. OutputError: the result would go to a terminal.
    """
    if DASH in paths and len(paths) > 1:
        raise InputError("- stands for stdin, which cannot be restored together with other files")
    writes = is_stdout(paths, output)
    if DASH not in paths and not writes:
        yield list(paths), output or DEFAULT, lambda: None
        return
    if writes and sys.stdout.isatty():
        raise OutputError("an image is not written to a terminal; redirect stdout to a file, or use -o FILE")
    stdout = sys.stdout
    with TemporaryDirectory(prefix="revisage-") as name:
        folder = Path(name)
        if DASH in paths:
            (folder / "stdin").write_bytes(sys.stdin.buffer.read())
            paths = [str(folder / "stdin")]
        results = folder / "stdout" if writes else output or DEFAULT

        def finish() -> None:
            written = [path for path in results.glob("*") if path.is_file()] if writes else []
            for path in written:
                stdout.buffer.write(path.read_bytes())
            stdout.flush()

        shown: Any = _WithoutFolder(sys.stderr if writes else stdout, f"{folder}/")
        errors: Any = _WithoutFolder(sys.stderr, f"{folder}/")
        with redirect_stdout(shown), redirect_stderr(errors):
            yield list(paths), results, finish


def is_stdout(paths: Sequence[str], output: Path | str | None) -> bool:
    """Whether the result goes to stdout."""
    return str(output) == DASH or (output is None and DASH in paths)


def refuse_several_on_stdout(sources: Sources, save_faces: bool) -> None:
    """Refuse several inputs, a folder or a pattern, and saved faces: stdout takes one file (InputError)."""
    if sources.many or len(sources.inputs) > 1 or save_faces:
        raise InputError("stdout takes the result of one photo or video, without faces; use -o FOLDER for more")


def file_of(output: Path, sources: Sources, **options: str | bool) -> Path | None:
    """The one file that a run writes, if ``-o`` names one: it has the extension of an image or video.

    ``options`` are those that name results in folders: ``suffix``, ``format``, ``save_faces``. InputError: there is
    more than one input, or one of another kind; or an option contradicts.
    """
    from revisage.jobs.collector import kind_by_name

    kind = kind_by_name(output)
    if kind is None or output.is_dir():
        return None
    if sources.many or len(sources.inputs) > 1:
        raise InputError(f"{output} is one file, and there may be several results; use a folder for them")
    source = next(iter(sources))
    if source.kind is not kind:
        raise InputError(f"{output} would be a file of the kind {kind}, but {source.path} is of the kind {source.kind}")
    for name, value in options.items():
        if value not in ("", "auto", False):
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{flag} is for folders of results; {output} is one file, with a name and a format")
    return output


def refuse_input_folder(sources: Sources, output: Path) -> None:
    """Refuse a folder of results that is one of the inputs: each result would replace its original (InputError)."""
    for path in sources.inputs:
        folder = path if path.is_dir() else path.parent
        if sources.many and output.is_dir() and folder.samefile(output):
            raise InputError(f"{output} is the folder of the originals; use another one for the results, or --suffix")
