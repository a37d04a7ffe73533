"""Fréchet distance between sets of images, by the mean and covariance of their features (Heusel et al. 2017).

With the features of :class:`~revisage.models.nets.inception.InceptionV3` it is the FID (arXiv 1706.08500, equation 6);
with any others it must be called something else. A thousand images are few for it: small sets come out too large.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from revisage.errors import CheckpointError, InputError, MissingWeightsError
from revisage.evaluation.arrays import read_arrays
from revisage.models.torch_pickle import Allowed, unpickle

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean (D,) and unbiased covariance (D, D) of a set of feature vectors, float64."""

    mean: Floats
    covariance: Floats

    def __post_init__(self) -> None:
        size = len(self.mean)
        if self.mean.shape != (size,) or self.covariance.shape != (size, size):
            raise InputError(f"a mean {self.mean.shape} does not go with a covariance {self.covariance.shape}")


def statistics(features: Iterable[NDArray[np.floating]]) -> Statistics:
    """Mean and covariance of feature vectors (D,), which may come one by one (InputError: fewer than two)."""
    vectors = iter(features)
    try:
        # Sums of squares lose digits where the mean is large; the first vector is near enough to it.
        origin = np.asarray(next(vectors), np.float64)
    except StopIteration:
        raise InputError("statistics need at least two images, got none") from None
    count, total, products = 1, np.zeros_like(origin), np.zeros((len(origin), len(origin)))
    for vector in vectors:
        difference = np.asarray(vector, np.float64) - origin
        count += 1
        total += difference
        products += np.outer(difference, difference)
    if count < 2:
        raise InputError("statistics need at least two images, got one")
    mean = total / count
    return Statistics(origin + mean, (products - count * np.outer(mean, mean)) / (count - 1))


def frechet_distance(a: Statistics, b: Statistics) -> float:
    """Squared Fréchet (2-Wasserstein) distance of two normal distributions (Dowson and Landau 1982).

    ``|m_a - m_b|^2 + tr(A + B - 2 (A B)^(1/2))``. A B has the eigenvalues of the symmetric ``A^(1/2) B A^(1/2)``, so
    the trace of its root is the sum of their roots; covariances of few images, which have no inverse, are fine
    (InputError: features of two lengths).
    """
    if a.mean.shape != b.mean.shape:
        raise InputError(f"features of length {len(a.mean)} and {len(b.mean)} cannot be compared")
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ b.covariance @ root)
    overlap = np.sqrt(np.maximum(product, 0)).sum()  # rounding makes zeros slightly negative
    spread = np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap
    return float(max(np.sum((a.mean - b.mean) ** 2) + spread, 0.0))


def read_statistics(path: Path) -> Statistics:
    """Read statistics: ``.npz`` with mu and sigma, or ``.pth`` with mean and cov (as BasicSR's files for FFHQ are).

    MissingWeightsError: there is no such file. CheckpointError: it holds something else, or entries that are no
    numbers.
    """
    if not path.is_file():
        raise MissingWeightsError(f"no feature statistics at {path}")
    npz = path.suffix.lower() == ".npz"
    content = read_arrays(path) if npz else unpickle(path, _NUMPY_ARRAYS)
    try:
        mean, covariance = (
            np.asarray(content[name], np.float64) for name in (("mu", "sigma") if npz else ("mean", "cov"))
        )
        return Statistics(mean, covariance)
    except (KeyError, ValueError, TypeError, InputError) as error:
        raise CheckpointError(f"{path} does not hold feature statistics: {error}") from error


def _number_type(code: str, *_: object) -> np.dtype[Any]:
    """A number dtype; NumPy's own function would also make dtypes of a gigabyte, or of objects."""
    return np.dtype({"f8": "f8", "f4": "f4"}[code])


_REBUILD: Any = np.zeros(1).__reduce__()[0]
_SCALAR: Any = np.float64(0).__reduce__()[0]
_NUMPY_ARRAYS: Allowed = (
    *((np.ndarray, "numpy.ndarray"), (_number_type, "numpy.dtype")),
    *((kind, f"numpy.dtypes.{kind.__name__}") for kind in (type(np.dtype("f4")), type(np.dtype("f8")))),
    *((_REBUILD, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
)
"""Names that a pickled array of numbers refers to, under NumPy's present and former module names."""
