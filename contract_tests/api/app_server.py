"""An ASGI or WSGI app, served on loopback by a thread of this very process, for as long as a test needs it."""

from __future__ import annotations

import inspect
import socketserver
import threading
import wsgiref.simple_server
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from roomhook.simulator.http_server.asgi_server import AsgiServer, in_thread, listening_socket
from roomhook.simulator.util.threads import wait_for_end

__all__ = ["reached", "served"]

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
    server = AsgiServer(app, listening_socket("127.0.0.1", 0))
    failure = "the ASGI app does not start; its traceback is in the log above"
    with in_thread(server, "roomhook-served", failure):
        yield server.port


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
            wait_for_end(thread, _STOP_S)


@contextmanager
def reached(url_or_app: str | Callable[..., Any], path: str, interface: str) -> Iterator[str]:
    """The URL itself, or the URL of *path* of an app that is served meanwhile."""
    if isinstance(url_or_app, str):
        yield url_or_app
        return
    with served(url_or_app, interface) as base:
        yield f"{base}/{path.lstrip('/')}"
