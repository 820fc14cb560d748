"""How an attempt ended, in the terms of the Room backend's own failure table (protocol.md 1.3)."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum

__all__ = ["DeliveryOutcome", "outcome_of_error"]


class DeliveryOutcome(StrEnum):
    """The outcome of one attempt; only ``DELIVERED`` counts as delivered."""

    DELIVERED = "delivered"  # HTTP 200 and parseable JSON, whole, within the deadline
    HTTP_STATUS = "http-status"  # any other status
    NOT_JSON = "not-json"  # 200, but no parseable JSON
    INCOMPLETE = "incomplete"  # the connection ended inside the answer
    TIMEOUT = "timeout"  # no whole answer by the deadline
    REFUSED = "refused"  # connection refused, or no route
    DNS = "dns"  # the name does not resolve
    TLS = "tls"  # the handshake or the certificate failed
    RESET = "reset"  # the connection was reset before any byte of an answer
    CLOSED = "closed"  # the connection was closed before any byte of an answer
    NOT_HTTP = "not-http"  # bytes came back that are no HTTP answer

    @property
    def explained(self) -> str:
        """The outcome as the end of a sentence about the App backend."""
        return _EXPLAINED[self]

    @property
    def missed(self) -> str:
        """The id of the requirement that an attempt without a complete response violates."""
        return _MISSED.get(self, "ack.status")


_MISSED = {DeliveryOutcome.TIMEOUT: "ack.deadline", DeliveryOutcome.INCOMPLETE: "ack.complete"}

_EXPLAINED = {
    DeliveryOutcome.DELIVERED: "answered HTTP 200 with JSON in time",
    DeliveryOutcome.HTTP_STATUS: "answered with a status other than 200",
    DeliveryOutcome.NOT_JSON: "answered 200 with a body that is not JSON",
    DeliveryOutcome.INCOMPLETE: "closed the connection inside its answer",
    DeliveryOutcome.TIMEOUT: "gave no whole answer in time",
    DeliveryOutcome.REFUSED: "refused the connection",
    DeliveryOutcome.DNS: "has a host name that does not resolve",
    DeliveryOutcome.TLS: "failed the TLS handshake",
    DeliveryOutcome.RESET: "reset the connection without an answer",
    DeliveryOutcome.CLOSED: "closed the connection without an answer",
    DeliveryOutcome.NOT_HTTP: "answered with bytes that are not HTTP",
}


def outcome_of_error(error: BaseException) -> DeliveryOutcome:
    """The outcome for a transport *error*, from any library.

    The innermost known error decides: a reset inside three layers of a client's exceptions is still a reset.
    """
    outcome = DeliveryOutcome.RESET
    for inner in _chain(error):
        found = _classify(inner)
        if found is not None:
            outcome = found
    return outcome


def _classify(error: BaseException) -> DeliveryOutcome | None:
    if isinstance(error, ssl.SSLError):
        # Python reports a peer that hangs up without close_notify as an SSLError; that is a closed connection.
        return (
            DeliveryOutcome.CLOSED
            if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)
            else DeliveryOutcome.TLS
        )
    if isinstance(error, socket.gaierror):
        return DeliveryOutcome.DNS
    if isinstance(error, TimeoutError):
        return DeliveryOutcome.TIMEOUT
    if isinstance(error, http.client.RemoteDisconnected):
        return DeliveryOutcome.CLOSED
    if isinstance(error, http.client.IncompleteRead):
        return DeliveryOutcome.INCOMPLETE
    if isinstance(error, http.client.HTTPException):
        return DeliveryOutcome.NOT_HTTP
    if isinstance(error, ConnectionRefusedError):
        return DeliveryOutcome.REFUSED
    if isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return DeliveryOutcome.RESET
    if type(error) in {OSError, PermissionError}:
        return DeliveryOutcome.REFUSED  # no route, network unreachable, a firewall
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """*error* and everything inside it, outermost first: causes, contexts and exceptions kept as arguments."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
        waiting += [one for one in inner if isinstance(one, BaseException)]
