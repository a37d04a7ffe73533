"""Settings of a server, checked when they are made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from revisage.errors import InputError

MEGABYTE = 1_000_000


class Settings(BaseModel):
    """How images are served.

    Attributes:
        host: address to listen on; the default is reached from this machine only.
        port: 0 chooses a free one.
        models: restorers that requests can choose, loaded at the start; the first is the default.
        device, dtype, offline: as for ``revisage.load``.
        workers: images in progress at the same time; 0: one for each core, but two at least.
        queue: images that may wait for a worker; more are refused (429).
        batch: faces in one call of the network; 0: 1 on a CPU, which gains nothing by more, else 8.
        max_bytes: size of an upload.
        max_pixels: of an image, all its frames together; of a reference; of each frame of a video.
        max_output_pixels: of a result, all its frames together; of each frame of a video.
        max_faces: detected in an image.
        max_seconds: of a request from its last byte to its reply, waiting included; also the longest upload.
        jobs_folder: where jobs are kept until they expire; None: a folder of the user.
        max_job_bytes, max_job_files: of the upload of a job.
        max_job_seconds: in which it must arrive.
        max_jobs: that are not finished.
        job_hours: after which a finished job is removed.
        allowed_hosts: names in ``Host`` that are allowed besides those of this machine.
        api_key: that requests must give; None: none. With one any name is allowed.
        cors_origins: origins whose pages may call the API from a browser.
        page: mount the web page, if gradio is installed.

    Raises:
        pydantic.ValidationError: an unknown name, or a value out of range.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    models: tuple[str, ...] = Field(default=("embedded",), min_length=1)
    device: str = "auto"
    dtype: str = "auto"
    offline: bool | None = None
    workers: int = Field(default=0, ge=0)
    queue: int = Field(default=32, ge=0)
    batch: int = Field(default=0, ge=0)
    max_bytes: int = Field(default=50 * MEGABYTE, gt=0)
    max_pixels: int = Field(default=100 * MEGABYTE, gt=0)
    max_output_pixels: int = Field(default=400 * MEGABYTE, gt=0)
    max_faces: int = Field(default=100, gt=0)
    max_seconds: float = Field(default=60, gt=0)
    jobs_folder: Path | None = None
    max_job_bytes: int = Field(default=2000 * MEGABYTE, gt=0)
    max_job_files: int = Field(default=1000, gt=0)
    max_job_seconds: float = Field(default=3600, gt=0)
    max_jobs: int = Field(default=100, gt=0)
    job_hours: float = Field(default=24, gt=0)
    allowed_hosts: tuple[str, ...] = ()
    api_key: SecretStr | None = Field(default=None, min_length=1)
    cors_origins: tuple[str, ...] = ()
    page: bool = True

    @property
    def worker_count(self) -> int:
        """Images in progress at the same time."""
        return self.workers or max(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 2)

    @property
    def jobs_path(self) -> Path:
        """Where jobs are kept."""
        return self.jobs_folder or platformdirs.user_state_path("revisage") / "jobs"


def make_settings(**values: Any) -> Settings:
    """Settings of values that a user gave.

    Raises:
        InputError: a value is out of range; one line that names it.
    """
    try:
        return Settings(**values)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise InputError(told) from error
