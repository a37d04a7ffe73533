"""Who may use a server: requests that name it by its own name, and give its API key if it has one."""

from __future__ import annotations

import base64
import binascii
import hmac
import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from revisage.serve.problems import make_problem

OPEN = ("/healthz", "/readyz")
"""Paths that say nothing and need no key: what watches a server seldom has one."""


class CheckHost:
    """Middleware: ``Host`` must be an address, the name of this machine, or a name that is allowed.

    Otherwise any page on the web could use the server of whoever visits it, by a name that leads to this machine (DNS
    rebinding). An address as ``Host`` is safe: a browser then shows the page as one of this server.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app = app
        own = socket.gethostname()
        self._names = {name.lower() for name in ("localhost", own, f"{own}.local", *names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        host = "" if scope["type"] == "lifespan" else Headers(scope=scope).get("host", "")
        if host and not self._is_allowed(host):
            told = f"this server is not known as {host[:200]!r}; start it with --allow-host to allow that name"
            await make_problem(421, told)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, host: str) -> bool:
        with suppress(ValueError):
            name = urlsplit(f"//{host}").hostname or ""
            if name.rstrip(".") in self._names:
                return True
            return bool(ip_address(name))
        return False


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
