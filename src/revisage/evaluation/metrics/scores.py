"""Which figures there are for a restored picture, and the :class:`Scorer` that takes all of them. One literal table."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import torch

from revisage.errors import InputError
from revisage.evaluation.metrics import identity, lpips, networks, niqe
from revisage.evaluation.metrics.image import RGB8, psnr, ssim
from revisage.evaluation.metrics.landmarks import FindLandmarks, landmark_distance
from revisage.images.pixels import to_float, to_tensor
from revisage.models.nets.vgg import VGG16Features

T = TypeVar("T")
Measure: TypeAlias = Callable[[RGB8, RGB8], tuple[float, ...]]
"""(restored, gt) -> figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What figures are made with besides the two pictures; a figure whose source is None is left out.

    Attributes:
        features: VGG16 weights, see :func:`revisage.evaluation.metrics.networks.read_vgg16`.
        channel_weights: the published linear weights of LPIPS, for the published VGG16 only.
        descriptor: weights of the identity descriptor.
        arcface: weights of the ArcFace network that "Deg" is measured with.
        niqe: parameters of NIQE.
        landmarks: finds five points in an aligned crop.
    """

    features: Path | None = None
    channel_weights: Path | None = None
    descriptor: Path | None = None
    arcface: Path | None = None
    niqe: Path | None = None
    landmarks: FindLandmarks | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure.

    Attributes:
        name: its key in every result.
        better: which way a restoration should move it.
        meaning: one line, with the unit if it has one.
    """

    name: str
    better: Literal["higher", "lower"]
    meaning: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """Figures that come out of one computation.

    Attributes:
        metrics: in the order of what is measured.
        needs: attributes of :class:`Sources` that must be given.
        build: reads the files once and returns the measure.
    """

    metrics: tuple[Metric, ...]
    needs: tuple[str, ...]
    build: Callable[[Sources], Measure]


class Remembered(Generic[T]):
    """A function of a picture that keeps its last results; equal pictures are one. Threads may share it.

    Args:
        function: picture -> result.
        size: how many results to keep.
    """

    def __init__(self, function: Callable[[RGB8], T], size: int) -> None:
        self._function = function
        self._size = size
        self._results: OrderedDict[bytes, T] = OrderedDict()
        self._lock = Lock()

    def __call__(self, picture: RGB8) -> T:
        """The result for (H, W, 3) uint8, computed or remembered."""
        key = hashlib.blake2b(picture.tobytes(), salt=picture.shape[0].to_bytes(8, "big")).digest()
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                return self._results[key]
        result = self._function(picture)  # outside the lock: two threads may both compute it, which harms nothing
        with self._lock:
            self._results[key] = result
            if len(self._results) > self._size:
                self._results.popitem(last=False)
        return result


def _pixels(function: Callable[..., float], luma: bool = False) -> Callable[[Sources], Measure]:
    return lambda _: lambda restored, gt: (function(restored, gt, luma=luma),)


def _lpips(sources: Sources) -> Measure:
    network = networks.read_vgg16(_path(sources.features))
    weights = networks.read_channel_weights(_path(sources.channel_weights))
    return _perceptual(network, lambda picture: picture, weights)


def _lpips_equal(sources: Sources) -> Measure:
    network = networks.read_vgg16(_path(sources.features))
    return _perceptual(network, lpips.face_region, None)


def _perceptual(
    network: VGG16Features, region: Callable[[RGB8], RGB8], weights: Sequence[torch.Tensor] | None
) -> Measure:
    def features(picture: RGB8) -> list[torch.Tensor]:
        with torch.inference_mode():
            return lpips.unit_features(network, to_tensor([to_float(region(picture))]))

    of_gt = Remembered(features, 1)  # 50 MB; the input and its restoration follow each other
    return lambda restored, gt: (float(lpips.distance(features(restored), of_gt(gt), weights)),)


def _descriptor(sources: Sources) -> Measure:
    network = networks.read_descriptor(_path(sources.descriptor))
    of_gt = Remembered(lambda picture: identity.describe(network, picture), 1024)

    def measure(restored: RGB8, gt: RGB8) -> tuple[float, float]:
        mine, theirs = identity.describe(network, restored), of_gt(gt)
        return identity.cosine_distance(mine, theirs), identity.euclidean_distance(mine, theirs)

    return measure


def _arcface(sources: Sources) -> Measure:
    network = networks.read_arcface(_path(sources.arcface))
    of_gt = Remembered(lambda picture: identity.embed(network, picture), 1024)
    return lambda restored, gt: (identity.angle(identity.embed(network, restored), of_gt(gt)),)


def _niqe(sources: Sources) -> Measure:
    model = niqe.read_model(_path(sources.niqe))
    return lambda restored, _: (niqe.niqe(restored, model),)


def _landmarks(sources: Sources) -> Measure:
    assert sources.landmarks is not None
    find = sources.landmarks
    of_gt = Remembered(find, 1024)
    return lambda restored, gt: (landmark_distance(find(restored), of_gt(gt), gt.shape[0]),)


