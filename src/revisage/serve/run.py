"""Run the application in a server until it is told to stop."""

from __future__ import annotations

import math
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from types import FrameType

from revisage.errors import InputError, OutputError

try:
    import uvicorn
except ImportError as error:
    raise InputError("the server needs uvicorn: pip install 'revisage[serve]'") from error

from revisage.serve.app import create_app
from revisage.serve.settings import Settings


def run(settings: Settings) -> None:
    """Listen, say where, and answer requests until SIGINT or SIGTERM; then finish what was accepted.

    Raises:
        OutputError: the address cannot be listened on.
        WeightsError, DeviceError: a model cannot be loaded.
    """
    with _listen(settings.host, settings.port) as listener:
        app = create_app(settings)
        config = uvicorn.Config(
            app,
            log_level="warning",
            timeout_graceful_shutdown=math.ceil(settings.max_seconds),
            server_header=False,
        )
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        if settings.api_key is None and not ip_address(host).is_loopback:
            print(f"warning: no API key: whoever reaches {host} can use this server", file=sys.stderr)
        print(f"revisage serves http://{shown}:{port} (API: /docs); Ctrl-C stops it", flush=True)
        with suppress(KeyboardInterrupt):  # uvicorn raises it again once all is finished
            _Server(config, app.state.stop).run([listener])


class _Server(uvicorn.Server):
    """A server that calls a function as soon as it is told to end."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stop()
        super().handle_exit(sig, frame)


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens before models are loaded: a taken port is said at once."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        if sys.platform == "win32":  # there SO_REUSEADDR would let a second process take a port that is in use
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:  # else a port could not be taken again for a minute after its server's end
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        raise OutputError(f"cannot listen on {host}:{port}: {error.strerror or error}; try another --port") from error
    return listener
