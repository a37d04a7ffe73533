"""Questions to the shapes of a state dict."""

from __future__ import annotations

from collections.abc import Mapping

Shapes = Mapping[str, tuple[int, ...]]
"""Key of a state dict -> shape of the tensor."""


def numbers(shapes: Shapes, prefix: str) -> list[int]:
    """Which numbers follow a prefix, ascending: ``body.0.weight``, ``body.2.weight`` -> 0, 2 for ``body.``."""
    parts = {key.removeprefix(prefix).split(".")[0] for key in shapes if key.startswith(prefix)}
    return sorted(int(part) for part in parts if part.isdecimal())


def count(shapes: Shapes, prefix: str) -> int:
    """How many numbered parts follow a prefix."""
    return len(numbers(shapes, prefix))
