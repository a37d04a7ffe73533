"""``revisage detect``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from revisage.cli import options as opt
from revisage.cli.console import complain, counted, say, warn, with_progress
from revisage.cli.json_output import Json, print_json
from revisage.jobs.json_fields import face_fields

if TYPE_CHECKING:
    from revisage.batch.names import Originals
    from revisage.jobs.collector import Source
    from revisage.types import Face, Image


@opt.with_controls("order", "min_score")
def detect(
    paths: Annotated[list[str], typer.Argument(help="Photos, videos, folders (with all below), or quoted patterns.")],
    controls: opt.GivenControls,
    draw: Annotated[bool, typer.Option("--draw", help="Write each photo with its faces in numbered boxes.")] = False,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the drawn photos.")] = Path("detected"),
    detector: opt.Detector = "embedded-detector",
    offline: opt.Offline = False,
    device: opt.Device = "auto",
    threads: opt.Threads = None,
    allow_damaged: opt.AllowDamaged = False,
    json: Json = False,
) -> None:
    """List the faces in photos. Prints number, box, score and landmarks, in pixels.

    The numbers are those of `revisage restore --faces`: left to right, top to bottom, unless --order says otherwise.
    Boxes are x1,y1,x2,y2; landmarks the image-left eye, image-right eye, nose, image-left and image-right mouth corner.
    In videos the numbers are those of tracks, listed where they are seen first, with the number of frames.
    """
    from revisage.process import tune_process

    tune_process(threads)  # before other imports: some settings are read when libraries load
    from revisage.auxiliary import load_detector
    from revisage.batch.names import Originals
    from revisage.errors import fault_of
    from revisage.images import read_image
    from revisage.jobs.collector import Kind, collect
    from revisage.restore.draw import draw_faces
    from revisage.restore.select import sort_faces

    selection = controls.to_controls().selection
    sources = collect(paths, (Kind.IMAGE, Kind.VIDEO), leave_out=output)
    originals = Originals(sources, output)
    find = load_detector(detector, device, offline=offline or None)
    counts: Counter[str] = Counter()
    taken: set[Path] = set()
    for source in with_progress(sources, sources, "detecting"):
        target, error, more = None, source.fault, {}
        faces: dict[int, Face] = {}
        try:
            if source.kind is Kind.VIDEO and not error:
                if draw:
                    warn(f"{source.path}: boxes are drawn in photos, not in videos")
                faces, more = _find_tracks(source.path, find, selection.min_score)
            elif not error:
                image = read_image(source.path, allow_damaged=allow_damaged)
                numbered = enumerate(sort_faces(find(image), selection.order))
                faces = {number: face for number, face in numbered if face.score >= selection.min_score}
                target = _write(draw_faces(image, faces), source, output, originals, taken) if draw else None
        except Exception as caught:  # one that cannot be read must not cost the others
            error = fault_of(source.path, caught)
        counts.update(files=1, faces=len(faces), failed=bool(error))
        if json:
            fields = [face_fields(number, face) | more.get(number, {}) for number, face in faces.items()]
            print_json({"path": source.path, "error": error, "faces": fields, "drawn": target})
        if error:
            complain(error)
        elif not json:
            say(f"{source.path}: {counted(len(faces), 'face')}{f' -> {target}' if target else ''}")
            for number, face in faces.items():
                say(_line(number, face, more.get(number, {})))
    if counts["files"] > 1 and not json:
        failed = f", {counts['failed']} failed" if counts["failed"] else ""
        say(f"{counted(counts['files'], 'file')}: {counted(counts['faces'], 'face')}{failed}")
    raise typer.Exit(1 if counts["failed"] else 0)


def _line(number: int, face: Face, more: Mapping[str, Any]) -> str:
    box = ",".join(f"{value:.0f}" for value in face.box)
    points = " ".join(f"{x:.0f},{y:.0f}" for x, y in face.landmarks)
    told = f"  {more['frames']} frames from {more['seconds']:.2f} s" if more else ""
    return f"  {number:>3}  box {box}  score {face.score:.2f}  landmarks {points}{told}"


def _find_tracks(path: Path, find: Any, min_score: float) -> tuple[dict[int, Face], dict[int, dict[str, Any]]]:
    """Tracks of a video by number: each face where it is seen first; when that is, and in how many frames it is."""
    from revisage.tracking.faces import smooth_tracks, track_faces
    from revisage.tracking.tracks import Tracker
    from revisage.video.reading import Damage, frames, probe

    first: dict[int, Face] = {}
    more: dict[int, dict[str, Any]] = {}
    for tracked in smooth_tracks(track_faces(frames(path, probe(path), Damage()), find, Tracker())):
        for number, face in tracked.faces.items():
            if face.score < min_score:
                continue
            first.setdefault(number, face)
            more.setdefault(number, {"seconds": round(tracked.frame.seconds, 3), "frames": 0})["frames"] += 1
    return first, more


def _write(drawn: Image, source: Source, output: Path, originals: Originals, taken: set[Path]) -> Path:
    """Write a drawn photo under the name of its source; what is there is replaced, but no source of the run."""
    from revisage.batch.options import is_writable
    from revisage.errors import OutputError
    from revisage.images import write_image

    stem, extension = source.path.stem, source.path.suffix if is_writable(source.path.suffix) else ".png"
    target, number = output / source.below / f"{stem}{extension}", 1
    while target in taken:
        number += 1
        target = target.with_name(f"{stem}-{number}{extension}")
    taken.add(target)
    if originals.would_overwrite_input(target, source.path):
        raise OutputError(f"{source.path}: the drawing would replace the photo {target}; use another folder (-o)")
    write_image(target, drawn, overwrite=True)
    return target
