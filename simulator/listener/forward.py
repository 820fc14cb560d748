"""Passes callbacks on to a local App backend, byte for byte, and returns its responses."""

from __future__ import annotations

import re
import ssl
from typing import Final, NamedTuple

from roomhook.simulator.listener.answers import error_answer
from roomhook.simulator.listener.connection import ArrivedRequest
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.transport.sender import Sender
from roomhook.simulator.transport.target import Target

__all__ = ["Forwarded", "Forwarder"]

_GIVE_UP_MS: Final = 30_000.0
_CONNECTIONS: Final = 256
_HOP_BY_HOP: Final = re.compile(
    rb"(?im)^(?:host|connection|keep-alive|proxy-[a-z]+|te|trailer|transfer-encoding|content-length|upgrade|"
    rb"http2-settings|expect):[^\r\n]*(?:\r\n|$)"
)
_CLOSES: Final = re.compile(rb"(?im)^connection:[ \t]*close")


class Forwarded(NamedTuple):
    """The response of the App backend as it travelled, and whether it ends the connection."""

    answer: bytes
    last: bool


class Forwarder:
    """Sends requests on to *url*; a URL without a path keeps the path of the request. Use it on a running loop."""

    def __init__(self, url: CallbackUrl, tls: ssl.SSLContext | None = None) -> None:
        self._url = url
        self._sender = Sender(
            Target(url, 0, tls=tls), deadline_ms=_GIVE_UP_MS, give_up_ms=_GIVE_UP_MS, connections=_CONNECTIONS
        )

    async def forward(self, request: ArrivedRequest) -> Forwarded:
        """The App backend's response; 502 with FAIL if there is none."""
        attempt = await self._sender.send(self.request(request))
        result = attempt.result
        if not result.complete:
            reason = f"{self._url.host}:{self._url.port} {result.outcome.explained}"
            answer = error_answer(502, f"not forwarded: {reason}{f' ({result.note})' if result.note else ''}")
            return Forwarded(answer.last, last=True)
        head = result.received.partition(b"\r\n\r\n")[0]
        return Forwarded(result.received, last=request.last or _CLOSES.search(head) is not None)

    def request(self, request: ArrivedRequest) -> bytes:
        """*request* for the App backend: its own Host, everything else as it arrived."""
        line, _, lines = request.head.partition(b"\r\n")
        path, mark, query = request.target.partition(b"?")
        own = self._url.target("").encode().rstrip(b"?&")
        target = path + mark + query if own in {b"", b"/"} else own + (b"&" if b"?" in own else mark) + query
        version = line.rpartition(b" ")[2] if line.endswith((b"1.1", b"1.0")) else b"HTTP/1.1"
        headers = _HOP_BY_HOP.sub(b"", lines.removesuffix(b"\r\n\r\n") + b"\r\n")
        host = f"[{self._url.host}]" if ":" in self._url.host else self._url.host
        first = b"%b %b %b\r\nHost: %b:%d\r\n" % (request.method, target, version, host.encode(), self._url.port)
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (first, headers, len(request.body), request.body)

    async def close(self) -> None:
        """Close the connections."""
        await self._sender.close()
