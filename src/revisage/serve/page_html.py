"""Parts of the page that gradio has no component for: status, comparison, faces. Everything from users is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from revisage.serve.photos import Photo
from revisage.serve.restored_file import RestoredFile
from revisage.types import LITTLE_CHANGE, FaceStatus

HEADER = """<header><h1>Restore faces in your photos</h1>
<p>Add old, blurred or noisy photos: faces become clear, and a noisy or blurred background is repaired.
Photos are restored on this server, sent nowhere else, and deleted when you close the page.</p></header>"""
_ICON = (
    "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='8'"
    " fill='%230f766e'/%3E"
    "%3Ccircle cx='11' cy='13' r='2' fill='white'/%3E%3Ccircle cx='21' cy='13' r='2' fill='white'/%3E"
    "%3Cpath d='M9 20q7 6 14 0' stroke='white' stroke-width='2.5' fill='none' stroke-linecap='round'/%3E%3C/svg%3E"
)
HEAD = f'<link rel="icon" href="data:image/svg+xml,{_ICON}">'
SHOWN_BY_BROWSERS = ".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".bmp"
EMPTY = """<div class="empty"><p>Your restored photos appear here, beside the originals.</p></div>"""


def address(path: Path) -> str:
    """Where the page finds a file."""
    return f"gradio_api/file={quote(str(path))}"


def status(text: str, done: int = 0, total: int = 0, errors: Sequence[str] = ()) -> str:
    """The current step, its progress and its errors."""
    parts = [f"<p>{escape(text)}</p>"] if text else []
    if total:
        reached = f' max="{total}" value="{done}"' if done else ""  # none: a bar that moves
        parts.append(f'<progress{reached} aria-label="Photos restored"></progress>')
    parts += [f'<p class="error">{escape(one)}</p>' for one in errors]
    return "".join(parts)


def comparison(photo: Photo) -> str:
    """The photo and its restoration under a slider; a reason where there is none."""
    made = photo.restored
    if made is None and is_shown_by_browsers(photo):
        alt = f"{escape(photo.name)}, not restored yet"
        return f'<div class="waiting"><img src="{address(photo.source)}" alt="{alt}"></div>'
    if made is None:
        text = f"There is no result for {photo.name}." if photo.error else f"{photo.name} is not restored yet."
        return f'<div class="empty"><p>{escape(text)}</p></div>'
    height, width = made.size
    name = escape(photo.name)
    return f"""<figure class="compare" style="--ratio: {width / height:.4f}; aspect-ratio: {width} / {height}">
<img src="{address(made.before)}" alt="{name} before">
<img src="{address(made.after)}" alt="{name} restored" class="after">
<span class="tag before" aria-hidden="true">Before</span><span class="tag" aria-hidden="true">After</span>
<input type="range" min="0" max="100" value="50" aria-label="Comparison: how much of the photo is shown as it was">
</figure>"""


def is_shown_by_browsers(photo: Photo) -> bool:
    """Whether a photo that is not restored can be shown as it is."""
    return not photo.error and photo.source.suffix.lower() in SHOWN_BY_BROWSERS


def summary(photo: Photo) -> str:
    """The outcome of a photo, in a sentence or two."""
    made = photo.restored
    if made is None:
        return ""
    count, restored = (
        len(made.faces),
        sum(face.status is FaceStatus.RESTORED and face.strength > 0 for face in made.faces),
    )
    if not count:
        text = f"No face was found in {photo.name}. A larger scan may help."
    else:
        text = f"{photo.name}: {counted(count, 'face')} found, {restored} restored."
    changed = [face.change for face in made.faces if face.strength > 0]
    if changed and max(changed) < LITTLE_CHANGE:
        text += " There was little to restore."
    if made.warnings:
        text += f" Its file is damaged: {'; '.join(made.warnings)}."
    if made.left_out:
        text += f" Not in the result: {', '.join(made.left_out)}."
    return text


def numbered(made: RestoredFile) -> str:
    """The photo with its faces in numbered boxes."""
    return f'<img src="{address(made.numbered)}" class="numbered" alt="The photo with its faces in numbered boxes">'


def face(made: RestoredFile, number: int) -> str:
    """A face before and after, or why it was not restored."""
    crop, found = made.crops[number], made.faces[number]
    if crop is None:
        return (
            f"<p>Face {number}: {escape(str(found.status))}{f' ({escape(found.reason)})' if found.reason else ''}</p>"
        )
    return f'<img src="{address(crop)}" class="face" alt="Face {number} before and after">'


def counted(count: int, noun: str) -> str:
    """``1 face``, ``2 faces``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
