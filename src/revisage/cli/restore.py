"""``revisage restore``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from revisage.cli import options as opt


def restore(
    paths: Annotated[list[str], typer.Argument(help="Photos, videos, folders (with all below), or quoted patterns.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")] = Path("restored"),
    scale: opt.Scale = None,
    strength: opt.Strength = 1.0,
    eyes: opt.Eyes = None,
    mouth: opt.Mouth = None,
    skin: opt.Skin = None,
    hair: opt.Hair = None,
    keep_grain: opt.KeepGrain = 0.0,
    min_identity: opt.MinIdentity = None,
    identity_action: opt.Action = "reduce",
    identity: opt.Identity = "embedded-identity",
    aligned: opt.Aligned = False,
    only_center_face: opt.OnlyCenterFace = False,
    faces: opt.Faces = "all",
    min_face: opt.MinFace = 0.0,
    max_face: opt.MaxFace = None,
    min_score: opt.MinScore = 0.0,
    within: opt.Within = None,
    like: opt.Like = None,
    min_likeness: opt.MinLikeness = 0.5,
    parser: opt.Parser = "auto",
    background: opt.Background = "lanczos",
    tile: opt.Tile = 400,
    model: Annotated[str, typer.Option(help="A name from `revisage models`, or a weight file.")] = "embedded",
    architecture: opt.Architecture = None,
    offline: opt.Offline = False,
    device: opt.Device = "auto",
    dtype: opt.Dtype = "auto",
    suffix: Annotated[str, typer.Option(help="Results are called NAME_SUFFIX.")] = "",
    format: Annotated[
        str, typer.Option(help="jpg, png, tif, webp, avif, heic, bmp; mp4, mov, mkv, webm; auto: as the source.")
    ] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that exist already.")] = False,
    save_faces: Annotated[
        bool, typer.Option("--save-faces", help="Also write every face: before, after, side by side.")
    ] = False,
    preserve_mtime: Annotated[
        bool, typer.Option("--preserve-mtime", help="Give results the modification time of their sources.")
    ] = False,
    no_resume: Annotated[bool, typer.Option("--no-resume", help="Keep no job store in the output folder.")] = False,
) -> None:
    """Restore the faces in photos and videos.

    Results go into the output folder under the names of their sources; with --save-faces into its subfolders
    restored_imgs, cropped_faces, restored_faces and cmp. Originals are never touched. Rerun the command to resume:
    folders, patterns and videos continue where they were; `revisage status OUTPUT` shows the progress.

    The flags of GFPGAN's inference_gfpgan.py are understood, too; -i asks for its folders, as --save-faces does.
    """
    from revisage.batch import Kind, Options, collect
    from revisage.cli.restore_files import require_pyav, restore_files
    from revisage.restore.controls import Controls

    sources = collect(paths, (Kind.IMAGE, Kind.VIDEO), leave_out=output)
    require_pyav(sources)

    options = Options(
        output=output,
        controls=Controls(
            scale=2.0 if scale is None else scale,
            strength=strength,
            aligned=aligned,
            only_center_face=only_center_face,
            regions=opt.regions_of(eyes=eyes, mouth=mouth, skin=skin, hair=hair),
            selection=opt.selection_of(faces, min_face, max_face, min_score, within, like, min_likeness),
            min_identity=min_identity,
            identity_action=identity_action,
            keep_grain=keep_grain,
        ),
        video_scale=1.0 if scale is None else scale,
        suffix=suffix,
        format=None if format == "auto" else format.lower().lstrip("."),
        overwrite=overwrite,
        save_faces=save_faces,
        preserve_mtime=preserve_mtime,
        resume=sources.many and not no_resume,
        made_with=f"architecture {architecture}, background {background}, identity {identity}, parser {parser}",
    )

    from revisage.loading import load
    from revisage.process import keep_freed_memory

    keep_freed_memory()  # wrong options and paths have come to light
    restorer = load(
        model,
        device=device,
        dtype=dtype,
        architecture=architecture,
        background=background,
        tile=tile,
        identity=identity,
        parser=None if parser == "none" else parser,
        offline=offline or None,
    )
    # Before the first photo: what a control needs and has not got comes to light, and reference photos are looked at.
    options = replace(options, controls=restorer.settled(options.controls))
    failed = restore_files(restorer, sources, options, resume=not no_resume)
    raise typer.Exit(1 if failed else 0)
