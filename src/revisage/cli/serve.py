"""``revisage serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from revisage.cli import options as opt


def serve(
    host: Annotated[str, typer.Option(help="Address; 0.0.0.0 is reached from other machines, too.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 chooses a free one.")] = 8000,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Model that requests can choose; may be repeated, the first is the default."),
    ] = None,
    device: opt.Device = "auto",
    dtype: opt.Dtype = "auto",
    threads: opt.Threads = None,
    workers: Annotated[int, typer.Option(min=0, help="Images in progress at once; 0: one per core.")] = 0,
    queue: Annotated[int, typer.Option(min=0, help="Images that may wait; more are refused (429).")] = 32,
    batch: Annotated[int, typer.Option(min=0, help="Faces in the network at once; 0: 1 on a CPU, else 8.")] = 0,
    jobs: Annotated[Path | None, typer.Option(help="Folder of jobs (default: one of the user).")] = None,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="REVISAGE_API_KEY", help="Key that requests must give (better by the variable)."),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Name in addresses of this server, if another; may be repeated.")
    ] = None,
    cors: Annotated[
        list[str] | None, typer.Option(help="Origin whose pages may call the API; may be repeated.")
    ] = None,
    max_megabytes: Annotated[float, typer.Option(min=0.001, help="Largest upload of a request, in MB.")] = 50,
    max_megapixels: Annotated[float, typer.Option(min=0.001, help="Largest image, in millions of pixels.")] = 100,
    max_seconds: Annotated[float, typer.Option(min=0.1, help="Longest time of a request.")] = 60,
    offline: opt.Offline = False,
    no_page: Annotated[bool, typer.Option("--no-page", help="Serve the API only, no web page.")] = False,
) -> None:
    """Serve the web page and the HTTP API.

    The page is at /, the description of the API at /docs. Ctrl-C or SIGTERM finishes what was accepted and stops; jobs
    resume at the next start.
    """
    from revisage.process import tune_process

    tune_process(threads)  # before other imports: some settings are read when libraries load
    from revisage.serve.run import run
    from revisage.serve.settings import MEGABYTE, make_settings

    run(
        make_settings(
            host=host,
            port=port,
            models=tuple(model or ["embedded"]),
            device=device,
            dtype=dtype,
            offline=offline or None,
            workers=workers,
            queue=queue,
            batch=batch,
            jobs_folder=jobs,
            api_key=api_key,
            allowed_hosts=tuple(allow_host or []),
            cors_origins=tuple(cors or []),
            max_bytes=round(max_megabytes * MEGABYTE),
            max_pixels=round(max_megapixels * MEGABYTE),
            max_seconds=max_seconds,
            page=not no_page,
        )
    )
