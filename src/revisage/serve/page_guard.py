"""Nothing that the page does reaches another server: what browsers may load, and what gradio would fetch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

import gradio as gr

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH = "/page"
"""Where the page is."""
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; worker-src 'self' blob:; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""Browsers load nothing from elsewhere, whatever the page's libraries ask for."""


class PageGuard:
    """Middleware: adds the policy to everything under ``PATH``, and refuses what gradio would fetch from elsewhere."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        path = unquote(str(scope.get("path", "")))
        if scope["type"] != "http" or not path.startswith(f"{PATH}/"):
            await self.app(scope, receive, send)
            return
        if any(f"{word}=http" in path for word in ("file", "proxy")):
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return

        async def send_guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                added = {
                    "content-security-policy": POLICY,
                    "referrer-policy": "no-referrer",
                    "x-content-type-options": "nosniff",
                }
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in added.items())]
            await send(message)

        await self.app(scope, receive, send_guarded)


def refuse_addresses(component: Any) -> None:
    """Let a component take uploaded files only: gradio would also fetch a file whose address a client sends."""
    keep = component.async_move_resource_to_block_cache

    async def keep_uploaded(path: Any) -> Any:
        if "://" in str(path):
            raise gr.Error("Files are uploaded, not fetched from an address.", print_exception=False)
        return await keep(path)

    component.async_move_resource_to_block_cache = keep_uploaded
