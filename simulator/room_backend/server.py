"""The mock Room backend as a server: until a signal in its own process, or in a thread for a test."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.routing import Route

from roomhook.simulator.http_server.asgi_server import AsgiServer, in_thread, listening_socket, url_of
from roomhook.simulator.http_server.http_guard import GuardRules
from roomhook.simulator.http_server.http_protocol import LimitedHttpProtocol
from roomhook.simulator.room_backend.api.app import application
from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.transport.sender import run_loop

__all__ = ["running", "serve_until_stopped"]

_STRICT: Final = GuardRules(json_only=("/v4/", "/sim/"))


def serve_until_stopped(
    service: Service,
    address: tuple[str, int],
    rules: GuardRules,
    *,
    grace_s: float,
    started: Callable[[str], object],
    pages: Sequence[Route] = (),
) -> int:
    """Serve at *address* until SIGINT or SIGTERM; returns the number of callbacks without outcome.

    *rules* say which requests of web pages are refused, *started* gets the URL, *pages* are further routes. Raises
    ``ConfigurationError`` if the address can't be used.
    """
    app = application(service, rules, grace_s, pages)
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
def running(service: Service, rules: GuardRules = _STRICT, pages: Sequence[Route] = ()) -> Iterator[str]:
    """The URL of a server in a thread of this process, on a free port of loopback."""
    server = _server(application(service, rules, 1.0, pages), ("127.0.0.1", 0))
    with in_thread(server, "roomhook-backend", "the mock Room backend did not start; its traceback is above"):
        yield url_of(server.listening)


def _server(app: Starlette, address: tuple[str, int]) -> AsgiServer:
    return AsgiServer(app, listening_socket(*address), protocol=LimitedHttpProtocol, lifespan="on", grace_s=2)
