"""Serves a console on the running event loop, beside other servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from roomhook.simulator.http_server.asgi_server import AsgiServer, listening_socket, url_of
from roomhook.simulator.http_server.http_guard import GuardRules, HttpGuard
from roomhook.simulator.http_server.http_protocol import LimitedHttpProtocol

__all__ = ["console_served"]


@asynccontextmanager
async def console_served(routes: Sequence[Route], close: Callable[[], object]) -> AsyncIterator[str]:
    """The base URL of a server for *routes* on a free port of loopback; *close* ends its streams."""
    app = Starlette(routes=routes, middleware=[Middleware(HttpGuard, rules=GuardRules())])
    listening = listening_socket("127.0.0.1", 0)
    url = url_of(listening)
    server = AsgiServer(app, listening, protocol=LimitedHttpProtocol, lifespan="off")
    task = asyncio.get_running_loop().create_task(server.serve())
    try:
        yield url
    finally:
        close()
        server.should_exit = True
        await task
