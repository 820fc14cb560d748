"""A target of callbacks: address, app id, token, headers and TLS, and how an event becomes a request."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final
from urllib.parse import quote, urlsplit

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.callback_request import JSON_CONTENT, CallbackRequest
from roomhook.simulator.protocol.callback_url import CallbackUrl, sign

__all__ = ["Target"]

_MOST_ADDRESSES: Final = 65_536
_MOST_KEPT: Final = 1024
"""Most parts of request lines in the cache: unusual commands must not fill the memory."""

_LENGTHS: Final = [b"%d\r\n\r\n" % size for size in range(_MOST_KEPT)]
"""The end of the head: the value of Content-Length by itself."""


@dataclass(frozen=True)
class Target:
    """An App backend, as the Room backend knows it.

    ``token`` signs every request with its own time. ``headers`` come last and replace Roomhook's of the same name (an
    empty value removes it). ``tls`` is needed for https only.
    """

    url: CallbackUrl
    sdkappid: int | str
    token: str | None = field(default=None, repr=False)
    headers: Sequence[tuple[str, str]] = ()
    contenttype: str = "json"
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    _heads: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)
    _tails: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)
    _addresses: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)
    _second: list[int] = field(default_factory=lambda: [-1], init=False, repr=False, compare=False)
    _fields: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raise ``ConfigurationError`` for a header that can't be sent."""
        object.__setattr__(self, "_fields", _header_lines(self._all_headers()))

    @property
    def address(self) -> tuple[str, int]:
        """Host name and port."""
        return self.url.host, self.url.port

    def request(self, event: CallbackEvent, request_time: int) -> bytes:
        """The whole request for *event*, signed at *request_time* (s since the epoch) if there is a token."""
        if request_time != self._second[0]:
            self._second[0] = request_time
            self._tails.clear()
        head = self._heads.get(event.command) or self._head(event.command)
        tail = self._tails.get(event.platform) or self._tail(event.platform, request_time)
        address = self._addresses.get(event.client_ip) or self._address(event.client_ip)
        body = event.body
        size = len(body)
        length = _LENGTHS[size] if size < _MOST_KEPT else b"%d\r\n\r\n" % size
        return b"".join((head, address, tail, length, body))  # half the time of formatting

    def requests(self, events: Sequence[CallbackEvent], request_time: int) -> list[bytes]:
        """As ``request`` for each of *events*, at two thirds of the cost if their parts were used before."""
        if request_time == self._second[0]:
            heads, addresses, tails, lengths, join = self._heads, self._addresses, self._tails, _LENGTHS, b"".join
            with suppress(LookupError):
                return [
                    join((heads[one.command], addresses[one.client_ip], tails[one.platform], lengths[len(body)], body))
                    for one in events
                    for body in (one.body,)
                ]
        return [self.request(event, request_time) for event in events]

    def query_with(self, event: CallbackEvent, signature: str) -> str:
        """The URL parameters of *event*, from SdkAppid on, ending with *signature* (``&Sign=…&RequestTime=…``)."""
        address = quote(event.client_ip, safe="")
        return f"{self._before_address(event.command)}{address}{self._after_address(event.platform, signature)}"

    def request_of(self, query: str, body: bytes) -> bytes:
        """The request with exactly these URL parameters and this body."""
        head = f"POST {self.url.target(query)} HTTP/1.1\r\n".encode()
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, self._fields, len(body), body)

    def signature(self, request_time: int) -> str:
        """``&Sign=…&RequestTime=…`` for *request_time* (s), or nothing without a token."""
        return "" if self.token is None else f"&Sign={sign(self.token, request_time)}&RequestTime={request_time}"

    def callback(self, event: CallbackEvent, request_time: int) -> CallbackRequest:
        """The same request as a value, e.g. for a curl line."""
        query = self.query_with(event, self.signature(request_time))
        return CallbackRequest(
            self.url.with_query(query), event.body, tuple(self._own_headers()), signed=self.token is not None
        )

    def raw_request(self, callback: CallbackRequest) -> bytes:
        """*callback* as the bytes of a request, with exactly its path, query and body."""
        parts = urlsplit(callback.url)
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        named = {name.lower() for name, _ in callback.headers} | {"content-type"}
        ours = [(name, value) for name, value in self._all_headers() if name.lower() not in named]
        headers = [*ours, *callback.headers]
        length = b"" if callback.body is None else b"Content-Length: %d\r\n" % len(callback.body)
        line = f"{callback.method} {path} HTTP/1.1\r\n".encode("latin-1")
        return b"%b%b%b\r\n%b" % (line, _header_lines(headers), length, callback.body or b"")

    def _before_address(self, command: str) -> str:
        known = (("SdkAppid", str(self.sdkappid)), ("CallbackCommand", command), ("contenttype", self.contenttype))
        return "".join(f"{name}={quote(value, safe='')}&" for name, value in known) + "ClientIP="

    def _after_address(self, platform: str, signature: str) -> str:
        return f"&OptPlatform={quote(platform, safe='')}{signature}"

    def _head(self, command: str) -> bytes:
        if len(self._heads) >= _MOST_KEPT:
            self._heads.clear()
        head = f"POST {self.url.target(self._before_address(command))}".encode()
        self._heads[command] = head
        return head

    def _tail(self, platform: str, request_time: int) -> bytes:
        if len(self._tails) >= _MOST_KEPT:
            self._tails.clear()
        after = self._after_address(platform, self.signature(request_time)).encode()
        tail = b"%b HTTP/1.1\r\n%bContent-Length: " % (after, self._fields)
        self._tails[platform] = tail
        return tail

    def _address(self, client_ip: str) -> bytes:
        if len(self._addresses) >= _MOST_ADDRESSES:
            self._addresses.clear()
        address = quote(client_ip, safe="").encode()
        self._addresses[client_ip] = address
        return address

    def _own_headers(self) -> list[tuple[str, str]]:
        """Roomhook's headers and the user's, without those that every client writes itself."""
        mine = {name.lower() for name, _ in self.headers}
        own = [(name, value) for name, value in JSON_CONTENT if name.lower() not in mine]
        return [*own, *((name, value) for name, value in self.headers if value)]

    def _all_headers(self) -> list[tuple[str, str]]:
        host = f"[{self.url.host}]" if ":" in self.url.host else self.url.host
        standard = (80, 443)[self.url.scheme == "https"]
        base = [("Host", host if self.url.port == standard else f"{host}:{self.url.port}")]
        base.append(("User-Agent", f"roomhook/{version('roomhook')}"))
        mine = {name.lower() for name, _ in self.headers}
        return [*((name, value) for name, value in base if name.lower() not in mine), *self._own_headers()]


def _header_lines(headers: Sequence[tuple[str, str]]) -> bytes:
    for name, value in headers:
        if (
            not name
            or not name.isascii()
            or any(sign in name + value for sign in "\r\n\0")
            or ":" in name
            or " " in name
        ):
            raise ConfigurationError(f"{name!r}: {value!r} can't be a header; write it as 'X-Name: value'")
        if name.lower() in {"content-length", "transfer-encoding"}:
            raise ConfigurationError(f"the header {name} is written by the sender; leave it out")
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1", "replace")
