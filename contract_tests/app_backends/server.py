"""A server of all App backends of our own: in a thread, on any free port, or until a signal ends it."""

from __future__ import annotations

import signal
import ssl
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Self

from roomhook.contract_tests.app_backends.reference.connection_info import WireProtocol
from roomhook.contract_tests.app_backends.site import CALLBACK, BackendRouter, callback_path
from roomhook.simulator.http_server.asgi_server import AsgiServer, in_thread, listening_socket
from roomhook.simulator.util.defaults import SDKAPPID
from roomhook.simulator.util.signals import handling_stop_signals
from roomhook.simulator.util.threads import wait_for_end

__all__ = ["BackendServer", "serve"]


class BackendServer:
    """A server of the reference and every broken backend, to be used as a context manager.

    *port* 0 takes a free one. *token* turns the check of signatures on, *tls* makes it https. ``/callback`` is
    the reference, or the backend that *chosen* names. Each backend is built
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
        chosen: str | None = None,
    ) -> None:
        self._address = host, port
        self._tls = tls
        self._site = BackendRouter(str(sdkappid), token, chosen)
        self._running = ExitStack()
        self.origin = ""

    def __enter__(self) -> Self:
        """Start; returns once the server takes callbacks, when ``origin`` holds its scheme, host and port."""
        host, port = self._address
        listening = listening_socket(host, port, "choose another address, or port 0 for a free one")
        scheme = "https" if self._tls else "http"
        self.origin = f"{scheme}://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        # Quiet: a broken backend crashes all the time, and its tracebacks are of no interest.
        server = AsgiServer(
            self._site, listening, protocol=WireProtocol, lifespan="off", tls=self._tls, quiet=True, grace_s=1
        )
        thread = in_thread(server, "roomhook-backends", "the App backend did not start")
        self._thread = self._running.enter_context(thread)
        return self

    def __exit__(self, *_: object) -> None:
        """Answer what has begun, for a second at most, and stop."""
        self._running.close()
        self._site.close()

    def url(self, broken: str | None = None) -> str:
        """The callback URL of the reference, or of the backend that is *broken* in one requirement."""
        return f"{self.origin}{callback_path(broken)}"

    def callback(self) -> str:
        """The callback URL of the chosen backend."""
        return f"{self.origin}{CALLBACK}"

    def probe(self, broken: str | None = None) -> str:
        """The URL template that tells the members of a room."""
        return f"{self.url(broken)}/rooms/{{RoomId}}"

    def wait(self) -> None:
        """Block until the server has stopped by itself."""
        wait_for_end(self._thread)


def serve(server: BackendServer, announce: Callable[[BackendServer], None]) -> None:
    """Run *server* until SIGINT, SIGTERM or SIGHUP; *announce* is called once it takes callbacks. Main thread only.

    A SIGINT that the parent process ignores (as a shell does for a job in the background) ends it, too.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with suppress(KeyboardInterrupt), handling_stop_signals(), server:
            announce(server)
            server.wait()
    finally:
        signal.signal(signal.SIGINT, before)
