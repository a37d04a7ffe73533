"""The package's own networks in the form that onnxruntime computes with, kept in the cache.

Their weights ship in eight bits. To expand them and to bring them into the order that suits this processor takes twenty
times as long as to map the finished arrays into memory, which all processes then share.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime

from revisage.files import PREFIX, flush
from revisage.models.device import PROVIDERS, cpu_instructions
from revisage.models.fetch import cache_folder, package_folder

FOLDER = "prepared"
"""Of the cache."""
_GRAPH, _WEIGHTS = "network.onnx", "weights.bin"
_UNUSED_DAYS = 60
"""Forms of other versions or processors that nothing opened for so long are removed."""


@dataclass(frozen=True)
class Prepared:
    """A network's prepared form, which may not be there yet.

    Attributes:
        folder: of its two files; the name tells all that they depend on.
    """

    folder: Path

    @classmethod
    def of(cls, path: Path) -> Prepared | None:
        """The form of one of the package's own networks; None for other files, and for users without a home."""
        cache = cache_folder()
        if path.parent != package_folder() or cache.parts[0] == "~":
            return None
        with path.open("rb") as file:
            key = hashlib.file_digest(file, "sha256")
        key.update(f"{onnxruntime.__version__} {_processor()}".encode())
        return cls(cache / FOLDER / f"{path.stem}-{key.hexdigest()[:16]}")

    def open(self, options: Any) -> Any:
        """A session on the CPU, or None if the form is not there, another user's, or damaged (then it is removed)."""
        graph = self.folder / _GRAPH
        if not _is_trusted(graph):
            return None
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            session = onnxruntime.InferenceSession(str(graph), options, [PROVIDERS["cpu"]])
        except Exception:  # onnxruntime's errors have no common base
            shutil.rmtree(self.folder, ignore_errors=True)
            return None
        with suppress(OSError):
            self.folder.touch()
        return session

    @contextmanager
    def keep(self, options: Any) -> Generator[None]:
        """A session that is made with ``options`` within this context leaves its form behind.

        Nothing is left where the cache cannot be written to, or was written to by another process meanwhile.
        """
        temporary = self.folder.with_name(f"{PREFIX}{self.folder.name}-{secrets.token_hex(4)}")
        try:
            temporary.mkdir(parents=True)
        except OSError:
            yield
            return
        options.optimized_model_filepath = str(temporary / _GRAPH)
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", _WEIGHTS)
        options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
        try:
            yield
            with suppress(OSError):
                for file in temporary.iterdir():
                    flush(file)
                temporary.rename(self.folder)
                self._remove_unused()
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _remove_unused(self) -> None:
        """Remove what nobody opened for long, and what killed processes left half written."""
        since = time.time() - _UNUSED_DAYS * 86400
        for other in self.folder.parent.iterdir():
            if other.stat().st_mtime < since:
                shutil.rmtree(other, ignore_errors=True)


def _is_trusted(path: Path) -> bool:
    """Whether a file is there, and this user's or the administrator's: others may have put any network there."""
    try:
        owner = path.stat().st_uid
    except OSError:
        return False
    return not hasattr(os, "getuid") or owner in (0, os.getuid())


def _processor() -> str:
    """What the order of prepared weights depends on: the instructions that the processor has."""
    return " ".join([platform.machine(), *(cpu_instructions() or [platform.processor()])])
