"""Requests that no HTTP client will send: written to a socket piece by piece."""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.transport.client import Client, FinalResponse, uncompressed, user_agent
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.outcomes import DeliveryOutcome, outcome_of_error
from roomhook.simulator.protocol.response_check import Response, check_response

__all__ = ["connect", "head", "send_pieces", "surplus"]

Piece = tuple[bytes, float]
"""Bytes to write, and how long to pause after them (s)."""


def head(
    url: CallbackUrl, callback: CallbackRequest, extra: Sequence[tuple[str, str]], *, chunked: bool = False
) -> bytes:
    """The request line and headers of *callback*, with Content-Length or chunked transfer coding."""
    target = callback.url[len(f"{url.scheme}://{url.netloc}") :]
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(callback.body or b"")))
    host = url.netloc.rpartition("@")[2]
    headers = dict([("Host", host), ("User-Agent", user_agent()), *extra, *callback.headers, framing])
    lines = [f"{callback.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def connect(url: CallbackUrl, client: Client, timeout_s: float) -> socket.socket:
    """A connected socket, with TLS for https."""
    plain = socket.create_connection((url.host, url.port), timeout=timeout_s)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if url.scheme != "https":
        return plain
    try:
        return client.context.wrap_socket(plain, server_hostname=url.host)
    except OSError:
        plain.close()
        raise


def surplus(url: CallbackUrl, client: Client, request: bytes, *, give_up_ms: float, wait_s: float) -> bytes:
    """What comes behind the answer to *request* within *wait_s*, on a connection that the target means to keep.

    Empty too if there is no whole answer. An HTTP client must not take such bytes for the next answer, but may have no
    other way than to close, and one that does take them loses the next callback (RFC 9112, 6.3).
    """
    try:
        with closing(connect(url, client, give_up_ms / 1000)) as connection, _Kept(connection) as reader:
            connection.sendall(request)
            with closing(FinalResponse(_Received(reader))) as response:  # type: ignore[arg-type]
                response.begin()
                response.read()
                if response.will_close:
                    return b""
            connection.settimeout(wait_s)
            return reader.peek(1)
    except (OSError, http.client.HTTPException):
        return b""


class _Kept(io.BufferedReader):
    """A reader that http.client, which reads ahead and throws away what it has not asked for, can't close."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(socket.SocketIO(connection, "r"))

    def close(self) -> None:
        """Stay open: the socket's owner closes the socket."""


class _Received:
    """A socket's reading side, of which everybody gets the same *reader*."""

    def __init__(self, reader: io.BufferedReader) -> None:
        self._reader = reader

    def makefile(self, _mode: str) -> io.BufferedReader:
        return self._reader


def send_pieces(
    url: CallbackUrl,
    client: Client,
    callback: CallbackRequest,
    pieces: Sequence[Piece],
    *,
    deadline_ms: float,
    give_up_ms: float,
    sleep: Callable[[float], object] = time.sleep,
) -> Exchange:
    """Write *pieces* with their pauses and read the answer; time counts from the last piece."""
    started = time.monotonic()
    answer: Response | None = None
    outcome, detail = DeliveryOutcome.DELIVERED, ""
    try:
        with closing(connect(url, client, give_up_ms / 1000)) as connection:
            for data, pause in pieces:
                connection.sendall(data)
                sleep(pause)
            started = time.monotonic()
            connection.settimeout(give_up_ms / 1000)
            with closing(FinalResponse(connection, method=callback.method)) as response:
                response.begin()
                body = response.read()
                elapsed_ms = (time.monotonic() - started) * 1000
                answer = uncompressed(Response(response.status, tuple(response.getheaders()), body, elapsed_ms))
    except (OSError, http.client.HTTPException) as error:
        outcome, detail = outcome_of_error(error), str(error) or type(error).__name__
    elapsed_ms = (time.monotonic() - started) * 1000
    if answer is not None:
        outcome = check_response(answer, deadline_ms=deadline_ms).outcome
    return Exchange(callback, answer, outcome, detail, elapsed_ms, deadline_ms)
