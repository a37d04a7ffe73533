"""How many files are restored, and how the results are named."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from revisage.errors import InputError, suggest_keywords
from revisage.images import FORMATS, WRITABLE
from revisage.images.decode import MAX_PIXELS
from revisage.jobs.buckets import parse_location
from revisage.jobs.collector import VIDEOS, Kind
from revisage.jobs.store import stamp_of
from revisage.restore.controls import Controls

FOLDERS = ("restored_imgs", "cropped_faces", "restored_faces", "cmp")
"""Folders of the results where faces are saved: those of the classic tool."""
VIDEO_FORMATS = tuple(extension[1:] for extension, result in VIDEOS.items() if not result)


@suggest_keywords(
    {
        "folder": "output",
        **dict.fromkeys(("ext", "extension"), "format"),
        "force": "overwrite",
        "keeptime": "preserve_mtime",
        **{name: f"controls=Controls({name}=...)" for name in ("scale", "strength", "aligned", "selection")},
        **dict.fromkeys(("upscale", "outscale"), "controls=Controls(scale=...)"),
    }
)
@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to restore, and how the results are named.

    Attributes:
        output: folder of the results.
        controls: how faces are restored.
        target: the one file that is written, in ``output``; None for names after the sources.
        video_scale: output scale of videos, in place of that of ``controls``.
        suffix: results are named ``{stem}_{suffix}``; empty for ``{stem}``.
        format: extension of the results without the dot; one of an image concerns images, one of a video videos. None
            for that of the source (png for GIF and unknown ones; mkv for videos that cannot be written).
        overwrite: replace results that exist already, else skip their sources and say so.
        save_faces: also write every face, in the folders of the classic tool.
        preserve_mtime: give results the modification and access times of their sources.
        allow_damaged: restore what is there of truncated or damaged images.
        max_pixels: images of more are refused; all frames count together.
        resume: keep a job store, so that the same call can resume later.
        store: folder of that store; None: ``.revisage`` in the output folder.
        strict: fail where a result would lack anything of its source, instead of naming it.
        made_with: anything else that the results depend on, in any words: the background upscaler, for instance.

    Raises:
        InputError: the format cannot be written, or the suffix would lead to another folder.
    """

    output: Path
    controls: Controls = field(default_factory=Controls)
    target: Path | None = None
    video_scale: float = 1.0
    suffix: str = ""
    format: str | None = None
    overwrite: bool = False
    save_faces: bool = False
    preserve_mtime: bool = False
    allow_damaged: bool = False
    max_pixels: int = MAX_PIXELS
    resume: bool = False
    store: Path | None = None
    strict: bool = False
    made_with: str = ""

    def __post_init__(self) -> None:
        for name in ("output", "target"):  # a text will do
            value = getattr(self, name)
            if not isinstance(value, str | Path) and not (name == "target" and value is None):
                raise InputError(f"{name} is a path, not {value!r}")
            object.__setattr__(self, name, None if value is None else parse_location(value))
        if not isinstance(self.controls, Controls):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"controls is a revisage.restore.controls.Controls, not {self.controls!r}")
        if isinstance(self.format, str):
            object.__setattr__(self, "format", self.format.lower().lstrip("."))
        animated = self.target is not None and f".{self.format}" in FORMATS
        if self.format not in (None, *VIDEO_FORMATS) and not animated and not is_writable(f".{self.format}"):
            raise InputError(f"unknown format {self.format!r}; choose one of {WRITABLE}, {', '.join(VIDEO_FORMATS)}")
        if Path(self.suffix).name != self.suffix:
            raise InputError(f"the suffix {self.suffix!r} cannot be part of a file name")

    @property
    def restored(self) -> Path:
        """Folder of the restored images and videos."""
        return self.output / FOLDERS[0] if self.save_faces else self.output

    @property
    def ending(self) -> str:
        """The suffix and its underscore, or nothing."""
        return f"_{self.suffix}" if self.suffix else ""

    @property
    def video_controls(self) -> Controls:
        """How the faces of videos are restored."""
        return replace(self.controls, scale=self.video_scale)

    @property
    def follows_content(self) -> bool:
        """Whether the format of images is that of their source."""
        return self.format is None or self.format in VIDEO_FORMATS

    def extension_for(self, extension: str, kind: Kind) -> str:
        """Extension of the result of a source with this one; both with the dot."""
        if kind is Kind.VIDEO:
            if self.format in VIDEO_FORMATS:
                return f".{self.format}"
            return VIDEOS.get(extension.lower(), ".mkv") or extension
        if not self.follows_content:
            return f".{self.format}"
        return extension if is_writable(extension) else ".png"


def is_writable(extension: str) -> bool:
    """Whether results that are images can have this extension, given with its dot."""
    entry = FORMATS.get(extension.lower())
    return entry is not None and entry.writable


def settings_of(model: str, options: Options) -> dict[str, Any]:
    """Everything besides its source that a result depends on, by kind of source, as JSON values to compare.

    Of the controls only those count that differ from the defaults, so that a later version with more of them does not
    take every result for one made otherwise. A weight file counts with its size and time.
    """

    def settings(controls: Controls) -> dict[str, Any]:
        return {
            "model": [model, *(stamp_of(Path(model)) if Path(model).is_file() else ()), options.made_with],
            "controls": _plain(controls, Controls()),
            "names": [options.format, options.suffix, options.save_faces],
        }

    return {Kind.IMAGE: settings(options.controls), Kind.VIDEO: settings(options.video_controls)}


def _plain(value: Any, default: Any) -> Any:
    """A value as JSON can hold it: of a dataclass the fields that differ from the default, of an array its digest."""
    if isinstance(value, np.ndarray):
        coarse = np.round(value, 2) + 0.0  # embeddings differ in their last digits from machine to machine
        return f"{value.shape} {hashlib.sha256(coarse.astype(np.float32).tobytes()).hexdigest()[:16]}"
    if isinstance(value, tuple):
        return [_plain(one, None) for one in cast("tuple[Any, ...]", value)]
    if isinstance(value, Mapping):
        return {str(key): one for key, one in cast("Mapping[Any, Any]", value).items()}
    if not is_dataclass(value):
        return value
    pairs = {one.name: (getattr(value, one.name), getattr(default, one.name, None)) for one in fields(value)}
    plain = {name: (_plain(*pair), _plain(pair[1], None)) for name, pair in pairs.items()}
    return {name: ours for name, (ours, usual) in plain.items() if ours not in (usual, {})}
