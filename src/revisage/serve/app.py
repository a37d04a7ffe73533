"""The application: everything that answers requests, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec

from revisage import __version__
from revisage.errors import InputError

try:
    from fastapi import FastAPI
    from fastapi.middleware.cors import CORSMiddleware
except ImportError as error:
    raise InputError("the server needs FastAPI: pip install 'revisage[serve]'") from error

from revisage.serve import health, job_routes, restore_routes
from revisage.serve.access import CheckHost, RequireKey
from revisage.serve.engine import Engine
from revisage.serve.jobs import Jobs
from revisage.serve.metrics import Measure, Metrics
from revisage.serve.openapi import describe
from revisage.serve.problems import add_handlers
from revisage.serve.settings import Settings


def create_app(settings: Settings | None = None, engine: Engine | None = None) -> FastAPI:
    """Make the application. Its models are loaded before this returns.

    Args:
        settings: None for the defaults.
        engine: None for one made of the settings. It is closed when the application ends.

    Raises:
        InputError: a package is missing.
        WeightsError, DeviceError: a model cannot be loaded.
    """
    settings = settings or Settings()
    engine = engine or Engine(settings)

    jobs = Jobs(engine)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001
        jobs.start()
        try:
            yield
        finally:
            await asyncio.to_thread(jobs.close)
            await asyncio.to_thread(engine.close)

    app = FastAPI(title="revisage", version=__version__, summary="Restores the faces in photos.", lifespan=lifespan)
    app.state.stop = jobs.stop  # as soon as the server is told to end: followers of jobs would hold it up
    metrics = Metrics(engine, jobs)
    app.include_router(restore_routes.make_router(engine))
    app.include_router(job_routes.make_router(engine, jobs))
    app.include_router(health.make_router(engine, jobs))
    app.include_router(metrics.make_router())
    add_handlers(app)
    describe(app)
    # The last one added is the first to see a request.
    if settings.api_key is not None:
        app.add_middleware(RequireKey, key=settings.api_key.get_secret_value())
    else:
        app.add_middleware(CheckHost, names=(settings.host, *settings.allowed_hosts))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["X-Faces", "X-Left-Out", "Location", "Retry-After"],
        )
    app.add_middleware(Measure, metrics=metrics)
    if settings.page and find_spec("gradio"):
        from revisage.serve.page import mount_page

        return mount_page(app, engine, settings)
    return app
