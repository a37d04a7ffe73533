"""What the classic argument ``weight`` means here."""

from __future__ import annotations

from revisage.errors import InputError


def strength_of(weight: float) -> float:
    """The classic ``weight`` as a strength of restoration, 1 for all weights up to 0.5, then falling linearly to 0.

    ``weight`` came from CodeFormer, where 0 asks for quality and 1 for fidelity to the photo; GFPGAN took it and did
    nothing with it. The direction is CodeFormer's. Callers who never chose have always sent 0.5 and got the full
    restoration: they still do. There is no more than full, so the weights below 0.5 are full as well.

    Args:
        weight: 0 to 1.

    Returns:
        1 (restore fully) to 0 (leave the face alone).

    Raises:
        InputError: ``weight`` is out of range.
    """
    if not 0 <= weight <= 1:
        raise InputError(f"weight must be between 0 (quality) and 1 (fidelity to the photo), not {weight:g}")
    return min(2 - 2 * weight, 1.0)
