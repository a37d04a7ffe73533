"""``/v1/jobs``: many images, or videos, in the background."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse

from revisage.serve.engine import Engine
from revisage.serve.fields import JobFields, controls_of, with_form
from revisage.serve.job import REFERENCES, RESULTS, UPLOADS, Job, video_scale
from revisage.serve.job_limits import check_reference, check_upload
from revisage.serve.jobs import Jobs, pack
from revisage.serve.openapi import JOB, body_of
from revisage.serve.problems import OF_UPLOADS, PROBLEMS
from revisage.serve.uploads import Upload, receive_upload

LONGEST_NAME = 120
POLL_SECONDS, ALIVE_SECONDS = 0.2, 15.0
NOT_FOUND: dict[int | str, dict[str, Any]] = {code: PROBLEMS[code] for code in (401, 404, 422)}
REPLY: dict[int | str, dict[str, Any]] = {200: {"description": "The job.", "content": {"application/json": JOB}}}


def make_router(engine: Engine, jobs: Jobs) -> APIRouter:
    """Routes of jobs."""
    settings = engine.settings
    router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

    def find(id: str) -> Job:
        job = jobs.get(id)
        if job is None:
            raise HTTPException(404, "no such job; finished ones expire")
        return job

    @router.post(
        "",
        summary="Restore many images, or videos.",
        status_code=202,
        response_class=JSONResponse,
        responses={**OF_UPLOADS, 202: {"description": "The job was accepted.", "content": {"application/json": JOB}}},
        openapi_extra=body_of(JobFields, references=True, many=True),
    )
    async def add(request: Request, fields: Annotated[JobFields, Query()]) -> JSONResponse:
        """Send a form with files in parts `image`: photos and videos. Controls are fields of the query or the form."""
        seconds, most = settings.max_job_seconds, settings.max_job_files
        with jobs.incoming() as folder:
            async with receive_upload(request, settings.max_job_bytes, seconds, most, raw=False) as upload:
                given: Any = with_form(fields, upload.fields)
                job = await asyncio.to_thread(_accept, engine, jobs, folder, given, upload)
        return JSONResponse(job.as_json(), 202, {"Location": f"{request.url.path}/{job.id}"})

    @router.get("/{id}", summary="How far is a job?", response_class=JSONResponse, responses=REPLY | NOT_FOUND)
    async def show(id: str) -> JSONResponse:
        return JSONResponse(find(id).as_json())

    @router.get(
        "/{id}/events",
        summary="Follow a job.",
        response_class=StreamingResponse,
        responses={200: {"description": "Server-sent events.", "content": {"text/event-stream": {}}}, **NOT_FOUND},
    )
    async def events(id: str) -> StreamingResponse:
        """An event `job` for each change, with the job as JSON, until it ends."""
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_follow(find(id), jobs), media_type="text/event-stream", headers=headers)

    @router.post("/{id}/cancel", summary="Cancel a job.", response_class=JSONResponse, responses=REPLY | NOT_FOUND)
    async def cancel(id: str) -> JSONResponse:
        """It ends before its next step. Results of finished files stay."""
        job = find(id)
        await asyncio.to_thread(jobs.cancel, job)
        return JSONResponse(job.as_json())

    @router.delete("/{id}", summary="Cancel a job, and delete its files.", status_code=204, responses=NOT_FOUND)
    async def remove(id: str) -> Response:
        await asyncio.to_thread(jobs.remove, find(id))
        return Response(status_code=204)

    @router.get(
        "/{id}/results",
        summary="All results in a zip file.",
        response_class=FileResponse,
        responses={200: {"description": "A zip file.", "content": {"application/zip": {}}}, 409: PROBLEMS[409]}
        | NOT_FOUND,
    )
    async def results(id: str) -> FileResponse:
        job = find(id)
        if not job.state.is_final:
            raise HTTPException(409, f"the job is {job.state}; its results can be had one by one")
        path = await asyncio.to_thread(pack, job)
        return FileResponse(path, media_type="application/zip", filename=f"{job.id}.zip")

    @router.get(
        "/{id}/results/{name}",
        summary="The result of one file.",
        response_class=FileResponse,
        responses={200: {"description": "The file.", "content": {"*/*": {}}}, **NOT_FOUND},
    )
    async def result(id: str, name: str) -> FileResponse:
        """`name` is the `result` of one of the job's `files`."""
        job = find(id)
        if name not in [outcome["result"] for outcome in job.outcomes.values()]:
            raise HTTPException(404, "no such result")
        return FileResponse(job.folder / RESULTS / name, filename=name)

    return router


def _accept(engine: Engine, jobs: Jobs, folder: Path, fields: JobFields, upload: Upload) -> Job:
    """Write the files of an upload, and make a job of them.

    Raises:
        InputError: a field or a file cannot be used.
        OSError: the disk is full.
    """
    engine.restorer(fields.model)
    controls, given = controls_of(fields), fields.model_dump(exclude_none=True, exclude={"model"})
    names = safe_names([name for _, name in upload.images])
    for name, (file, _) in zip(names, upload.images, strict=True):
        _write(folder / UPLOADS / name, file)
        check_upload(folder / UPLOADS / name, controls, video_scale(given), engine.settings)
    for number, file in enumerate(upload.references):
        check_reference(file, engine.settings)
        _write(folder / REFERENCES / str(number), file)
    return jobs.add(folder, fields.model, given, names)


def _write(path: Path, file: BinaryIO) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as written:
        shutil.copyfileobj(file, written)


def safe_names(names: Sequence[str]) -> list[str]:
    """Names for files, after those that clients gave: no folders, nothing hidden, none twice, none too long."""
    made: list[str] = []
    for name in names:
        plain = re.sub(r'[\x00-\x1f\x7f<>:"|?*]', "_", re.split(r"[/\\]", name)[-1]).strip(". ")
        path = Path(plain.encode("utf-8", "replace").decode() or "image")
        stem = path.stem.encode()[:LONGEST_NAME].decode(errors="ignore")
        free, number = f"{stem}{path.suffix[:10]}", 1
        while free.casefold() in (one.casefold() for one in made):
            number += 1
            free = f"{stem}-{number}{path.suffix[:10]}"
        made.append(free)
    return made


async def _follow(job: Job, jobs: Jobs) -> AsyncGenerator[str]:
    """Server-sent events of a job, until it or the server ends."""
    sent, alive = -1, time.monotonic()
    while True:
        is_last = job.state.is_final or jobs.is_stopping
        if job.version != sent:
            sent, alive = job.version, time.monotonic()
            yield f"event: job\nid: {sent}\ndata: {json.dumps(job.as_json())}\n\n"
        elif time.monotonic() - alive > ALIVE_SECONDS:
            alive = time.monotonic()
            yield ": alive\n\n"  # so that proxies keep the connection
        if is_last and job.version == sent:
            return
        await asyncio.sleep(POLL_SECONDS)
