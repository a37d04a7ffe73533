"""The state of a server: ``/healthz``, ``/readyz``, ``/v1/models``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from revisage.serve.engine import Engine
from revisage.serve.jobs import Jobs


def make_router(engine: Engine, jobs: Jobs) -> APIRouter:
    """Routes that need no image."""
    router = APIRouter()

    @router.get("/healthz", summary="Is the process alive?", tags=["server"])
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", summary="Does it accept work?", tags=["server"])
    async def readyz() -> JSONResponse:
        ready = engine.is_ready and not jobs.is_stopping
        return JSONResponse({"status": "ready" if ready else "stopping"}, 200 if ready else 503)

    @router.get("/v1/models", summary="List the models that requests can choose.", tags=["restore"])
    async def models() -> dict[str, list[dict[str, Any]]]:
        return {"models": [asdict(one) for one in engine.models()]}

    return router
