"""The mock Room backend as a server: until a signal in its own process, or in a thread for a test."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from roomhook.simulator.room_backend.api.app import application
from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.transport.sender import run_loop
from roomhook.simulator.util.asgi_server import AsgiServer, in_thread, listening_socket, url_of
from roomhook.simulator.util.upgrade_filter import UpgradeFilter

__all__ = ["running", "serve_until_stopped"]


class _Protocol(HttpToolsProtocol):
    """Ignores offers of HTTP/2."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._filter = UpgradeFilter()
        self._in_head = True

    def data_received(self, data: bytes) -> None:
        """As uvicorn's."""
        super().data_received(self._filter.feed(data, in_head=self._in_head))

    def on_headers_complete(self) -> None:
        """As uvicorn's."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """As uvicorn's."""
        self._in_head = True
        super().on_message_complete()


def serve_until_stopped(
    service: Service,
    administrator: str,
    address: tuple[str, int],
    grace_s: float,
    started: Callable[[str], object],
) -> int:
    """Serve at *address* until SIGINT or SIGTERM; returns the number of callbacks without outcome.

    *started* gets the URL. Raises ``ConfigurationError`` if the address can't be used.
    """
    app = application(service, administrator, grace_s)
    server = _server(app, address)
    url = url_of(server.listening)
    server.on_started = lambda: started(url)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, setattr, server, "should_exit", True)
        await server.serve()

    run_loop(main())
    return int(getattr(app.state, "left", 0))


@contextmanager
def running(service: Service, administrator: str) -> Iterator[str]:
    """The URL of a server in a thread of this process, on a free port of loopback."""
    server = _server(application(service, administrator, grace_s=1.0), ("127.0.0.1", 0))
    with in_thread(server, "roomhook-backend", "the mock Room backend did not start; its traceback is above"):
        yield url_of(server.listening)


def _server(app: Starlette, address: tuple[str, int]) -> AsgiServer:
    return AsgiServer(app, listening_socket(*address), protocol=_Protocol, lifespan="on", grace_s=2)
