"""Pairs of a degraded and an original face that are there already: folders with partners by name, or a list."""

from __future__ import annotations

import copy
import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import model_validator

from revisage.errors import RecipeError
from revisage.evaluation.pairs import resize
from revisage.files import safe_read
from revisage.training.config import Strict
from revisage.training.data.crops import Crop
from revisage.training.data.degradations.steps import Degradation
from revisage.training.data.sources import FileSource, Names, Source, open_source
from revisage.types import FloatImage


class PairsSource(Strict):
    """Where pairs lie: ``gt`` and ``lq``, partners having one name below them, or a list; in YAML a path alone.

    Attributes:
        gt: originals, see ``Names``.
        lq: degraded images, of any size.
        file: CSV with the columns ``gt`` and ``lq``, paths that are relative to its folder.
    """

    gt: Names | None = None
    lq: Names | None = None
    file: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, values: object) -> object:
        return {"file": values} if isinstance(values, str | Path) else values

    @model_validator(mode="after")
    def _consistent(self) -> PairsSource:
        if (self.gt is None) != (self.lq is None) or (self.gt is None) == (self.file is None):
            raise ValueError("give gt and lq, or the path of a list")
        return self

    def open(self, name_prefixes: Sequence[str] = ("",)) -> Source:
        """The pairs as a source whose crops have ``lq``.

        RecipeError: a partner is missing, names do not tell which it is, or the list is none.
        """
        if self.gt is not None and self.lq is not None:
            gt, lq = open_source(self.gt, name_prefixes), open_source(self.lq, name_prefixes)
            return _Pairs(gt, lq, _find_partners(gt.names, lq.names, str(self.lq)))
        columns = _read_list(self.file or Path(), name_prefixes)
        gt, lq = (FileSource(paths, [path.stem for path in paths]) for paths in columns)
        return _Pairs(gt, lq, range(len(gt)))


class _Pairs:
    """Crops of one source with their partners in another, resized to the same size."""

    def __init__(self, gt: Source, lq: Source, partners: Sequence[int]) -> None:
        self._gt = gt
        self._lq = lq
        self._partners = partners
        self.names = gt.names

    def __len__(self) -> int:
        return len(self._gt)

    def __getitem__(self, index: int, /) -> Crop:
        crop, lq = self._gt[index], self._lq[self._partners[index]]
        side = len(crop.pixels)
        return Crop(crop.key, crop.pixels, resize(lq.pixels, side, side))


def degrade_pair(
    lq: FloatImage, gt: FloatImage, degradation: Degradation, rng: np.random.Generator
) -> tuple[FloatImage, FloatImage]:
    """Degrade ``lq`` further; what the degradation does to originals, such as gray, is done to ``gt`` as well."""
    same = copy.deepcopy(rng)
    return degradation(lq, rng)[0], degradation(gt, same)[1]


def _find_partners(gt: Sequence[str], lq: Sequence[str], place: str) -> list[int]:
    """Index of each original's partner; if both sides list the same names, that of its own place.

    RecipeError: a partner is missing, or a name that comes more than once does not tell which it is.
    """
    if list(gt) == list(lq):
        return list(range(len(gt)))
    indices = {name: index for index, name in enumerate(lq)}
    alone = [name for name in gt if name not in indices]
    if alone:
        raise RecipeError(f"pairs: {len(alone)} of {len(gt)} originals have no partner in {place}: {_first(alone)}")
    if left := sorted(indices.keys() - set(gt)):
        raise RecipeError(f"pairs: {len(left)} images of {place} have no original: {_first(left)}")
    originals, degraded = Counter(gt), Counter(lq)
    if (repeated := next((name for name in indices if max(originals[name], degraded[name]) > 1), None)) is not None:
        raise RecipeError(
            f"pairs: {repeated} is the name of {originals[repeated]} originals and of {degraded[repeated]} images of "
            f"{place}; names may come more than once only if both sides list the same names in the same order"
        )
    return [indices[name] for name in gt]


def _read_list(path: Path, name_prefixes: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """Paths of originals and of degraded images, row by row."""
    try:
        header, *rows = csv.reader(safe_read(path).decode("utf-8-sig").splitlines(), skipinitialspace=True)
        columns = header.index("gt"), header.index("lq")
        pairs = [(path.parent / row[columns[0]], path.parent / row[columns[1]]) for row in rows if row]
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}") from error
    except (csv.Error, IndexError, ValueError) as error:
        raise RecipeError(
            f"{path} is no list of pairs: a first line gt,lq and two paths a line are expected"
        ) from error
    pairs = [(gt, lq) for gt, lq in pairs if gt.name.startswith(tuple(name_prefixes))]
    if not pairs:
        raise RecipeError(f"{path} lists no pairs")
    if missing := [str(file) for pair in pairs for file in pair if not file.is_file()]:
        raise RecipeError(f"{path} lists {len(missing)} files that are not there: {_first(missing)}")
    return [gt for gt, _ in pairs], [lq for _, lq in pairs]


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
