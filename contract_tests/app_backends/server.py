"""A server of all App backends of our own: in a thread, on any free port, or until a signal ends it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

import uvicorn

from roomhook.contract_tests.app_backends.reference.connection_info import WireProtocol
from roomhook.contract_tests.app_backends.site import BackendRouter, callback_path
from roomhook.errors import ConfigurationError
from roomhook.simulator.util.defaults import SDKAPPID

__all__ = ["BackendServer", "serve"]

_BACKLOG: Final = 2048


class BackendServer:
    """A server of the reference and every broken backend, to be used as a context manager.

    *port* 0 takes a free one. *token* turns the check of signatures on, *tls* makes it https. Each backend is built
    when it is first called and keeps rooms of its own. Raises ``ConfigurationError`` if it can't listen there.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        sdkappid: int | str = SDKAPPID,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._address = host, port
        self._scheme = "https" if tls else "http"
        self._site = BackendRouter(str(sdkappid), token)
        self._server = _Server(_configuration(self._site, tls))
        self.origin = ""

    def __enter__(self) -> Self:
        """Start; returns once the server takes callbacks, when ``origin`` holds its scheme, host and port."""
        listening = _bound(*self._address)
        host = self._address[0]
        self.origin = f"{self._scheme}://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, args=(listening,), name="roomhook-backends", daemon=True)
        self._thread.start()
        self._server.ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        """Answer what has begun, for a second at most, and stop."""
        self._server.should_exit = True
        self._thread.join()
        self._site.close()

    def url(self, broken: str | None = None) -> str:
        """The callback URL of the reference, or of the backend that is *broken* in one requirement."""
        return f"{self.origin}{callback_path(broken)}"

    def probe(self, broken: str | None = None) -> str:
        """The URL template that tells the members of a room."""
        return f"{self.url(broken)}/rooms/{{RoomId}}"

    def wait(self) -> None:
        """Block until the server has stopped by itself."""
        self._thread.join()

    def _run(self, listening: socket.socket) -> None:
        with listening:
            try:
                self._server.run(sockets=[listening])
            finally:
                self._server.ready.set()


def serve(server: BackendServer, announce: Callable[[BackendServer], None]) -> None:
    """Run *server* until Ctrl-C or SIGTERM; *announce* is called once it takes callbacks. Main thread only."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with suppress(KeyboardInterrupt), server:
            announce(server)
            server.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


class _Server(uvicorn.Server):
    """uvicorn's server, which tells when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()


def _configuration(site: BackendRouter, tls: ssl.SSLContext | None) -> uvicorn.Config:
    """Quiet: a broken backend crashes all day long, and its tracebacks are no news."""
    config = uvicorn.Config(
        site,
        http=WireProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=logging.CRITICAL + 1,
        access_log=False,
        backlog=_BACKLOG,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    config.load()
    config.ssl = tls
    return config


def _bound(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        reason = (
            os.strerror(error.errno) if isinstance(error, OSError) and error.errno and error.errno > 0 else str(error)
        )
        remedy = "choose another address, or port 0 for a free one"
        raise ConfigurationError(f"can't listen on {host}:{port} ({reason}): {remedy}") from None
