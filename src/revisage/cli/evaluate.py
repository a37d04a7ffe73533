"""``revisage evaluate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from revisage.cli.console import counted, with_progress
from revisage.cli.options import Device, Dtype

if TYPE_CHECKING:
    from revisage.evaluation.report import Means


def evaluate(
    model: Annotated[str | None, typer.Argument(help="A name from `revisage models`, or a weight file.")] = None,
    data: Annotated[Path | None, typer.Argument(help="A folder with gt/ and lq/, or lq/SET/ for several sets.")] = None,
    gt: Annotated[Path | None, typer.Option(help="Originals, aligned faces; DATA/gt if not given.")] = None,
    lq: Annotated[Path | None, typer.Option(help="Degraded pictures, or a folder a set; DATA/lq if not given.")] = None,
    restored: Annotated[Path | None, typer.Option(help="Judge what another tool restored; no MODEL then.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the report.")] = Path("evaluation"),
    metrics: Annotated[str, typer.Option(help="Only these figures of single pictures: psnr,ssim,...")] = "",
    features: Annotated[Path | None, typer.Option(help="VGG16 weights, for lpips and lpips_equal.")] = None,
    channel_weights: Annotated[Path | None, typer.Option(help="Linear weights of LPIPS, for lpips.")] = None,
    descriptor: Annotated[Path | None, typer.Option(help="Descriptor weights, for id_cos and id_l2.")] = None,
    arcface: Annotated[Path | None, typer.Option(help="ArcFace weights, for deg.")] = None,
    niqe: Annotated[Path | None, typer.Option(help="NIQE parameters, for niqe.")] = None,
    inception: Annotated[Path | None, typer.Option(help="InceptionV3 weights, for fid.")] = None,
    fid: Annotated[
        Path | None, typer.Option(help="What fid compares with: statistics, or a folder; the originals if not given.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="How many pictures of each set.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Faces on each sheet.")] = 8,
    save_restored: Annotated[bool, typer.Option("--save-restored", help="Also write every restored face.")] = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Measure a restorer on pairs of degraded and original faces.

    Writes scores.json, scores.csv and a sheet for each set (degraded, restored, original). A figure whose file is not
    given is left out, and a line says so.
    """
    from revisage.errors import InputError
    from revisage.evaluation.pairs import find_pairs

    if restored is not None:
        if model is not None and data is None and gt is None:
            model, data = None, Path(model)  # the only argument is DATA
        if model is not None:
            raise InputError("give a MODEL or --restored, not both")
    elif model is None:
        raise InputError("give a MODEL, or --restored with what another tool restored")
    if data is not None:
        gt, lq = gt or data / "gt", lq or (data / "lq" if restored is None or (data / "lq").is_dir() else None)
    if gt is None or (lq is None and restored is None):
        raise InputError("give DATA, a folder with gt/ and lq/, or --gt and --lq")
    if inception is None and fid is not None:
        raise InputError("--fid says what to compare with; --inception must give the network as well")
    pairs = find_pairs(gt, lq, restored, limit)  # wrong folders come to light before the networks are loaded

    from revisage.evaluation.examine import central_landmarks, examine, restoring
    from revisage.evaluation.metrics.scores import Scorer, Sources
    from revisage.evaluation.report import Report, fid_measure
    from revisage.images import write_image
    from revisage.loading import load, load_detector
    from revisage.models.device import choose
    from revisage.process import keep_freed_memory

    keep_freed_memory()
    sources = Sources(
        features=features,
        channel_weights=channel_weights,
        descriptor=descriptor,
        arcface=arcface,
        niqe=niqe,
        landmarks=central_landmarks(load_detector(choose(device))),
    )
    scorer = Scorer(sources, [name.strip() for name in metrics.split(",") if name.strip()])
    report = Report(*fid_measure(inception, fid), samples=samples)
    restore = None if model is None else restoring(load(model, device=device, dtype=dtype))
    for row in with_progress(examine(pairs, restore, scorer), len(pairs), "evaluating"):
        report.add(row)
        if save_restored:
            write_image(output / "restored" / row.pair.set / f"{row.pair.name}.png", row.pictures[1])
    found = report.write(output, model=model, restored=None if restored is None else str(restored))
    _tell(found, scorer.left_out | ({} if inception else {"fid": ("inception",)}))
    counts = f"{counted(len(found), 'set')}, {counted(len(pairs), 'pair')}"
    print(f"{counts}; scores.json, scores.csv and sheets in {output}")


def _tell(found: Means, left_out: Mapping[str, Sequence[str]]) -> None:
    """A table of means, and a line for each figure that was left out."""
    from revisage.evaluation.report import figure_names

    width = max(map(len, found))
    names = figure_names(found)
    print(f"{'':{width + 9}}" + "".join(f"{name:>12}" for name in names))
    for name, versions in found.items():
        for version, mean in versions.items():
            print(f"{name:{width}} {version:8}" + "".join(f"{mean[key]:12.4f}" for key in names))
    for name, needs in left_out.items():
        print(f"{name} left out: needs {' and '.join('--' + option.replace('_', '-') for option in needs)}")
