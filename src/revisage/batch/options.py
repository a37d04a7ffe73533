"""How many photos are restored, and how the results are called."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from revisage.errors import InputError
from revisage.images import FORMATS, WRITABLE
from revisage.restore.controls import Controls

FOLDERS = ("restored_imgs", "cropped_faces", "restored_faces", "cmp")
"""Layout of the results where faces are saved: that of the classic tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to restore, and how the results are called.

    Attributes:
        output: folder of the results.
        controls: how the faces are restored.
        suffix: results are called ``{stem}_{suffix}``; empty for ``{stem}``.
        format: extension of the results without the dot; None for that of the source (GIF and unknown ones give png).
        overwrite: replace results that exist already, else leave them and say so.
        save_faces: also write every face, in the folders of the classic tool.
        keep_time: results have the times of last change and access of their sources.
        journal: keep a journal in the output folder, so that the same call can go on later (see ``batch.journal``).
        made_with: what else the results depend on, in any words, to notice when it changes: the background's network.

    Raises:
        InputError: the format is not one that can be written, or the suffix would lead to another folder.
    """

    output: Path
    controls: Controls = field(default_factory=Controls)
    suffix: str = ""
    format: str | None = None
    overwrite: bool = False
    save_faces: bool = False
    keep_time: bool = False
    journal: bool = False
    made_with: str = ""

    def __post_init__(self) -> None:
        if self.format is not None and not is_writable(f".{self.format}"):
            raise InputError(f"unknown format {self.format!r}; choose one of {WRITABLE}")
        if Path(self.suffix).name != self.suffix:
            raise InputError(f"the suffix {self.suffix!r} cannot be part of a file name")

    @property
    def photos(self) -> Path:
        """Folder of the restored photos."""
        return self.output / FOLDERS[0] if self.save_faces else self.output

    @property
    def ending(self) -> str:
        """What is put behind the names of photos: the suffix and its underscore, or nothing."""
        return f"_{self.suffix}" if self.suffix else ""

    def extension_for(self, extension: str) -> str:
        """Extension of the result of a source with this one; both with the dot."""
        if self.format is not None:
            return f".{self.format}"
        return extension if is_writable(extension) else ".png"


def is_writable(extension: str) -> bool:
    """Whether results can have this extension, given with its dot."""
    entry = FORMATS.get(extension.lower())
    return entry is not None and entry.writable


def settings_of(model: str, options: Options) -> str:
    """All that the content of a result depends on besides its source, as a line to compare.

    Of the controls only those count that differ from the defaults, so that a later version with more of them does not
    take every result for one made otherwise. A weight file counts with its size and time.
    """
    settings = {
        "model": [model, *_stamp(Path(model)), options.made_with],
        "controls": _plain(options.controls, Controls()),
        "names": [options.format, options.suffix, options.save_faces],
    }
    return json.dumps(settings, sort_keys=True, ensure_ascii=False, default=str)


def _plain(value: Any, default: Any) -> Any:
    """A value as JSON can have it: of a dataclass what differs from the default, of an array its digest."""
    if isinstance(value, np.ndarray):
        coarse = np.round(value, 2) + 0.0  # descriptors differ in their last digits from machine to machine
        return f"{value.shape} {hashlib.sha256(coarse.astype(np.float32).tobytes()).hexdigest()[:16]}"
    if isinstance(value, tuple):
        return [_plain(one, None) for one in cast("tuple[Any, ...]", value)]
    if not is_dataclass(value):
        return value
    pairs = {one.name: (getattr(value, one.name), getattr(default, one.name, None)) for one in fields(value)}
    plain = {name: (_plain(*pair), _plain(pair[1], None)) for name, pair in pairs.items()}
    return {name: ours for name, (ours, usual) in plain.items() if ours not in (usual, {})}


def _stamp(path: Path) -> list[int]:
    if not path.is_file():
        return []
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]
