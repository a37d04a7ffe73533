"""The folder for downloaded weights, and what the environment says about downloads."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    r"""Where downloaded weights lie; not made here.

    ``$REVISAGE_CACHE``, else ``$XDG_CACHE_HOME/revisage``, else what the system uses: ``~/.cache/revisage``,
    ``~/Library/Caches/revisage`` (macOS) or ``%LOCALAPPDATA%\revisage\Cache`` (Windows).
    """
    if own := os.environ.get("REVISAGE_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "revisage"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "revisage" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "revisage"
    return Path.home() / ".cache" / "revisage"


def is_offline() -> bool:
    """Whether ``$REVISAGE_OFFLINE`` forbids downloads: set to anything but 0, no or false."""
    return os.environ.get("REVISAGE_OFFLINE", "").lower() not in ("", "0", "no", "false")


def mirror() -> str | None:
    """``$REVISAGE_MIRROR``: a base address that is asked for each file, by its name, before the official ones."""
    return os.environ.get("REVISAGE_MIRROR", "").rstrip("/") or None