MEASUREMENTS: tuple[Measurement, ...] = (
    Measurement((Metric("psnr", "higher", "peak signal-to-noise ratio over R, G, B, dB"),), (), _pixels(psnr)),
    Measurement((Metric("ssim", "higher", "structural similarity, mean over R, G, B"),), (), _pixels(ssim)),
    Measurement((Metric("psnr_y", "higher", "PSNR of the BT.601 luma, dB"),), (), _pixels(psnr, luma=True)),
    Measurement((Metric("ssim_y", "higher", "SSIM of the BT.601 luma"),), (), _pixels(ssim, luma=True)),
    Measurement(
        (Metric("lpips", "lower", "learned perceptual distance of the whole picture"),),
        ("features", "channel_weights"),
        _lpips,
    ),
    Measurement(
        (Metric("lpips_equal", "lower", "perceptual distance of the face region, all channels alike; not LPIPS"),),
        ("features",),
        _lpips_equal,
    ),
    Measurement(
        (
            Metric("id_cos", "lower", "cosine distance of identity descriptors"),
            Metric("id_l2", "lower", "Euclidean distance of identity descriptors; one person: below 0.6"),
        ),
        ("descriptor",),
        _descriptor,
    ),
    Measurement((Metric("deg", "lower", "angle between ArcFace embeddings, degrees"),), ("arcface",), _arcface),
    Measurement((Metric("niqe", "lower", "naturalness without the original"),), ("niqe",), _niqe),
    Measurement(
        (Metric("lmd", "lower", "mean shift of five landmarks, pixels at 512"),),
        ("landmarks",),
        _landmarks,
    ),
)
METRICS: Mapping[str, Metric] = {
    metric.name: metric for measurement in MEASUREMENTS for metric in measurement.metrics
} | {"fid": Metric("fid", "lower", "Fréchet inception distance of the whole set")}
"""All figures by name: those of single pictures, and ``fid``, which only a set has."""


class Scorer:
    """Takes all figures for which there are sources.

    What depends on the original alone is remembered, so that an input and its restoration, or the restorations of one
    training, cost less. Threads may share a scorer; sent to another process it reads its files again there.

    Args:
        sources: files and functions.
        only: names of the figures wanted; empty for all.

    Raises:
        InputError: there is no figure of such a name, or its source is missing.
        WeightsError: a file is missing or holds something else.
    """

    def __init__(self, sources: Sources, only: Iterable[str] = ()) -> None:
        self._arguments = sources, tuple(only)
        wanted = self._arguments[1]
        chosen = [m for m in MEASUREMENTS if not wanted or any(metric.name in wanted for metric in m.metrics)]
        possible = [m for m in chosen if not _missing(m, sources)]
        self.metrics = tuple(metric for m in possible for metric in m.metrics if not wanted or metric.name in wanted)
        """What is taken, in order."""
        self.left_out = {
            metric.name: tuple(_missing(m, sources)) for m in chosen if m not in possible for metric in m.metrics
        }
        """What is not taken -> attributes of :class:`Sources` that it would need."""
        known = [metric.name for m in MEASUREMENTS for metric in m.metrics]
        for name in wanted:
            if name not in known:
                raise InputError(f"no figure {name!r}; figures of single pictures are {', '.join(known)}")
            if name in self.left_out:
                raise InputError(f"{name} needs a file that is not given: {', '.join(self.left_out[name])}")
        self._measures = [(m.metrics, m.build(sources)) for m in possible]

    def __call__(self, restored: RGB8, gt: RGB8) -> dict[str, float]:
        """Compare aligned pictures of one face.

        Args:
            restored: (S, S, 3) uint8 RGB.
            gt: the original, of the same size.

        Returns:
            Name -> figure; nan where it is not defined (no landmarks found, say), inf for the PSNR of equal pictures.

        Raises:
            InputError: the sizes differ, or they are too small for one of the figures.
        """
        found: dict[str, float] = {}
        try:
            for metrics, measure in self._measures:
                found |= dict(zip((metric.name for metric in metrics), measure(restored, gt), strict=True))
        except ValueError as error:
            raise InputError(str(error)) from error
        return {metric.name: found[metric.name] for metric in self.metrics}

    def __reduce__(self) -> tuple[Any, ...]:
        return Scorer, self._arguments


def means(rows: Sequence[Mapping[str, float]]) -> tuple[dict[str, float], dict[str, int]]:
    """Average over pictures: name -> mean of the finite figures (nan if there are none), name -> how many were not.

    All rows have the same names.
    """
    mean: dict[str, float] = {}
    undefined: dict[str, int] = {}
    for name in rows[0] if rows else ():
        finite = [row[name] for row in rows if math.isfinite(row[name])]
        mean[name] = math.fsum(finite) / len(finite) if finite else math.nan
        if len(finite) < len(rows):
            undefined[name] = len(rows) - len(finite)
    return mean, undefined


def _missing(measurement: Measurement, sources: Sources) -> list[str]:
    return [name for name in measurement.needs if getattr(sources, name) is None]


def _path(path: Path | None) -> Path:
    assert path is not None  # ``needs`` has been looked at
    return path
