"""An ASGI or WSGI app, served on loopback by a thread of this very process, for as long as a test needs it."""

from __future__ import annotations

import inspect
import socketserver
import threading
import wsgiref.simple_server
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import uvicorn

from roomhook.errors import ConfigurationError

__all__ = ["served"]

_STOP_S: Final = 5


@contextmanager
def served(app: Callable[..., Any], interface: str = "auto") -> Iterator[str]:
    """Serve *app* and give its base URL; *interface* is "asgi", "wsgi" or "auto" (a coroutine function is ASGI).

    The app runs in this process, so that a test's fakes, settings and debugger reach it. Raises ``ConfigurationError``
    for an app that does not start.
    """
    if interface == "auto":
        interface = "asgi" if _is_asgi(app) else "wsgi"
    with _serve_asgi(app) if interface == "asgi" else _serve_wsgi(app) as port:
        yield f"http://127.0.0.1:{port}"


def _is_asgi(app: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(getattr(app, "__call__", None))  # noqa: B004


@contextmanager
def _serve_asgi(app: Callable[..., Any]) -> Iterator[int]:
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", access_log=False, timeout_graceful_shutdown=1)
    )

    def run() -> None:
        with suppress(SystemExit):  # uvicorn's way to say that the app did not start
            server.run()

    thread = threading.Thread(target=run, name="roomhook-served", daemon=True)
    thread.start()
    pause = threading.Event()
    while not server.started:
        if not thread.is_alive():
            raise ConfigurationError("the ASGI app does not start; its traceback is in the log above")
        pause.wait(0.005)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(_STOP_S)


class _ThreadingServer(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 512


class _QuietHandler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's signature)
        """Keep a test's output to the test."""


@contextmanager
def _serve_wsgi(app: Callable[..., Any]) -> Iterator[int]:
    with wsgiref.simple_server.make_server("127.0.0.1", 0, app, _ThreadingServer, _QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="roomhook-served", daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(_STOP_S)
