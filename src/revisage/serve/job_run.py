"""Run a job: restore its uploads by ``batch`` and ``video``, from where an earlier run ended."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from revisage.batch import Options, restore_files
from revisage.images import read_image
from revisage.jobs.collector import collect
from revisage.jobs.json_fields import outcome_fields
from revisage.jobs.outcome import Outcome
from revisage.restore.controls import Controls
from revisage.restore.pipeline import Restorer
from revisage.serve.engine import Engine
from revisage.serve.fields import JobFields, controls_of
from revisage.serve.job import REFERENCES, RESULTS, UPLOADS, Job, video_scale, without_folders
from revisage.serve.job_limits import check_video
from revisage.serve.settings import Settings


def restore_job(engine: Engine, job: Job) -> None:
    """Restore what of a job is not restored yet; each file is settled, whatever happens to it.

    Raises:
        CancelledError: the job's task was cancelled. Finished files stay, and the next call resumes.
        OutputError: the disk is full.
        InputError, WeightsError: the controls cannot be used.
    """
    restorer = engine.restorer(job.model)
    photos = sorted(path for path in (job.folder / REFERENCES).glob("*"))
    most = engine.settings.max_pixels
    controls = controls_of(JobFields(**job.fields), [read_image(path, max_pixels=most) for path in photos])
    options = Options(
        output=job.folder / RESULTS,
        controls=restorer.resolve(controls),
        video_scale=video_scale(job.fields),
        max_pixels=most,
        resume=True,
    )
    with job.task.as_current():
        names = [name for name in job.names if name not in job.outcomes]
        while names:
            names = _restore(job, names, restorer, options, engine.settings)


def _restore(job: Job, names: Sequence[str], restorer: Restorer, options: Options, settings: Settings) -> list[str]:
    """Restore files; return those whose result was there, but not what became of it: they are to be restored again."""
    again: list[str] = []
    sources = collect([job.folder / UPLOADS / name for name in names])
    restore_video = partial(_restore_video, job, settings)
    with closing(restore_files(restorer, sources, options, restore_video)) as outcomes:
        for outcome in outcomes:
            job.frames = job.all_frames = 0
            if outcome.up_to_date and outcome.target is not None:  # the process ended between the two
                outcome.target.unlink(missing_ok=True)
                again.append(outcome.path.name)
            else:
                job.settle(_fields(outcome, job.folder))
            job.task.check()
    return again


def _fields(outcome: Outcome, folder: Path) -> dict[str, Any]:
    """The fields of a file that clients see: names in place of paths."""
    fields = outcome_fields(outcome)
    fields["name"] = fields.pop("path").name
    fields["result"] = (target := fields.pop("target")) and target.name
    fields["status"] = "failed" if outcome.error else "done"
    fields["error"] = without_folders(fields["error"], folder)
    fields["warnings"] = [without_folders(one, folder) for one in fields["warnings"]]
    return fields


def _restore_video(
    job: Job, settings: Settings, restorer: Restorer, source: Path, target: Path, controls: Controls, *, overwrite: bool
) -> Outcome:
    from revisage.video.restore import restore_video

    check_video(source, controls.scale, settings)

    def progress(frames: int, all_frames: int) -> None:
        job.task.check()
        job.frames, job.all_frames = frames, all_frames
        job.version += 1

    return restore_video(restorer, source, target, controls, overwrite=overwrite, progress=progress)
