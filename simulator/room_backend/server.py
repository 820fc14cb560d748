"""The mock Room backend as a server: until a signal in a process of its own, or in a thread for a test."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from roomhook.errors import ConfigurationError
from roomhook.simulator.room_backend.api.app import application
from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.transport.sender import run_loop

__all__ = ["running", "serve_until_stopped"]

_STOP_S: Final = 10


class _Protocol(HttpToolsProtocol):
    """Stays with HTTP/1.1 for clients that offer HTTP/2, as Java's does: uvicorn would drop the body of such a call."""

    def data_received(self, data: bytes) -> None:
        """As uvicorn's."""
        if b"h2c" in data:
            head, blank, body = data.partition(b"\r\n\r\n")
            data = head.replace(b"\r\nUpgrade: h2c", b"") + blank + body
        super().data_received(data)


class _Server(uvicorn.Server):
    """uvicorn without its own handling of signals, which says when it has started."""

    def __init__(self, app: Starlette, told: Callable[[], object]) -> None:
        super().__init__(
            uvicorn.Config(
                app, http=_Protocol, log_level="error", access_log=False, timeout_graceful_shutdown=2, lifespan="on"
            )
        )
        self._told = told

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to whoever runs it."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's."""
        await super().startup(sockets)
        if self.started:
            self._told()


def serve_until_stopped(
    service: Service,
    administrator: str,
    address: tuple[str, int],
    grace_s: float,
    started: Callable[[str], object],
) -> int:
    """Serve at *address* until SIGINT or SIGTERM; *started* gets the URL; returns how many callbacks are unsent.

    Raises ``ConfigurationError`` if nothing can listen there.
    """
    listening = _listening(address)
    app = application(service, administrator, grace_s)
    host, port = listening.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    server = _Server(app, lambda: started(url))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, setattr, server, "should_exit", True)
        await server.serve(sockets=[listening])

    try:
        run_loop(main())
    finally:
        listening.close()
    return int(getattr(app.state, "left", 0))


@contextmanager
def running(service: Service, administrator: str) -> Iterator[str]:
    """The URL of a server in a thread of this process, on a free port of loopback."""
    listening = _listening(("127.0.0.1", 0))
    ready = threading.Event()
    server = _Server(application(service, administrator, grace_s=1.0), ready.set)

    def run() -> None:
        with suppress(SystemExit):  # uvicorn's way to say that the app did not start
            run_loop(server.serve(sockets=[listening]))

    thread = threading.Thread(target=run, name="roomhook-backend", daemon=True)
    thread.start()
    while not ready.wait(0.05):
        if not thread.is_alive():
            listening.close()
            raise ConfigurationError("the mock Room backend did not start; its traceback is above")
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_STOP_S)
        listening.close()


def _listening(address: tuple[str, int]) -> socket.socket:
    host, port = address
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(f"can't listen on {host}:{port} ({error}); choose another --listen") from None
