"""What every fuzz target has to keep to, and a check of one case against it.

A target takes bytes that nobody vouches for and a folder of its own. Either it returns, or it raises an error of
`revisage.errors` in one line that names the file. It takes less than five seconds of processor time, runs nothing, and
writes nothing outside its folder.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import category

from revisage.errors import RevisageError

Target = Callable[[bytes, Path], object]
SECONDS = 5.0
LONGEST_MESSAGE = 2100

_RUNS = (
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "pty.spawn",
    "subprocess.Popen",
    "socket.connect",
)
_CHANGES = ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.link", "os.symlink", "os.chmod", "os.truncate")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class ViolationError(AssertionError):
    """A target did what it must not."""


@dataclass
class Guard:
    """Listens to the interpreter's audit events while a case runs."""

    folder: str = ""
    seen: list[str] = field(default_factory=list)

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.folder:
            return
        if event in _RUNS:
            self.seen.append(f"{event}{arguments}")
        elif event in _CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING):
            touched = arguments[:2] if event in ("os.rename", "os.link") else arguments[:1]
            self.seen += [f"{event} {path}" for path in touched if self._outside(path)]

    def _outside(self, path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False  # a file that is open already
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 (no links are followed)
        return not name.startswith(self.folder) and "__pycache__" not in name and name != os.devnull


_GUARD = Guard()


def _listen() -> None:
    """Audit hooks cannot be taken out again: there is one, and it sleeps between cases."""
    if not getattr(sys, "_revisage_fuzz_guard", None):
        sys._revisage_fuzz_guard = _GUARD  # pyright: ignore[reportAttributeAccessIssue]
        sys.addaudithook(_GUARD)


def attempt(target: Target, data: bytes, folder: Path) -> RevisageError | None:
    """Run one case -> the error that it was answered with, None if it was taken.

    Raises:
        ViolationError: the target broke a rule; what it did is the cause or in the message.
    """
    _listen()
    refusal = None
    _GUARD.seen.clear()
    before = time.process_time()
    _GUARD.folder = str(folder.resolve())
    try:
        target(data, folder)
    except RevisageError as error:
        refusal = error
    except (Exception, SystemExit) as error:
        raise ViolationError(f"{type(error).__name__} came out: {error}"[:1000]) from error
    finally:
        _GUARD.folder = ""
    taken = time.process_time() - before
    if taken > SECONDS:
        raise ViolationError(f"it took {taken:.1f} s")
    if _GUARD.seen:
        raise ViolationError(f"it touched what is not its own: {_GUARD.seen[:3]}")
    if refusal is not None:
        _check_message(str(refusal), folder)
    return refusal


def _check_message(message: str, folder: Path) -> None:
    printable = all(c.isprintable() or category(c) == "Zs" for c in message)  # Zs: spaces of any script
    if not message or not printable or len(message) > LONGEST_MESSAGE:
        raise ViolationError(f"the message is no line: {message!r}"[:500])
    if folder.name not in message and "input" not in message:
        raise ViolationError(f"the message names no file: {message!r}")
