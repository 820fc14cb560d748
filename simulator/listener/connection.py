"""One connection from a sender: finds the requests in its bytes, as they travelled, and writes the answers."""

from __future__ import annotations

import asyncio
import re
from typing import Final, NamedTuple, Protocol, cast

import httptools

from roomhook.simulator.http_server.upgrade_filter import UpgradeFilter

__all__ = ["ArrivedRequest", "ListenerConnection", "RequestHandler"]

_LARGEST_REQUEST: Final = 16 * 1024 * 1024
_LARGEST_HEAD: Final = 64 * 1024
_MOST_RECORDED: Final = 64 * 1024
"""Most bytes that are recorded of something that is not a request."""

_BEFORE_BODY: Final = re.compile(rb"(?im)^(?:expect:[ \t]*100-continue|content-length:[ \t]*([0-9]{8,}))")
"""Headers that may need an answer before the body comes: Expect, and bodies of 10 MB or more."""

_CHUNKED: Final = re.compile(rb"(?im)^transfer-encoding:")


class ArrivedRequest(NamedTuple):
    """A request: ``head`` with its blank line as it travelled, ``body`` unchunked; ``last`` ends its connection."""

    method: bytes
    target: bytes
    head: bytes
    body: bytes
    last: bool


class RequestHandler(Protocol):
    """Receives the events of connections."""

    def joined(self, connection: ListenerConnection) -> None:
        """The connection was opened."""

    def left(self, connection: ListenerConnection) -> None:
        """The connection is closed."""

    def arrived(self, connection: ListenerConnection, request: ArrivedRequest) -> None:
        """A complete request arrived."""

    def broken(self, connection: ListenerConnection, raw: bytes, status: int, problem: str) -> None:
        """Bytes arrived that are not a request; *status* is the one to answer with."""

    def answers_late(self) -> bool:
        """Whether answers may still come after the sender has closed its side."""
        raise NotImplementedError


class ListenerConnection(asyncio.Protocol):
    """One connection; ``name`` is the sender's address."""

    def __init__(self, handler: RequestHandler) -> None:
        self.name = ""
        self._handler = handler
        self._parser = httptools.HttpRequestParser(self)
        self._filter = UpgradeFilter()
        self._transport: asyncio.Transport | None = None
        self._raw = bytearray()
        self._message = _Message()
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the sender's address."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.name = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""
        self._handler.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        """Report that the connection is closed."""
        self._transport = None
        self._handler.left(self)

    def data_received(self, data: bytes) -> None:
        """Parse *data*; the parser calls the ``on_…`` methods."""
        if self._transport is None or self._refused:
            return
        rest = _LARGEST_HEAD + 1 - len(self._raw)
        if self._message.in_head and 0 < rest < len(data):  # the head may end beyond the limit, in this very read
            self.data_received(data[:rest])
            self.data_received(data[rest:])
            return
        self._raw += data
        try:
            self._parser.feed_data(self._filter.feed(data, in_head=self._message.in_head))
        except httptools.HttpParserUpgrade:
            self._refuse(400, "no protocol upgrade is offered")
        except httptools.HttpParserError as error:
            self._refuse(400, f"not HTTP: {error}")
        else:
            if self._message.is_due:
                self._answer_before_body()
            if self._message.in_head and len(self._raw) > _LARGEST_HEAD:
                self._refuse(431, f"the head of the request is larger than {_LARGEST_HEAD} bytes")
            elif self._message.too_large or len(self._raw) > 2 * _LARGEST_REQUEST:
                self._refuse(413, f"the request is larger than {_LARGEST_REQUEST} bytes")

    def eof_received(self) -> bool:
        """Stay open if responses are still to be sent."""
        return self._handler.answers_late()

    # Callbacks of httptools.

    def on_url(self, url: bytes) -> None:
        """A part of the request target."""
        self._message.target += url

    def on_headers_complete(self) -> None:
        """The head is complete; if the body is not, the sender may wait for a response before sending it."""
        self._message.in_head = False
        self._message.is_due = True

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._message.add(body)

    def on_message_complete(self) -> None:
        """A request is complete; the next may follow in the same bytes."""
        raw, message = self._raw, self._message
        start = _start(raw)
        end = raw.find(b"\r\n\r\n", start) + 4
        head = bytes(raw[start:end])
        body = message.body[0] if len(message.body) == 1 else b"".join(message.body)
        del raw[: _end_of_chunks(raw, end) if _is_chunked(head) else end + len(body)]
        self._message = _Message()
        if not message.too_large:
            last = not self._parser.should_keep_alive()
            request = ArrivedRequest(self._parser.get_method(), message.target, head, body, last)
            self._handler.arrived(self, request)

    # What the listener calls.

    def answer(self, answer: bytes, *, last: bool) -> None:
        """Write an answer, and close the connection after the last."""
        if self._transport is not None:
            self._transport.write(answer)
            if last:
                self._transport.close()

    def hang_up(self) -> None:
        """Close once everything is written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _answer_before_body(self) -> None:
        """Send the response for which the sender waits before it sends the rest of a body."""
        self._message.is_due = False
        start = _start(self._raw)
        found = list(_BEFORE_BODY.finditer(self._raw, start, self._raw.find(b"\r\n\r\n", start) + 2))
        if any(one[1] and _is_too_large(one[1]) for one in found):
            self._message.too_large = True
        elif any(one[1] is None for one in found) and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse(self, status: int, problem: str) -> None:
        self._refused = True
        raw, self._raw = bytes(self._raw[:_MOST_RECORDED]), bytearray()
        self._handler.broken(self, raw, status, problem)
        if self._transport is not None:
            self._transport.pause_reading()


class _Message:
    """The request that is being read; ``is_due`` if its head is complete and not yet examined."""

    __slots__ = ("_size", "body", "in_head", "is_due", "target", "too_large")

    def __init__(self) -> None:
        self.target = b""
        self.body: list[bytes] = []
        self.in_head = True
        self.is_due = False
        self.too_large = False
        self._size = 0

    def add(self, body: bytes) -> None:
        self._size += len(body)
        self.too_large = self.too_large or self._size > _LARGEST_REQUEST
        if not self.too_large:
            self.body.append(body)


def _start(raw: bytearray) -> int:
    """The offset of the request: parsers skip blank lines before it."""
    if raw[:1] > b"\r":
        return 0
    return len(raw) - len(raw.lstrip(b"\r\n"))


def _is_chunked(head: bytes) -> bool:
    return b"transfer-encoding:" in head.lower() and _CHUNKED.search(head) is not None


def _end_of_chunks(raw: bytearray, start: int) -> int:
    """The end of a chunked body with its trailers that starts at *start* and that the parser has accepted."""
    while True:
        line = raw.find(b"\r\n", start)
        size = int(bytes(raw[start:line]).partition(b";")[0].strip() or b"0", 16) if line >= 0 else 0
        if not size:
            break
        start = line + 2 + size + 2
    while line >= 0 and line != start:
        start = line + 2
        line = raw.find(b"\r\n", start)
    return start + 2 if line >= 0 else len(raw)


def _is_too_large(length: bytes) -> bool:
    return len(length) > 15 or int(length) > _LARGEST_REQUEST
