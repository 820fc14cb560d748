"""A target that records what it is sent, byte by byte, and answers what a test tells it to."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OK = b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'


@dataclass
class Received:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Target:
    """``answer`` and ``headers`` are sent with ``status`` after ``delay_s`` to every request; ``received`` grows."""

    url: str = ""
    status: int = 200
    answer: bytes = OK
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    delay_s: float = 0.0
    received: list[Received] = field(default_factory=list)


@contextmanager
def recording_target(context: ssl.SSLContext | None = None) -> Iterator[Target]:
    """A target on a free port of loopback; over TLS with a *context*."""
    target = Target()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            target.received.append(Received(self.command, self.path, dict(self.headers), self.rfile.read(length)))
            time.sleep(target.delay_s)
            self.send_response(target.status)
            for name, value in target.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(target.answer)))
            self.end_headers()
            self.wfile.write(target.answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's signature)
            pass

    server = _Quiet(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    target.url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}/callback"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield target
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(ThreadingHTTPServer):
    """Says nothing when a sender has hung up; waits for its own threads at the end."""

    daemon_threads = False

    def handle_error(self, request: object, client_address: object) -> None:
        pass
