"""What an evaluation leaves behind: means, scores.json, scores.csv, a sheet to look at for each set."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from revisage.evaluation.examine import Figures, Row, eight_bit
from revisage.evaluation.metrics.fid import (
    Statistics,
    frechet_distance,
    inception_features,
    read_statistics,
    statistics,
)
from revisage.evaluation.metrics.image import RGB8
from revisage.evaluation.metrics.networks import read_inception
from revisage.evaluation.metrics.scores import METRICS, means
from revisage.evaluation.pairs import pictures
from revisage.files import atomic_write
from revisage.images import read_image, write_image

Embed: TypeAlias = Callable[[RGB8], NDArray[np.floating]]
"""Picture -> feature vector."""
Means: TypeAlias = dict[str, dict[str, Figures]]
"""Set -> version ("input", "restored") -> mean figures."""


@dataclass(eq=False)
class Set:
    """The rows of one set, as they come.

    Attributes:
        figures: version ("input", "restored") -> name of the face -> figures.
        samples: (H, 3 W, 3) rows of the sheet: degraded, restored, original.
        features: version -> feature vectors, and "gt" -> those of the originals if nothing else is the reference.
    """

    figures: dict[str, dict[str, Figures]] = field(default_factory=lambda: {})
    samples: list[RGB8] = field(default_factory=lambda: [])
    features: dict[str, list[NDArray[np.floating]]] = field(default_factory=lambda: {})


class Report:
    """Collects rows; keeps figures and features, and of the pictures only those on the sheets.

    Args:
        embed: features for the Fréchet distance; None: it is left out.
        reference: what the sets are compared with; None: the originals of each.
        samples: faces on a sheet.
    """

    def __init__(self, embed: Embed | None = None, reference: Statistics | None = None, samples: int = 8) -> None:
        self._embed = embed
        self._reference = reference
        self._samples = samples
        self._sets: dict[str, Set] = {}

    def add(self, row: Row) -> None:
        """Take in the next row."""
        kept = self._sets.setdefault(row.pair.set, Set())
        before, after, gt = row.pictures
        for version, figures in (("input", row.input), ("restored", row.restored)):
            if figures is not None:
                kept.figures.setdefault(version, {})[row.pair.name] = figures
        if self._embed is not None:
            for version, picture in (("input", before), ("restored", after), ("gt", gt)):
                if picture is not None and not (version == "gt" and self._reference):
                    kept.features.setdefault(version, []).append(self._embed(picture))
        shown = np.hstack([picture for picture in row.pictures if picture is not None])
        if len(kept.samples) < self._samples and (not kept.samples or kept.samples[0].shape == shown.shape):
            kept.samples.append(shown)

    def means(self) -> Means:
        """Set -> version -> mean figures, with the set's ``fid`` if features were asked for."""
        found: Means = {}
        for name, kept in self._sets.items():
            fids = self._frechet_distances(kept)
            found[name] = {
                version: means(list(rows.values()))[0] | ({"fid": fids[version]} if version in fids else {})
                for version, rows in kept.figures.items()
            }
        return found

    def write(self, folder: Path, **about: Any) -> Means:
        """Write scores.json, scores.csv (a line a version of each face and of the mean), and sheets/SET.jpg.

        Args:
            folder: where to; made as needed.
            about: further entries of scores.json, JSON values: the model's name, say.

        Returns:
            The means.

        Raises:
            OutputError: a file cannot be written.
        """
        found = self.means()
        with atomic_write(folder / "scores.json") as temporary:
            content = _finite({**about, **self._as_json(found)})
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
        with (
            atomic_write(folder / "scores.csv") as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            csv.writer(file).writerows(self._table(found))
        for name, kept in self._sets.items():
            write_image(folder / "sheets" / f"{name}.jpg", np.vstack(kept.samples))
        return found

    def _as_json(self, found: Means) -> dict[str, Any]:
        sets = {
            name: {
                "mean": found[name],
                "undefined": {version: means(list(rows.values()))[1] for version, rows in kept.figures.items()},
                "pictures": kept.figures,
            }
            for name, kept in self._sets.items()
        }
        return {"metrics": {name: asdict(METRICS[name]) for name in figure_names(found)}, "sets": sets}

    def _table(self, found: Means) -> Iterator[list[str]]:
        names = figure_names(found)
        yield ["set", "picture", "version", *names]
        for name, kept in self._sets.items():
            for version, rows in kept.figures.items():
                for picture, figures in [*rows.items(), ("mean", found[name][version])]:
                    yield [name, picture, version, *(_cell(figures.get(key)) for key in names)]

    def _frechet_distances(self, kept: Set) -> Figures:
        """Version -> distance from the reference; nan for a single picture."""
        versions = [version for version in kept.figures if version in kept.features]
        if any(len(kept.features[version]) < 2 for version in versions):
            return dict.fromkeys(versions, math.nan)
        reference = self._reference or (statistics(kept.features["gt"]) if versions else None)
        return (
            {}
            if reference is None
            else {version: frechet_distance(reference, statistics(kept.features[version])) for version in versions}
        )


def figure_names(found: Means) -> list[str]:
    """All figures of all sets, in order."""
    return list(dict.fromkeys(name for versions in found.values() for mean in versions.values() for name in mean))


def fid_measure(inception: Path | None, reference: Path | None) -> tuple[Embed | None, Statistics | None]:
    """What a :class:`Report` needs for the FID, from files.

    Args:
        inception: weights of InceptionV3; None: no FID.
        reference: statistics (``.npz``, ``.pth``) or a folder of pictures; None: the originals.

    Raises:
        WeightsError: a file is missing or holds something else.
        InputError: the folder holds fewer than two pictures.
    """
    if inception is None:
        return None, None
    network = read_inception(inception)

    def embed(picture: RGB8) -> NDArray[np.floating]:
        return inception_features(network, picture)

    if reference is None or not reference.is_dir():
        return embed, None if reference is None else read_statistics(reference)
    return embed, statistics(embed(eight_bit(read_image(path))) for path in pictures(reference).values())


def _cell(figure: float | None) -> str:
    return "" if figure is None or math.isnan(figure) else f"{figure:.6g}"


def _finite(value: Any) -> Any:
    """The same JSON value with null for what JSON has no number for."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
