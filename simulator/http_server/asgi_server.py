"""Runs an ASGI app by uvicorn, in a thread or on a running loop, and opens the listening socket of any server."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Literal

import uvicorn
from uvicorn.config import LOGGING_CONFIG
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from roomhook.errors import ConfigurationError
from roomhook.simulator.util.threads import wait_for_end

__all__ = ["AsgiServer", "in_thread", "listening_socket", "url_of"]

_BACKLOG: Final = 2048
_STOP_S: Final = 10.0


def listening_socket(host: str, port: int, remedy: str = "choose another --listen") -> socket.socket:
    """A socket that listens at *host* and *port* (0: a free one); raises ``ConfigurationError`` with the *remedy*."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        known = isinstance(error, OSError) and error.errno is not None and error.errno > 0
        reason = os.strerror(error.errno) if isinstance(error, OSError) and known and error.errno else str(error)
        raise ConfigurationError(f"can't listen on {host}:{port} ({reason}): {remedy}") from None


def url_of(listening: socket.socket, scheme: str = "http") -> str:
    """The base URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class AsgiServer(uvicorn.Server):
    """uvicorn on a listening socket, without its own logging and signal handling.

    *protocol* parses HTTP; *lifespan* is "on", "off" or "auto"; *tls* makes it https; *quiet* also hides the tracebacks
    of the app; *grace_s* is the time for requests in flight when it stops (s). ``on_started`` is called when requests
    are accepted.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        listening: socket.socket,
        *,
        protocol: type[asyncio.Protocol] = HttpToolsProtocol,
        lifespan: Literal["auto", "on", "off"] = "auto",
        tls: ssl.SSLContext | None = None,
        quiet: bool = False,
        grace_s: int = 1,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan=lifespan,
            log_config=None if quiet else LOGGING_CONFIG,
            log_level=logging.CRITICAL + 1 if quiet else logging.ERROR,
            access_log=False,
            backlog=_BACKLOG,
            proxy_headers=False,
            timeout_graceful_shutdown=grace_s,
        )
        config.load()
        config.ssl = tls
        super().__init__(config)
        self.listening = listening
        self.port = int(listening.getsockname()[1])
        self.on_started: Callable[[], object] = lambda: None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the caller."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's."""
        await super().startup(sockets)
        if self.started:
            self.on_started()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until ``should_exit`` is set."""
        with self.listening, suppress(SystemExit):  # uvicorn's way to say that the app did not start
            await super().serve(sockets or [self.listening])


@contextmanager
def in_thread(server: AsgiServer, name: str, failure: str) -> Iterator[threading.Thread]:
    """Run *server* in a thread of this name; raises ``ConfigurationError`` with *failure* if its app does not start."""
    ready = threading.Event()
    server.on_started = ready.set
    thread = threading.Thread(target=server.run, name=name, daemon=True)
    thread.start()
    while not ready.wait(0.02):
        if not thread.is_alive():
            raise ConfigurationError(failure)
    try:
        yield thread
    finally:
        server.should_exit = True
        wait_for_end(thread, _STOP_S)
