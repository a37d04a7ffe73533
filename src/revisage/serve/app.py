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
except ImportError as error:
    raise InputError("the server needs FastAPI: pip install 'revisage[serve]'") from error

from revisage.serve import health
from revisage.serve.engine import Engine
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

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001
        try:
            yield
        finally:
            await asyncio.to_thread(engine.close)

    app = FastAPI(title="revisage", version=__version__, lifespan=lifespan)
    app.include_router(health.make_router(engine))
    if settings.page and find_spec("gradio") and find_spec("revisage.serve.page"):
        from revisage.serve.page import mount_page  # pyright: ignore

        return mount_page(app, engine, settings)  # pyright: ignore
    return app
