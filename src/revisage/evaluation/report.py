"""The report of an evaluation: means, scores.json, scores.csv, and an image grid of each set to look at."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from revisage.evaluation.evaluator import Row
from revisage.evaluation.metrics import SPECS, Metrics, mean_metrics
from revisage.evaluation.metrics.faces import Floats
from revisage.evaluation.metrics.fid import Statistics, frechet_distance, read_statistics, statistics
from revisage.evaluation.metrics.image import RGB8
from revisage.evaluation.pairs import list_images, to_uint8
from revisage.files import atomic_write
from revisage.images import read_image, write_image

Embed: TypeAlias = Callable[[Sequence[RGB8]], Sequence[Floats]]
"""Images of one size -> a feature vector each."""
Means: TypeAlias = dict[str, dict[str, Metrics]]
"""Set -> version ("input", "restored") -> mean metrics."""
MEANINGS = {spec.name: {"name": spec.name, "better": spec.better, "meaning": spec.meaning} for spec in SPECS}
MEANINGS["fid"] = {"name": "fid", "better": "lower", "meaning": "Fréchet inception distance of the whole set"}


@dataclass(eq=False)
class Set:
    """The rows of one set, as they come.

    Attributes:
        rows: version ("input", "restored") -> name of the face -> metrics.
        samples: (H, 3 W, 3) rows of the grid: degraded, restored, original.
        features: version -> feature vectors, and "gt" -> those of the originals if nothing else is the reference.
    """

    rows: dict[str, dict[str, Metrics]] = field(default_factory=lambda: {})
    samples: list[RGB8] = field(default_factory=lambda: [])
    features: dict[str, list[Floats]] = field(default_factory=lambda: {})


class Report:
    """Collects rows; keeps metrics and features, and only the ``samples`` images of each set that the grids show.

    ``embed`` extracts features for the Fréchet distance to ``reference``, by default to the originals of each set.
    """

    def __init__(self, embed: Embed | None = None, reference: Statistics | None = None, samples: int = 8) -> None:
        self._embed = embed
        self._reference = reference
        self._samples = samples
        self._sets: dict[str, Set] = {}

    def add(self, row: Row) -> None:
        """Take in the next row."""
        kept = self._sets.setdefault(row.pair.set, Set())
        for version, metrics in (("input", row.input), ("restored", row.restored)):
            if metrics is not None:
                kept.rows.setdefault(version, {})[row.pair.name] = metrics
        images = {name: i for name, i in zip(("input", "restored", "gt"), row.images, strict=True) if i is not None}
        shown = np.hstack([*images.values()])
        if len(kept.samples) < self._samples and (not kept.samples or kept.samples[0].shape == shown.shape):
            kept.samples.append(shown)
        if self._embed is not None:
            if self._reference:
                del images["gt"]
            for version, vector in zip(images, self._embed([*images.values()]), strict=True):
                kept.features.setdefault(version, []).append(vector)

    def rows(self) -> dict[str, dict[str, dict[str, Metrics]]]:
        """Set -> version -> name of the image -> metrics."""
        return {name: kept.rows for name, kept in self._sets.items()}

    def means(self) -> Means:
        """Set -> version -> mean metrics, with the set's ``fid`` if features were asked for."""
        return {
            name: {
                version: mean_metrics([*rows.values()])[0] | self._fid(kept, version)
                for version, rows in kept.rows.items()
            }
            for name, kept in self._sets.items()
        }

    def _fid(self, kept: Set, version: str) -> Metrics:
        """Distance from the reference; nan for a single image; nothing without features."""
        if self._embed is None:
            return {}
        vectors = kept.features[version]
        if len(vectors) < 2:
            return {"fid": math.nan}
        return {"fid": frechet_distance(self._reference or statistics(kept.features["gt"]), statistics(vectors))}

    def write(self, folder: Path, **about: Any) -> Means:
        """Write scores.json, scores.csv (a line a version of each face and of the mean), grids/SET.jpg.

        ``about`` are further entries of scores.json, JSON values: the model's name, say. Returns the means.
        """
        means = self.means()
        sets = {
            name: {
                "mean": means[name],
                "undefined": {version: mean_metrics([*rows.values()])[1] for version, rows in kept.rows.items()},
                "images": kept.rows,
            }
            for name, kept in self._sets.items()
        }
        content = {**about, "metrics": {name: MEANINGS[name] for name in metric_names(means)}, "sets": sets}
        with atomic_write(folder / "scores.json") as temporary:
            temporary.write_text(json.dumps(finite(content), indent=1, ensure_ascii=False), encoding="utf-8")
        with (
            atomic_write(folder / "scores.csv") as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            csv.writer(file).writerows(self._table(means))
        for name, kept in self._sets.items():
            write_image(folder / "grids" / f"{name}.jpg", np.vstack(kept.samples))
        return means

    def _table(self, means: Means) -> Iterator[list[str]]:
        names = metric_names(means)
        yield ["set", "image", "version", *names]
        for name, kept in self._sets.items():
            for version, rows in kept.rows.items():
                for image, metrics in [*rows.items(), ("mean", means[name][version])]:
                    yield [name, image, version, *(_cell(metrics.get(key)) for key in names)]


def metric_names(means: Means) -> list[str]:
    """All metrics of all sets, in order."""
    return list(dict.fromkeys(name for versions in means.values() for mean in versions.values() for name in mean))


def fid_measure(
    inception: Path | None, reference: Path | None, device: Any = "cpu"
) -> tuple[Embed | None, Statistics | None]:
    """The first arguments of a :class:`Report` for the FID, from weights of InceptionV3 (None: no FID).

    The reference is a file of statistics (``.npz``, ``.pth``), or a folder of images, two at least; None: the
    originals.
    """
    if inception is None:
        return None, None
    from revisage.evaluation.metrics import networks

    embed = partial(networks.inception_features, networks.read_inception(inception).to(device))
    if reference is None or not reference.is_dir():
        return embed, None if reference is None else read_statistics(reference)
    return embed, statistics(embed([to_uint8(read_image(path))])[0] for path in list_images(reference).values())


def _cell(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.6g}"


def finite(value: Any) -> Any:
    """The same JSON value with null for what JSON has no number for."""
    if isinstance(value, Mapping):
        return {key: finite(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
