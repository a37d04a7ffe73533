"""Who may use a server that has an API key."""

from __future__ import annotations

import base64
import binascii
import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from revisage.serve.problems import make_problem

OPEN = ("/healthz", "/readyz")
"""Paths that say nothing and need no key: what watches a server seldom has one."""


class RequireKey:
    """Middleware: requests must give the key, as ``Authorization: Bearer KEY``, ``X-API-Key: KEY``, or as a password.

    Browsers ask for the password of the page by themselves; the name of the user does not matter.
    """

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        needs_key = scope["type"] != "lifespan" and scope.get("path") not in OPEN
        if needs_key and not self._is_allowed(Headers(scope=scope)):
            headers = {"WWW-Authenticate": 'Basic realm="revisage", charset="UTF-8"'}
            await make_problem(401, "the API key is missing or wrong", headers)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, headers: Headers) -> bool:
        given = headers.get("x-api-key", "").encode()
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            given = value.strip().encode()
        elif scheme.lower() == "basic":
            given = _password(value)
        return hmac.compare_digest(given, self._key)


def _password(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""
