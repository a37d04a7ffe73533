"""The evaluator: pairs of images become rows of metrics, in batches and on a device; for commands and trainings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from revisage.errors import InputError
from revisage.evaluation.metrics import SPECS, Metrics, Sources
from revisage.evaluation.metrics.image import RGB8
from revisage.evaluation.pairs import Pair, Sample, resize
from revisage.types import Image

Restore: TypeAlias = Callable[[Sequence[Image]], Sequence[RGB8]]
"""Degraded images of any size -> restored faces, uint8."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """The metrics of one face, and the images (H, W, 3) uint8 that they were taken from.

    Attributes:
        restored, input: metrics of the restoration and of the degraded image, resized to the original's size (or None).
        images: degraded (or None), restored, original.
    """

    pair: Pair
    restored: Metrics
    input: Metrics | None
    images: tuple[RGB8 | None, RGB8, RGB8]


class Evaluator:
    """Takes all metrics for which there are sources. Threads may share one; another process reads the files again.

    Args:
        sources: files and functions.
        only: names of the metrics wanted; empty for all.
        device: where the networks of the metrics run.
        batch: pairs that are restored and compared together. VGG16 takes about 150 MB a pair of 512 pixels.

    Attributes:
        metrics: rows of the table that are taken, in order.
        left_out: names of those that are not -> attributes of :class:`Sources` that they need.

    Raises:
        InputError: there is no metric of such a name, or its source is missing.
        WeightsError: a file is missing or holds something else.
    """

    def __init__(self, sources: Sources, only: Iterable[str] = (), device: Any = "cpu", batch: int = 1) -> None:
        only = tuple(only)
        self._arguments = sources, only, device, batch
        self.batch = batch
        missing = {spec.name: tuple(name for name in spec.needs if getattr(sources, name) is None) for spec in SPECS}
        for name in only:
            if name not in missing:
                raise InputError(f"no metric {name!r}; metrics of single images are {', '.join(missing)}")
            if missing[name]:
                raise InputError(f"{name} needs a file that is not given: {', '.join(missing[name])}")
        self.metrics = tuple(spec for spec in SPECS if not missing[spec.name] and (not only or spec.name in only))
        self.left_out = {} if only else {name: needs for name, needs in missing.items() if needs}
        extractors = dict.fromkeys(spec.extractor for spec in self.metrics)
        self._extract = {extractor: extractor(sources, device) for extractor in extractors}

    def compare(self, images: Sequence[RGB8], gt: Sequence[RGB8], names: Sequence[str] = ()) -> list[Metrics]:
        """Compare N aligned images with their originals, all (H, W, 3) uint8 RGB of one size: name -> value, for each.

        nan where a metric is undefined (no landmarks found, say), inf for the PSNR of equal images. An original that is
        given twice is looked at once; ``names`` are those of the originals, for errors (InputError: the sizes differ,
        or are too small for a metric).
        """
        shapes = {image.shape for image in (*images, *gt)}
        if len(shapes) > 1:
            raise InputError(f"only images of one shape can be compared, got {' and '.join(map(str, sorted(shapes)))}")
        rows: list[Metrics] = [{} for _ in images]
        originals = {id(image): image for image in gt}
        for extractor, extract in self._extract.items() if images else ():
            targets = dict(zip(originals, extract([*originals.values()]), strict=True))
            for index, (image, original) in enumerate(zip(extract(images), gt, strict=True)):
                try:
                    for spec in self.metrics:
                        if spec.extractor is extractor:
                            rows[index][spec.name] = spec.compare(image, targets[id(original)])
                except ValueError as error:
                    raise InputError(f"{names[index]}: {error}" if names else str(error)) from error
        return [{spec.name: row[spec.name] for spec in self.metrics} for row in rows]

    def evaluate(
        self,
        samples: Iterable[Sample],
        restore: Restore | None = None,
        inputs: MutableMapping[tuple[str, str], Metrics] | None = None,
    ) -> Iterator[Row]:
        """Restore, or take the restorations that samples have, and compare, a batch at a time; yield a row a sample.

        ``restore`` is not needed where samples have a restoration. ``inputs`` has metrics of degraded images by (set,
        name) that are known already; new ones are added (InputError: a sample has neither, a restoration has another
        size than its original, or a metric cannot be taken; the file is named).
        """
        known = {} if inputs is None else inputs
        for batch in _batches(samples, self.batch):
            restored, gt = _restorations(batch, restore), [sample.gt for sample in batch]
            lq = [None if one.lq is None else resize(one.lq, one.gt.shape[1], one.gt.shape[0]) for one in batch]
            keys = [(sample.pair.set, sample.pair.name) for sample in batch]
            new = [index for index, image in enumerate(lq) if image is not None and keys[index] not in known]
            names = [str(sample.pair.gt) for sample in batch]
            rows = self.compare(
                [*(image for index, image in enumerate(lq) if image is not None and index in new), *restored],
                [*(gt[index] for index in new), *gt],
                [*(names[index] for index in new), *names],
            )
            known.update(zip((keys[index] for index in new), rows, strict=False))
            for index, row in enumerate(rows[len(new) :]):
                before = None if lq[index] is None else known[keys[index]]
                yield Row(batch[index].pair, row, before, (lq[index], restored[index], gt[index]))

    def __reduce__(self) -> tuple[Any, ...]:
        return Evaluator, self._arguments


def _batches(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    """Up to ``size`` samples in a row whose originals have one size."""
    batch: list[Sample] = []
    for sample in samples:
        if batch and (len(batch) == size or batch[0].gt.shape != sample.gt.shape):
            yield batch
            batch = []
        batch.append(sample)
    if batch:
        yield batch


def _restorations(batch: Sequence[Sample], restore: Restore | None) -> list[RGB8]:
    """The restorations that samples have, or those that are made of their degraded images."""
    for sample in batch:
        if sample.restored is None and (restore is None or sample.lq is None):
            raise InputError(f"{sample.pair.gt} has neither a restoration nor a degraded image and a restorer")
    degraded = [sample.lq for sample in batch if sample.restored is None and sample.lq is not None]
    made = iter(restore(degraded) if restore and degraded else ())
    found = [next(made) if sample.restored is None else sample.restored for sample in batch]
    for sample, image in zip(batch, found, strict=True):
        if image.shape != sample.gt.shape:
            sizes = [f"{shape[1]} x {shape[0]}" for shape in (image.shape, sample.gt.shape)]
            raise InputError(f"{sample.pair.gt}: the restoration has {sizes[0]} pixels, the original {sizes[1]}")
    return found
