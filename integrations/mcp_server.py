"""Face restoration as tools for assistants, on the files of one folder: ``python mcp_server.py FOLDER``.

Needs the official SDK: ``pip install mcp``. It speaks on stdin and stdout, and reaches nothing but the folder.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import revisage
from revisage.errors import InputError

load = lru_cache(1)(revisage.load)


class Tools:
    """The tools. Names of files are relative to the folder; links and ways out of it are refused.

    Args:
        folder: the only one whose files are read and written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(os.path.realpath(folder))

    def _path(self, name: str) -> Path:
        path = Path(os.path.normpath(self._folder / name))
        if not path.is_relative_to(self._folder) or Path(os.path.realpath(path)) != path:
            raise InputError(f"{name} is outside of the allowed folder, or a link")
        return path

    def restore(self, photo: str, result: str, strength: float = 1.0, scale: float = 1.0) -> dict[str, Any]:
        """Restore the faces of a photo into a new file; says what became of each face."""
        source, target = self._path(photo), self._path(result)
        restored = load()(revisage.read_image(source), strength=strength, scale=scale)
        revisage.write_image(target, restored.image, like=source, overwrite=False)
        return {"result": result, "faces": [{"status": str(face.status), **place(face)} for face in restored.faces]}

    def detect(self, photo: str) -> list[dict[str, Any]]:
        """Find the faces of a photo: boxes (x1, y1, x2, y2) in pixels, and scores."""
        return [place(face) for face in load().detect(revisage.read_image(self._path(photo)))]

    def compare(self, before: str, after: str, result: str) -> str:
        """Put two photos of one size side by side into a new file."""
        left, right = (revisage.read_image(self._path(name)) for name in (before, after))
        if left.shape != right.shape:
            raise InputError(f"{before} and {after} have different sizes; restore with scale 1 to compare")
        revisage.write_image(self._path(result), np.hstack([left, right]), overwrite=False)
        return result


def place(face: Any) -> dict[str, Any]:
    """Box and score of a face, as JSON holds them."""
    return {"box": [round(float(value), 1) for value in face.box], "score": round(float(face.score), 3)}


def make_server(folder: Path) -> Any:
    """The server, not yet running."""
    from mcp.server import MCPServer

    server, tools = MCPServer("revisage"), Tools(folder)
    for tool in (tools.restore, tools.detect, tools.compare):
        server.tool()(tool)
    return server


if __name__ == "__main__":
    make_server(Path(sys.argv[1])).run()
