"""From what a network makes of a face to what is pasted: grain, strength by region, and the guard of the identity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from revisage.errors import MissingWeightsError
from revisage.restore.controls import Controls, IdentityAction
from revisage.restore.grain import with_grain
from revisage.restore.regions import strength_map
from revisage.types import FloatImage

STEPS = 8
"""Shares of the strength that the guard tries: 8/8, 7/8, ... 1/8."""

Parse = Callable[[Sequence[FloatImage]], NDArray[np.uint8]]
"""See ``Restorer.parse``."""
Describe = Callable[[Sequence[FloatImage]], NDArray[np.float32]]
"""See ``Restorer.describe``."""


@dataclass(frozen=True, slots=True, eq=False)
class Moderated:
    """How far a face is restored.

    Attributes:
        full: (S, S, 3) float32 in [0, 1], the face at strength 1.
        share: how much of it is taken: a number in [0, 1], or (S, S, 1) for each pixel; 0 leaves the face as it is.
        strength: the strength that this comes to where no region has one of its own.
        identity: cosine to the face before, None if nobody asked.
        reason: why the face is left as it is, else "".
    """

    full: FloatImage
    share: FloatImage | float
    strength: float
    identity: float | None = None
    reason: str = ""

    def over(self, before: FloatImage) -> FloatImage:
        """The restored face mixed with what was there before; both (S, S, 3) in [0, 1]."""
        return mix(before, self.full, self.share)

    def less(self, factor: float) -> Moderated:
        """The same with all strengths times ``factor``."""
        return replace(self, share=np.float32(factor) * self.share, strength=factor * self.strength)


def moderate(
    befores: Sequence[FloatImage],
    afters: Sequence[FloatImage],
    magnifications: Sequence[float],
    controls: Controls,
    parse: Parse | None = None,
    describe: Describe | None = None,
) -> list[Moderated]:
    """Say how far faces are restored.

    The grain comes back before the strengths act. Then the two faces that are mixed have the same grain, and so has the
    result at every strength.

    Args:
        befores: aligned faces (S, S, 3) float32 in [0, 1].
        afters: the same, as the network restores them.
        magnifications: pixels of each crop that a pixel of its photo fills.
        controls: what was chosen.
        parse: finds the regions; None takes them to be where the alignment template has them.
        describe: tells identities; must be there if ``controls.min_identity`` is.

    Raises:
        MissingWeightsError: an identity is asked for, but there is no ``describe``.
    """
    triples = zip(befores, afters, magnifications, strict=True)
    full = [with_grain(before, after, controls.keep_grain, ratio) for before, after, ratio in triples]
    shares = _shares(full, controls, parse)
    faces = [Moderated(crop, share, controls.strength) for crop, share in zip(full, shares, strict=True)]
    if controls.min_identity is None or not faces:
        return faces
    return _guarded(befores, faces, controls.min_identity, controls.identity_action, needed(describe))


def _shares(afters: Sequence[FloatImage], controls: Controls, parse: Parse | None) -> list[FloatImage | float]:
    if not controls.regions or not afters:
        return [controls.strength] * len(afters)
    labels = [None] * len(afters) if parse is None else list(parse(afters))
    return [
        strength_map(len(after), controls.strength, controls.regions, found)
        for after, found in zip(afters, labels, strict=True)
    ]


def _guarded(
    befores: Sequence[FloatImage], faces: Sequence[Moderated], least: float, action: str, describe: Describe
) -> list[Moderated]:
    """The faces; those that would be less than ``least`` like themselves are held back."""
    origins = describe(befores)
    asked = describe([face.over(before) for before, face in zip(befores, faces, strict=True)])
    likeness = np.sum(origins * asked, axis=1).clip(-1, 1).tolist()
    results: list[Moderated] = []
    for before, face, origin, value in zip(befores, faces, origins, likeness, strict=True):
        if value >= least:
            results.append(replace(face, identity=value))
            continue
        milder = _milder(before, face, origin, least, describe) if action == IdentityAction.REDUCE else None
        reason = f"restoring would change the face: likeness {value:z.3f}, below {least:.3f}"
        results.append(milder or replace(face.less(0.0), identity=value, reason=reason))
    return results


def _milder(
    before: FloatImage, face: Moderated, origin: NDArray[np.float32], least: float, describe: Describe
) -> Moderated | None:
    """The face at the largest share of its strength, below all, at which it is like itself; None if there is none."""
    tries = [face.less(step / STEPS) for step in range(STEPS - 1, 0, -1)]
    likeness = (describe([one.over(before) for one in tries]) @ origin).clip(-1, 1).tolist()
    pairs = zip(tries, likeness, strict=True)
    return next((replace(one, identity=value) for one, value in pairs if value >= least), None)


def mix(before: FloatImage, after: FloatImage, strength: FloatImage | float) -> FloatImage:
    """``before`` at strength 0, ``after`` at 1, linear between; a number, or (S, S, 1) for each pixel."""
    return np.asarray(before + np.asarray(strength, np.float32) * (after - before), np.float32)


def needed(describe: Describe | None) -> Describe:
    """``describe`` itself.

    Raises:
        MissingWeightsError: it is None.
    """
    if describe is None:
        raise MissingWeightsError("telling identities needs an identity network: name one, revisage.load(identity=...)")
    return describe
