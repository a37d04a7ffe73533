"""All metrics of single images: one literal table, whose rows say what they need and how they are computed."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Literal, TypeAlias

from revisage.evaluation.metrics import faces, niqe
from revisage.evaluation.metrics.image import RGB8, psnr, ssim

Metrics: TypeAlias = dict[str, float]
"""Name of the metric -> value."""
Extract: TypeAlias = Callable[[Sequence[RGB8]], Sequence[Any]]
"""Images of one size -> what is compared of each: features, landmarks, or the image itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Files and functions behind metrics; a metric whose source is None is left out.

    Attributes:
        features: VGG16 weights, see :func:`revisage.evaluation.metrics.networks.read_vgg16`.
        channel_weights: the published linear weights of LPIPS, for the published VGG16 only.
        descriptor, arcface: weights of dlib's face descriptor and of GFP-GAN's ArcFace.
        niqe: parameters of NIQE.
        landmarks: finds five points in an aligned crop.
    """

    features: Path | None = None
    channel_weights: Path | None = None
    descriptor: Path | None = None
    arcface: Path | None = None
    niqe: Path | None = None
    landmarks: faces.FindLandmarks | None = None


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric.

    Attributes:
        name: its key in every result.
        better: direction in which a restoration should move it.
        meaning: one line, with the unit if it has one.
        needs: attributes of :class:`Sources` that must be given.
        extractor: (sources, device) -> what is compared; reads files once, for all metrics that name it.
        compare: (extract of the image, extract of the original) -> value.
    """

    name: str
    better: Literal["higher", "lower"]
    meaning: str
    needs: tuple[str, ...]
    extractor: Callable[[Any, Any], Extract]
    compare: Callable[[Any, Any], float]


def _images(*_: Any) -> Extract:
    return list


def _vgg16(sources: Any, device: Any) -> Extract:
    """(features, weights of channels) of the whole image."""
    from revisage.evaluation.metrics import networks

    network = networks.read_vgg16(sources.features).to(device)
    weights = networks.read_channel_weights(sources.channel_weights)
    return lambda images: [(stages, weights) for stages in networks.vgg_features(network, images)]


def _lpips(image: Any, gt: Any) -> float:
    from revisage.evaluation.metrics import perceptual

    return float(perceptual.lpips(image[0], *gt))


def _face(sources: Any, device: Any) -> Extract:
    from revisage.evaluation.metrics import networks, perceptual

    network = networks.read_vgg16(sources.features).to(device)
    return lambda images: networks.vgg_features(network, [perceptual.face_region(image) for image in images])


def _vgg_cosine(image: Any, gt: Any) -> float:
    from revisage.evaluation.metrics import perceptual

    return float(perceptual.vgg_cosine(image, gt))


def _descriptor(sources: Any, device: Any) -> Extract:
    from revisage.evaluation.metrics import networks

    return lru_cache(partial(networks.describe_faces, networks.read_descriptor(sources.descriptor).to(device)))


def _arcface(sources: Any, device: Any) -> Extract:
    from revisage.evaluation.metrics import networks

    return lru_cache(partial(networks.embed_faces, networks.read_arcface(sources.arcface).to(device)))


def _niqe(sources: Any, _: Any) -> Extract:
    """Functions of no arguments: the original's NIQE is not asked for."""
    model = niqe.read_model(sources.niqe)
    return lambda images: [partial(niqe.niqe, image, model) for image in images]


def _landmarks(sources: Any, _: Any) -> Extract:
    """(5, 2) points, in pixels of a crop of 512, or None."""

    def extract(images: Sequence[RGB8]) -> Sequence[Any]:
        found = map(sources.landmarks, images)
        return [
            None if points is None else points * 512 / len(image) for points, image in zip(found, images, strict=True)
        ]

    return lru_cache(extract)


SPECS = (
    MetricSpec("psnr", "higher", "peak signal-to-noise ratio over R, G, B, dB", (), _images, psnr),
    MetricSpec("ssim", "higher", "structural similarity, mean over R, G, B", (), _images, ssim),
    MetricSpec("psnr_y", "higher", "PSNR of the BT.601 luma, dB", (), _images, partial(psnr, luma=True)),
    MetricSpec("ssim_y", "higher", "SSIM of the BT.601 luma", (), _images, partial(ssim, luma=True)),
    MetricSpec(
        "lpips",
        "lower",
        "learned perceptual distance of the whole image",
        ("features", "channel_weights"),
        _vgg16,
        _lpips,
    ),
    MetricSpec(
        "vgg_cosine", "lower", "1 - cosine of VGG16 features, face region; not LPIPS", ("features",), _face, _vgg_cosine
    ),
    MetricSpec(
        "id_cos", "lower", "cosine distance of face descriptors", ("descriptor",), _descriptor, faces.cosine_distance
    ),
    MetricSpec(
        "id_l2",
        "lower",
        "Euclidean distance of face descriptors; one person: below 0.6",
        ("descriptor",),
        _descriptor,
        faces.euclidean_distance,
    ),
    MetricSpec(
        "arcface_angle", "lower", "angle between ArcFace embeddings, degrees", ("arcface",), _arcface, faces.angle
    ),
    MetricSpec("niqe", "lower", "naturalness without the original", ("niqe",), _niqe, lambda image, _: image()),
    MetricSpec(
        "landmark_error_px",
        "lower",
        "mean distance of five landmarks, pixels at 512",
        ("landmarks",),
        _landmarks,
        partial(faces.landmark_error, size=512),
    ),
)
"""All metrics of single images, in the order in which they are reported."""


def mean_metrics(rows: Sequence[Mapping[str, float]]) -> tuple[Metrics, dict[str, int]]:
    """Average over images: name -> mean of the finite values (nan if there are none), name -> number of the others.

    All rows have the same names.
    """
    mean: Metrics = {}
    undefined: dict[str, int] = {}
    for name in rows[0] if rows else ():
        finite = [row[name] for row in rows if math.isfinite(row[name])]
        mean[name] = math.fsum(finite) / len(finite) if finite else math.nan
        if len(finite) < len(rows):
            undefined[name] = len(rows) - len(finite)
    return mean, undefined


def lru_cache(function: Extract, size: int = 1024) -> Extract:
    """Keep the last ``size`` results of a function of images, which are told apart by shape and content.

    Originals come again with every degradation and every validation. Threads may share the result.
    """
    results: OrderedDict[bytes, Any] = OrderedDict()
    lock = Lock()

    def cached(images: Sequence[RGB8]) -> Sequence[Any]:
        keys = [hashlib.blake2b(image.tobytes(), salt=image.shape[0].to_bytes(8, "big")).digest() for image in images]
        with lock:
            found = {key: results[key] for key in keys if key in results}
        new = {key: image for key, image in zip(keys, images, strict=True) if key not in found}
        if new:  # outside the lock: two threads may both compute a result, which harms nothing
            found |= zip(new, function([*new.values()]), strict=True)
        with lock:
            for key in keys:
                results[key] = found[key]
                results.move_to_end(key)
            while len(results) > size:
                results.popitem(last=False)
        return [found[key] for key in keys]

    return cached
