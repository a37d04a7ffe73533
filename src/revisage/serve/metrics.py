"""Figures for Prometheus, counted beside every request."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from revisage.serve.engine import Engine
from revisage.serve.jobs import Jobs

SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """The figures of one server.

    Attributes:
        registry: of prometheus_client.
    """

    def __init__(self, engine: Engine, jobs: Jobs) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "revisage_requests", "Requests that were answered.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "revisage_request_seconds", "From request to reply.", ["route"], buckets=SECONDS, registry=self.registry
        )
        pending = Gauge("revisage_pending_images", "Images that wait or are in progress.", registry=self.registry)
        pending.set_function(lambda: engine.pending)
        unfinished = Gauge("revisage_unfinished_jobs", "Jobs that wait or run.", registry=self.registry)
        unfinished.set_function(lambda: jobs.unfinished)

    def make_router(self) -> APIRouter:
        """``/metrics``."""
        router = APIRouter(tags=["server"])

        @router.get("/metrics", summary="Figures for Prometheus.", response_class=Response)
        async def metrics() -> Response:
            return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

        return router


class Measure:
    """Middleware: counts requests by route and status, and their seconds."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            # Only known routes get a series of their own: paths that clients make up would fill the memory.
            route: Any = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, status).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - start)
