"""``revisage restore``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from revisage.cli import options as opt
from revisage.cli.console import say
from revisage.cli.json_output import Json
from revisage.errors import InputError

if TYPE_CHECKING:
    from revisage.restore.pipeline import Restorer


@opt.with_controls()
def restore(
    context: typer.Context,
    paths: Annotated[list[str], typer.Argument(help="Photos, videos, folders (with all below), patterns; - (stdin).")],
    controls: opt.GivenControls,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="Folder of the results, a file, or - (stdout).", show_default="restored"),
    ] = None,
    model: Annotated[str, typer.Option(help="Model: a name from `revisage models`, or a file.")] = "embedded",
    architecture: opt.Architecture = None,
    detector: opt.Detector = "embedded-detector",
    background: opt.Background = "auto",
    tile: opt.Tile = 432,
    identity: opt.Identity = "embedded-identity",
    parser: opt.Parser = "auto",
    offline: opt.Offline = False,
    device: opt.Device = "auto",
    dtype: opt.Dtype = "auto",
    fast: opt.Fast = False,
    compile: Annotated[bool, typer.Option("--compile", help="Let torch compile the restorer (CUDA graphs).")] = False,
    threads: opt.Threads = None,
    suffix: Annotated[str, typer.Option(help="Results are named NAME_SUFFIX.")] = "",
    format: Annotated[
        str, typer.Option(help="auto (as the source), jpg, png, tif, webp, avif, heic, bmp, mp4, mkv...")
    ] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing results.")] = False,
    save_faces: Annotated[bool, typer.Option("--save-faces", help="Also write each face before and after.")] = False,
    preserve_mtime: Annotated[
        bool, typer.Option("--preserve-mtime", help="Give results the modification time of their sources.")
    ] = False,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Faces in the network at once (default: 1 on a CPU, else 8).")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where a result would lack anything.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done, and left out.")] = False,
    json: Json = False,
    allow_damaged: opt.AllowDamaged = False,
    no_resume: Annotated[bool, typer.Option("--no-resume", help="Keep no job store in the output folder.")] = False,
    engine: Annotated[str, typer.Option(help="Where to restore: local, or ray (a Ray cluster).")] = "local",
    actors: Annotated[int | None, typer.Option(min=1, help="Actors on Ray (default: as many as fit).")] = None,
) -> None:
    """Restore the faces in photos and videos.

    Results go into the output folder under the names of their sources; with --save-faces into its subfolders
    restored_imgs, cropped_faces, restored_faces and cmp. Originals are never touched. Rerun the command to resume:
    folders, patterns and videos continue where they were; `revisage status OUTPUT` shows the progress.

    The line of a result names everything that it lacks of its source (tracks, metadata, transparency, ...). With
    --strict this is an error. --dry-run finds losses and failures before anything is done.

    With --json each image is an object: path, target, status, error, faces (number, box, landmarks, score, status,
    reason, strength, similarity with --min-identity, change of 255; of animations also frame), left_out,
    warnings, seconds.

    With one photo or video, -o may name a file. With - as input (stdin) the result goes to stdout, as with -o -; the
    lines for people go to stderr then.

    With --engine ray the work goes to the cluster of $RAY_ADDRESS, or one started here. Paths may then be URLs of
    buckets (s3://, gs://, ...), and so may -o.

    The flags of GFPGAN's inference_gfpgan.py are understood, too; -i asks for its folders, as --save-faces does.
    """
    from revisage.process import tune_process

    tune_process(threads)  # before other imports: some settings are read when libraries load
    from concurrent.futures import ThreadPoolExecutor

    networks: dict[str, Any] = {
        "architecture": architecture,
        "detector": detector,
        "background": background,
        "identity": identity,
        "parser": parser,
    }

    settings: dict[str, Any] = {
        **networks,
        "parser": None if parser == "none" else parser,
        "tile": tile,
        "batch": batch,
        "offline": offline or None,
    }
    if "strength" in controls.values:  # of networks that have a weight for it themselves, CodeFormer say
        settings["fidelity"] = 1 - controls.values["strength"]
    where: dict[str, Any] = {"device": device, "dtype": dtype, "fast": fast, "compile": compile}

    def load_restorer() -> Restorer:
        from revisage.loading import load

        # On Ray this process only checks names and files; the actors have the devices.
        return load(model, **{"device": "cpu"} if engine == "ray" else where, **settings)

    # The embedded networks are opened while other modules are imported and files are looked for.
    early = ThreadPoolExecutor(1).submit(load_restorer) if _is_embedded(model, *networks.values()) else None
    from revisage.batch import Kind, Options, collect
    from revisage.cli.destination import file_of, is_stdout, pipes, refuse_input_folder, refuse_several_on_stdout
    from revisage.cli.restore_files import check_files, check_space, require_pyav, restore_files

    if engine not in ("local", "ray"):
        raise InputError(f"--engine is local or ray, not {engine!r}")
    on_ray, send = engine == "ray", None
    if on_ray:
        from revisage.cli.restore_on_ray import collect_for_ray

        if dry_run:
            raise InputError("--dry-run opens the files here; leave out --engine ray")
        sources, folder = collect_for_ray(paths, output)
    else:
        on_stdout = is_stdout(paths, output)
        paths, folder, send = context.with_resource(pipes(paths, None if output is None else Path(output)))
        sources = collect(paths, (Kind.IMAGE, Kind.VIDEO), leave_out=folder)
        if on_stdout:
            refuse_several_on_stdout(sources, save_faces)
    require_pyav(sources)
    target = file_of(folder, sources, suffix=suffix, format=format, save_faces=save_faces)
    if not (suffix or save_faces or format != "auto"):
        refuse_input_folder(sources, folder)
    options = Options(
        output=target.parent if target else folder,
        target=target,
        controls=controls.to_controls(),
        video_scale=controls.values.get("scale", 1.0),
        suffix=suffix,
        format=target.suffix.lower()[1:] if target else None if format == "auto" else format.lower().lstrip("."),
        overwrite=overwrite,
        save_faces=save_faces,
        preserve_mtime=preserve_mtime,
        resume=sources.many and not no_resume,
        allow_damaged=allow_damaged,
        strict=strict,
        made_with=", ".join(f"{role} {name}" for role, name in networks.items()),
    )

    restorer = early.result() if early else load_restorer()
    if fast and restorer.device and not (json or on_ray):
        say(f"{model}: {restorer.device.reason}")
    # Before the first photo: missing networks are found, and reference images are embedded.
    options = replace(options, controls=restorer.resolve(options.controls))
    if dry_run:
        raise typer.Exit(1 if check_files(restorer, sources, options, as_json=json) else 0)
    run = None
    if on_ray:
        from revisage.cli.restore_on_ray import run_on_ray

        run = run_on_ray(model, where | settings, actors, resume=not no_resume, strict=strict)
    else:
        check_space(sources, options)
    failed = restore_files(restorer, sources, options, resume=not no_resume, as_json=json, run=run)
    if send:
        send()
    raise typer.Exit(1 if failed else 0)


def _is_embedded(*names: str | None) -> bool:
    """Whether all models lie in the package: they load at once, without downloads and without doubtful files."""
    return all(name in (None, "lanczos", "auto", "none") or name.startswith("embedded") for name in names)
