"""uvicorn's HTTP protocol, hardened: offers of HTTP/2 are ignored, and heads and trailers have a size limit."""

from __future__ import annotations

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from roomhook.simulator.http_server.upgrade_filter import UpgradeFilter

__all__ = ["LARGEST_HEAD", "HttpProtocol", "LimitedHttpProtocol"]

LARGEST_HEAD: Final = 64 * 1024
"""Bytes of request line and headers."""

_MOST_FRAMING: Final = 1024 * 1024
"""Bytes of chunk sizes and trailers of one request."""

_REFUSAL: Final = b'{"ActionStatus":"FAIL","ErrorInfo":"%b","ErrorCode":60002}'


class HttpProtocol(HttpToolsProtocol):
    """Answers as HTTP/1.1 if a client offers to upgrade (curl --http2, the JDK), and reads the body."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._filter = UpgradeFilter()
        self._in_head = True

    def data_received(self, data: bytes) -> None:
        """As uvicorn's."""
        super().data_received(self._filter.feed(data, in_head=self._in_head))

    def on_headers_complete(self) -> None:
        """As uvicorn's."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """As uvicorn's."""
        self._in_head = True
        super().on_message_complete()


class LimitedHttpProtocol(HttpProtocol):
    """Also answers 431 to a head above 64 KiB, and closes the connection on endless chunk sizes or trailers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._framing = 0
        self._refused = False

    def data_received(self, data: bytes) -> None:
        """As uvicorn's; counts the bytes that are not body."""
        if self._refused or self.transport.is_closing():
            return
        rest = LARGEST_HEAD + 1 - self._framing
        if self._in_head and len(data) > rest:  # the head may end beyond the limit, in this very read
            self.data_received(data[:rest])
            self.data_received(data[rest:])
            return
        self._framing += len(data)
        super().data_received(data)
        if self._in_head and self._framing > LARGEST_HEAD:
            self._refuse("431 Request Header Fields Too Large", f"the head has more than {LARGEST_HEAD} bytes")
        elif self._framing > _MOST_FRAMING:
            self._refuse("413 Content Too Large", f"chunk sizes and trailers have more than {_MOST_FRAMING} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn's, which would keep trailers forever."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """As uvicorn's; resets the count."""
        self._framing = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """As uvicorn's; the body has its own limit."""
        self._framing = max(0, self._framing - len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """As uvicorn's; resets the count."""
        self._framing = 0
        super().on_message_complete()

    def _refuse(self, status: str, reason: str) -> None:
        self._refused = True
        body = _REFUSAL % reason.encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        if self._in_head:  # later, a response may have begun
            self.transport.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        self.transport.close()
