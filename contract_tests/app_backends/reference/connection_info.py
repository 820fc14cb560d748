"""What a server knows about the connection that a request came on, told to the application in the ASGI scope."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from roomhook.simulator.http_server.http_protocol import HttpProtocol

__all__ = ["ConnectionInfo", "WireProtocol", "wire"]

_EXTENSION: Final = "roomhook.wire"


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """One request's place on its connection.

    ``connection`` numbers a server's connections and ``request`` the requests on one of them, from 1; ``head_reads`` is
    the number of reads that the head took, ``idle_s`` the time since the connection's last request, or its opening.
    """

    connection: int
    request: int
    head_reads: int
    idle_s: float


def wire(scope: Mapping[str, Any]) -> ConnectionInfo:
    """The connection behind an ASGI *scope*."""
    return cast("ConnectionInfo", scope["extensions"][_EXTENSION])


class WireProtocol(HttpProtocol):
    """uvicorn's protocol, which also counts."""

    _connections = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        WireProtocol._connections += 1
        self._connection = WireProtocol._connections
        self._requests = 0
        self._head_reads = 0
        self._last_request = time.monotonic()

    def data_received(self, data: bytes) -> None:
        """Count the reads of a head before the parser sees them."""
        self._head_reads += 1
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """The head is whole: tell the application, which uvicorn starts now."""
        now = time.monotonic()
        self._requests += 1
        known = ConnectionInfo(self._connection, self._requests, self._head_reads, now - self._last_request)
        self.scope["extensions"] = {_EXTENSION: cast("Any", known)}
        self._last_request = now
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next read starts a new head."""
        super().on_message_complete()
        self._head_reads = 0
