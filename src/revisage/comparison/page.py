"""A comparison as one HTML page with sliders: images inlined, nothing loaded from elsewhere."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from io import BytesIO
from string import Template

from PIL import Image

from revisage.comparison.versions import Row
from revisage.evaluation.metrics.image import RGB8

QUALITY = 90
"""Of the JPEG images in the page."""


def render_page(title: str, labels: Sequence[str], rows: Sequence[Row]) -> str:
    """Render the page of a title, the labels of versions, and rows of as many images of one size each."""
    template = Template((files("revisage.comparison") / "page.html").read_text(encoding="utf-8"))
    figures = "\n".join(_figure(index, labels, row) for index, row in enumerate(rows))
    page = template.substitute(title=escape(title), figures=figures)
    return page.encode("utf-8", "replace").decode()  # names of files may hold what is no text


def _figure(index: int, labels: Sequence[str], row: Row) -> str:
    """A row: its images on top of one another, a slider, and which two are shown if there are more."""
    height, width = row.images[0].shape[:2]
    last = len(labels) - 1
    name, first, second = escape(row.name), escape(labels[0]), escape(labels[last])
    shown = {0: ' class="left"', last: ' class="right"'}
    images = "\n".join(
        f'<img{shown.get(number, "")} src="{_data_url(image)}" alt="{name}: {escape(label)}" width="{width}"'
        f' height="{height}" draggable="false">'
        for number, (label, image) in enumerate(zip(labels, row.images, strict=True))
    )
    choices = "".join(_choice(index, side, labels, chosen) for side, chosen in (("left", 0), ("right", last)))
    return f"""<figure>
<figcaption>{name}</figcaption>
<div class="view" style="aspect-ratio: {width} / {height}; max-width: {width}px">
{images}
<input type="range" min="0" max="100" step="0.5" value="50" aria-label="{name}: divider between the two versions">
<span class="bar"></span><span class="tag left">{first}</span><span class="tag right">{second}</span>
</div>
{choices if last > 1 else ""}</figure>"""


def _choice(index: int, side: str, labels: Sequence[str], chosen: int) -> str:
    """Radio buttons for the version on one side."""
    buttons = "".join(
        f'<label><input type="radio" name="{side}-{index}" value="{number}"{" checked" * (number == chosen)}>'
        f"<span>{escape(label)}</span></label>"
        for number, label in enumerate(labels)
    )
    return f'<fieldset data-side="{side}"><legend>{side}</legend>{buttons}</fieldset>\n'


def _data_url(image: RGB8) -> str:
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode()}"
