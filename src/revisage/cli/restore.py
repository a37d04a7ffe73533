"""``revisage restore``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from revisage.cli import options as opt


def restore(
    paths: Annotated[list[str], typer.Argument(help="Photos, films, folders (with all photos below), or patterns.")],
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
    format: Annotated[str, typer.Option(help="jpg, png, tif, webp, avif, heic, bmp; auto: as the photo.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that exist already.")] = False,
    save_faces: Annotated[
        bool, typer.Option("--save-faces", help="Also write every face: before, after, side by side.")
    ] = False,
    keep_time: Annotated[bool, typer.Option("--keep-time", help="Results have the time of their photos.")] = False,
    no_journal: Annotated[bool, typer.Option("--no-journal", help="Keep no journal in the output folder.")] = False,
) -> None:
    """Restore the faces in photos and films.

    Results go into the output folder under the names of the photos; with --save-faces into its subfolders
    restored_imgs, cropped_faces, restored_faces and cmp. Originals are never touched. For folders and patterns a
    journal is kept: the same command goes on with what was interrupted; `revisage status OUTPUT` says how far it is.

    The flags of GFPGAN's inference_gfpgan.py are understood, too; -i asks for its folders, as --save-faces does.
    """
    from revisage.batch import Options, collect
    from revisage.cli.photos import restore_photos
    from revisage.cli.video import films_of, restore_films
    from revisage.restore.controls import Controls

    films = films_of(paths)
    photos = [path for path in paths if path not in films]
    sources = collect(photos, leave_out=output) if photos or not films else None

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
        suffix=suffix,
        format=None if format == "auto" else format.lower().lstrip("."),
        overwrite=overwrite,
        save_faces=save_faces,
        keep_time=keep_time,
        journal=sources is not None and sources.many and not no_journal,
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
    failed = restore_photos(restorer, sources, options) if sources is not None else 0
    if films:
        controls = replace(options.controls, scale=1.0 if scale is None else scale)
        failed += restore_films(restorer, films, output, controls, suffix=suffix, overwrite=overwrite)
    raise typer.Exit(1 if failed else 0)
