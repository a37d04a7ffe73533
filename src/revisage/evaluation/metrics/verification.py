"""How well similarities of faces tell the same one from another: ROC area, equal-error rate, thresholds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Similarities = NDArray[np.float64]


def roc_auc(same: ArrayLike, different: ArrayLike) -> float:
    """Probability that a pair of the same face is more similar than one of different faces; equal ones count half.

    Raises:
        ValueError: there are none of one kind.
    """
    good, bad = _sorted(same), _sorted(different)
    below, to = (np.searchsorted(bad, good, side) for side in ("left", "right"))
    return float((below + to).mean() / (2 * len(bad)))


def equal_error(same: ArrayLike, different: ArrayLike) -> tuple[float, float]:
    """The threshold at which as many pairs of the same face fail as pairs of different faces pass -> (rate, threshold).

    A pair passes if it is at least as similar as the threshold. Where no threshold makes the rates equal, the one that
    comes nearest is taken, and the mean of the two rates.

    Raises:
        ValueError: there are none of one kind.
    """
    good, bad = _sorted(same), _sorted(different)
    thresholds = np.concatenate([good, bad])
    fail = np.searchsorted(good, thresholds, "left") / len(good)
    passing = 1 - np.searchsorted(bad, thresholds, "left") / len(bad)
    best = int(np.abs(fail - passing).argmin())
    return float((fail[best] + passing[best]) / 2), float(thresholds[best])


def threshold_at(different: ArrayLike, rate: float) -> float:
    """The similarity that a share ``rate`` of the pairs of different faces reaches.

    Raises:
        ValueError: there are none.
    """
    return float(np.quantile(_sorted(different), 1 - rate))


def verification(same: ArrayLike, different: ArrayLike) -> dict[str, float]:
    """All figures: ``auc``, ``eer``, ``threshold_1`` (of one per cent), means ``same`` and ``different``."""
    return {
        "auc": roc_auc(same, different),
        "eer": equal_error(same, different)[0],
        "threshold_1": threshold_at(different, 0.01),
        "same": float(_sorted(same).mean()),
        "different": float(_sorted(different).mean()),
    }


def _sorted(values: ArrayLike) -> Similarities:
    array = np.sort(np.asarray(values, np.float64).ravel())
    if not array.size:
        raise ValueError("no pairs to compare")
    return array
