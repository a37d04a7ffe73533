"""``revisage evaluate``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from revisage.cli.console import counted, say, with_progress
from revisage.cli.json_output import Json, print_json
from revisage.cli.options import Device, Dtype

if TYPE_CHECKING:
    from revisage.evaluation.evaluator import Restore
    from revisage.evaluation.pairs import Pair, Sample
    from revisage.evaluation.report import Means, Report
    from revisage.restore.pipeline import Restorer


def evaluate(
    model: Annotated[str | None, typer.Argument(help="Model name from `revisage models`, or a weights file.")] = None,
    data: Annotated[Path | None, typer.Argument(help="Folder with gt/ and lq/, or lq/SET/ for several sets.")] = None,
    gt: Annotated[Path | None, typer.Option(help="Originals: aligned faces [default: DATA/gt].")] = None,
    lq: Annotated[Path | None, typer.Option(help="Degraded images, or a folder a set [default: DATA/lq].")] = None,
    restored: Annotated[Path | None, typer.Option(help="Restorations by another tool, instead of MODEL.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the report [default: evaluation/NAME OF DATA]."),
    ] = None,
    metrics: Annotated[str, typer.Option(help="Metrics of single images: psnr,ssim,... [default: all].")] = "",
    features: Annotated[Path | None, typer.Option(help="VGG16 weights, for lpips and vgg_cosine.")] = None,
    channel_weights: Annotated[Path | None, typer.Option(help="Linear weights of LPIPS, for lpips.")] = None,
    descriptor: Annotated[Path | None, typer.Option(help="Face descriptor weights, for id_cos and id_l2.")] = None,
    arcface: Annotated[Path | None, typer.Option(help="ArcFace weights, for arcface_angle.")] = None,
    niqe: Annotated[Path | None, typer.Option(help="NIQE parameters, for niqe.")] = None,
    inception: Annotated[Path | None, typer.Option(help="InceptionV3 weights, for fid.")] = None,
    fid: Annotated[
        Path | None, typer.Option(help="Reference of fid: statistics, or a folder [default: originals].")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Number of images of each set [default: all].")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Faces in each image grid.")] = 8,
    save_restored: Annotated[bool, typer.Option("--save-restored", help="Also write every restored face.")] = False,
    plots: Annotated[Path | None, typer.Option(help="Folder of a plot of each set's metrics.")] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    json: Json = False,
) -> None:
    """Evaluate a restorer on pairs of faces. A pair is a degraded face and its original.

    Writes scores.json, scores.csv and an image grid for each set (degraded, restored, original). A metric whose file is
    not given is left out, and pairs of another size than the model's are resized; a line says so.
    """
    from revisage.process import tune_process

    tune_process()  # before libraries load, which read some of it then
    from revisage.errors import InputError
    from revisage.evaluation.pairs import data_name, find_pairs

    if restored is not None:
        if model is not None and data is None and gt is None:
            model, data = None, Path(model)  # the only argument is DATA
        if model is not None:
            raise InputError("give a MODEL or --restored, not both")
    elif model is None:
        raise InputError("give a MODEL, or --restored with the restorations of another tool")
    if data is not None:
        gt, lq = gt or data / "gt", lq or (data / "lq" if restored is None or (data / "lq").is_dir() else None)
    compared = lq or restored
    if gt is None or compared is None:
        raise InputError("give DATA, a folder with gt/ and lq/, or --gt and --lq")
    if inception is None and fid is not None:
        raise InputError("--fid is the reference; --inception must give the network as well")
    output = output or Path("evaluation") / data_name(data or compared)
    pairs = find_pairs(gt, lq, restored, limit)  # wrong folders are reported before the networks are loaded
    import_module("torch")  # and missing packages
    if plots is not None:
        import_module("revisage.evaluation.plots")

    from revisage.auxiliary import load_detector
    from revisage.evaluation.evaluator import Evaluator
    from revisage.evaluation.metrics import Sources
    from revisage.evaluation.metrics.faces import central_landmarks
    from revisage.evaluation.report import Report, fid_measure, finite
    from revisage.images import write_image
    from revisage.loading import load
    from revisage.models.device import choose_device

    used = choose_device(device, backend="torch")
    sources = Sources(
        features=features,
        channel_weights=channel_weights,
        descriptor=descriptor,
        arcface=arcface,
        niqe=niqe,
        landmarks=central_landmarks(load_detector(device=device)),
    )
    only = [name.strip() for name in metrics.split(",") if name.strip()]
    evaluator = Evaluator(sources, only, used.device, batch=1 if used.kind == "cpu" else 8)
    report = Report(*fid_measure(inception, fid, used.device), samples=samples)
    restorer = None if model is None else load(model, device=device, dtype=dtype)
    size = None if restorer is None else restorer.size
    resized: Counter[tuple[int, int]] = Counter()
    rows = evaluator.evaluate(_read(pairs, size, resized), None if restorer is None else _restore_with(restorer))
    for row in with_progress(rows, len(pairs), "evaluating"):
        report.add(row)
        if save_restored:
            write_image(output / "restored" / row.pair.set / f"{row.pair.name}.png", row.images[1])
    about = {"model": model, "restored": None if restored is None else str(restored)}
    means = report.write(output, **about, size=size, resized=resized.total())
    if plots is not None:
        _plot(report, plots)
    lacking = evaluator.left_out | ({} if inception else {"fid": ("inception",)})
    if json:
        counts = {"size": size, "pairs": len(pairs), "resized": resized.total()}
        print_json({**about, **counts, "sets": finite(means), "left_out": lacking, "output": output})
        return
    _print_table(means)
    for name, needs in lacking.items():
        say(f"{name} left out: needs {' and '.join('--' + option.replace('_', '-') for option in needs)}")
    for (height, width), count in resized.items():
        say(f"{counted(count, 'pair')} resized: originals of {width} x {height} to {size}, the size of {model}")
    counts = f"{counted(len(means), 'set')}, {counted(len(pairs), 'pair')}"
    say(f"{counts}; scores.json, scores.csv and image grids in {output}")


def _plot(report: Report, folder: Path) -> None:
    from revisage.evaluation.plots import draw_distributions, write_figure

    for name, rows in report.rows().items():
        write_figure(folder / f"{name}.png", draw_distributions(rows, name))


def _read(pairs: Iterable[Pair], size: int | None, resized: Counter[tuple[int, int]]) -> Iterator[Sample]:
    """Read the pairs at the model's size, and count those whose originals had another."""
    from revisage.evaluation.pairs import read_sample

    for pair in pairs:
        sample = read_sample(pair, size)
        if sample.gt_size != sample.gt.shape[:2]:
            resized[sample.gt_size] += 1
        yield sample


def _restore_with(restorer: Restorer) -> Restore:
    from revisage.errors import RevisageError
    from revisage.evaluation.metrics.image import RGB8
    from revisage.evaluation.pairs import to_uint8
    from revisage.types import FaceStatus, Image

    def restore(images: Sequence[Image]) -> list[RGB8]:
        results = restorer(list(images), aligned=True)
        for result in results:
            if result.faces[0].status is not FaceStatus.RESTORED:
                raise RevisageError(f"{restorer.name} restored nothing: {result.faces[0].reason}")
        return [to_uint8(result.image) for result in results]

    return restore


def _print_table(means: Means) -> None:
    from revisage.evaluation.report import metric_names

    set_width = max(map(len, means))
    names = metric_names(means)
    widths = [max(len(name) + 1, 11) for name in names]
    say(f"{'':{set_width + 9}}" + "".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True)))
    for name, versions in means.items():
        for version, mean in versions.items():
            values = "".join(f"{mean[key]:{width}.4f}" for key, width in zip(names, widths, strict=True))
            say(f"{name:{set_width}} {version:8}" + values)
