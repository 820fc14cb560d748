"""A recording App backend: takes callbacks as fast as one core can, loses none, and answers as it is told.

Requests that arrive together are written to the journal together, and only then answered: whoever has an answer can
rely on the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import sqlite3
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import httptools

from roomhook.errors import ConfigurationError
from roomhook.simulator.journal.received import ReceivedCallback, ReceivedCallbackJournal
from roomhook.simulator.protocol.packets import OK_RESPONSE, ResponsePacket, encode
from roomhook.simulator.protocol.request_check import CallbackValidator, ValidationResult
from roomhook.simulator.util.durations import parse_duration

__all__ = ["CannedAnswer", "Listener", "parse_answer"]

_LARGEST_REQUEST: Final = 16 * 1024 * 1024
_STATUSES: Final = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    405: "Method Not Allowed",
    413: "Content Too Large",
}
_REFUSED_WITH: Final = {"app-id": 403, "sign": 403, "method": 405}
_STATUS: Final = re.compile(r"[2-5][0-9]{2}")
_TO_HEED: Final = re.compile(rb"(?im)^(?:expect:[ \t]*100-continue|content-length:[ \t]*([0-9]{8,}))")
"""What may have to be answered before a body comes: who waits for a word, and bodies of 10 MB or more."""

_CHUNKED: Final = re.compile(rb"(?im)^transfer-encoding:")


@dataclass(frozen=True, slots=True)
class CannedAnswer:
    """What is answered to a callback without problems: the bytes ``kept`` alive or not, after ``delay_s``."""

    answer: bytes
    last: bytes
    delay_s: float = 0.0


def parse_answer(text: str) -> CannedAnswer:
    """``ok``, ``fail``, ``status:503``, ``delay:3s`` or ``garbage``; raises ``ConfigurationError``."""
    kind, _, value = text.partition(":")
    if kind == "ok" and not value:
        return _answering(200, OK_RESPONSE)
    if kind == "fail" and not value:
        return _answering(200, ResponsePacket(action_status="FAIL", error_info="told to fail", error_code=1))
    if kind == "garbage" and not value:
        garbage = b"\x16\x03\x01\x02\x00 this is no HTTP answer\r\n\r\n"
        return CannedAnswer(garbage, garbage)
    if kind == "status" and _STATUS.fullmatch(value):
        if value == "200":
            return _answering(200, OK_RESPONSE)
        said = ResponsePacket(action_status="FAIL", error_info=f"told to answer {value}", error_code=1)
        return _answering(int(value), said)
    if kind == "delay":
        ok = _answering(200, OK_RESPONSE)
        with contextlib.suppress(ConfigurationError):
            return CannedAnswer(ok.answer, ok.last, parse_duration(value) / 1000)
    raise ConfigurationError(f"--answer {text!r} is none of ok, fail, status:503, delay:3s, garbage")


@dataclass
class Listener:
    """Takes callbacks on a socket; ``counts`` are what it has taken so far (received, problem, one for each Type).

    *on_complete* gets every batch of receipts once it is safe. Use ``start`` and ``stop`` on a running loop.
    """

    inspector: CallbackValidator
    answering: CannedAnswer
    receipts: ReceivedCallbackJournal | None = None
    on_complete: Callable[[Sequence[ReceivedCallback]], object] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    _waiting: list[tuple[_Peer, ReceivedCallback, bool]] = field(default_factory=list)
    _peers: set[_Peer] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _limit: int | None = None
    _reached: Callable[[], object] | None = None
    _failed: asyncio.Future[None] | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Listen there (port 0: a free one); returns the address; raises ``ConfigurationError`` if that can't be."""
        loop = asyncio.get_running_loop()
        self._failed = loop.create_future()
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            listening = socket.create_server((host, port), family=family, backlog=4096)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(f"can't listen on {host}:{port} ({error}); choose another --listen") from None
        self._server = await loop.create_server(lambda: _Peer(self), sock=listening, ssl=tls, backlog=4096)
        address = listening.getsockname()
        return str(address[0]), int(address[1])

    async def failure(self) -> None:
        """Wait for a journal that can't be written any more; raises its ``sqlite3.Error``."""
        assert self._failed is not None
        await asyncio.shield(self._failed)

    def stop_after(self, count: int | None, reached: Callable[[], object]) -> None:
        """Call *reached* once *count* requests have been answered."""
        self._limit = count
        self._reached = reached

    async def stop(self) -> None:
        """Take no more, answer what has arrived, close all connections."""
        if self._server is not None:
            self._server.close()
        self._flush()
        if self._failed is not None:
            self._failed.cancel()
        for peer in tuple(self._peers):
            peer.hang_up()
        await asyncio.sleep(0)
        for _ in range(200):
            if not self._peers:
                break
            await asyncio.sleep(0.005)
        for peer in tuple(self._peers):
            peer.abort()
        if self.receipts is not None:
            self.receipts.close()

    # What peers call.

    def joined(self, peer: _Peer) -> None:
        """A connection has been opened."""
        self._peers.add(peer)

    def left(self, peer: _Peer) -> None:
        """A connection is gone."""
        self._peers.discard(peer)

    def arrived(self, peer: _Peer, method: bytes, target: bytes, head: bytes, body: bytes, *, last: bool) -> None:
        """A whole request has arrived; *last* says that its connection is to be closed after the answer."""
        inspected = self.inspector.inspect(method, target, body)
        answering = self.answering if inspected.problem is None else _refusing(inspected)
        self._note(peer, head, body, inspected, answering.last if last else answering.answer, last=last)

    def broken(self, peer: _Peer, raw: bytes, status: int, problem: str) -> None:
        """Bytes have arrived that are no request."""
        inspected = ValidationResult(problem=problem, refusal="http")
        said = ResponsePacket(action_status="FAIL", error_info=problem[:200], error_code=1)
        self._note(peer, raw, b"", inspected, _answering(status, said).last, last=True)

    def _note(
        self, peer: _Peer, head: bytes, body: bytes, inspected: ValidationResult, answer: bytes, *, last: bool
    ) -> None:
        receipt = ReceivedCallback(time.time_ns() // 1000, peer.name, head, body, inspected, answer)
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append((peer, receipt, last))

    def _flush(self) -> None:
        """Write down what has arrived since the last time, then answer it."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        receipts = [receipt for _, receipt, _ in waiting]
        try:
            if self.receipts is not None:
                self.receipts.write(receipts)
        except sqlite3.Error as error:  # then nobody is answered, so nothing counts as taken
            assert self._failed is not None
            if not self._failed.done():
                self._failed.set_exception(error)
            return
        self.counts["received"] += len(receipts)
        for receipt in receipts:
            inspected = receipt.inspected
            self.counts["problem" if inspected.problem is not None else inspected.type or "?"] += 1
        delay_s = self.answering.delay_s
        for peer, receipt, last in waiting:
            if delay_s and receipt.inspected.problem is None:
                asyncio.get_running_loop().call_later(delay_s, peer.answer, receipt.answer, last)
            else:
                peer.answer(receipt.answer, last)
        if self.on_complete is not None:
            self.on_complete(receipts)
        if self._limit is not None and self._reached is not None and self.counts["received"] >= self._limit:
            self._reached()


class _Peer(asyncio.Protocol):
    """One connection from a sender."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._raw = bytearray()
        self._target = b""
        self._body: list[bytes] = []
        self._size = 0
        self._is_too_large = False
        self.name = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.name = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""
        self._listener.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        self._transport = None
        self._listener.left(self)

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        self._raw += data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "no upgrade is offered")
        except httptools.HttpParserError as error:
            self._refuse(400, f"not HTTP: {error}")
        else:
            if self._is_too_large or self._size > _LARGEST_REQUEST or len(self._raw) > 2 * _LARGEST_REQUEST:
                self._refuse(413, f"the request is larger than {_LARGEST_REQUEST} bytes")

    def eof_received(self) -> bool:
        """Stay open for answers that are still to come, if any."""
        return self._listener.answering.delay_s > 0

    # What httptools calls.

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_headers_complete(self) -> None:
        found = list(_TO_HEED.finditer(self._raw, 0, self._raw.find(b"\r\n\r\n") + 2))
        if any(one[1] and _is_too_large(one[1]) for one in found):
            self._is_too_large = True
        elif any(one[1] is None for one in found) and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size <= _LARGEST_REQUEST and not self._is_too_large:
            self._body.append(body)

    def on_message_complete(self) -> None:
        raw = self._raw
        end = raw.find(b"\r\n\r\n") + 4
        head = bytes(raw[:end])
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        chunked = _CHUNKED.search(head) is not None
        # After a chunked body, nobody can tell where in the raw bytes the next request begins.
        last = chunked or not self._parser.should_keep_alive()
        del raw[: len(raw) if chunked else end + len(body)]
        target = self._target
        self._target, self._body, self._size = b"", [], 0
        self._listener.arrived(self, self._parser.get_method(), target, head, body, last=last)

    # What the listener calls.

    def answer(self, answer: bytes, last: bool) -> None:
        """Write an answer, and hang up after the last."""
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

    def _refuse(self, status: int, problem: str) -> None:
        raw, self._raw = bytes(self._raw[:65536]), bytearray()
        self._listener.broken(self, raw, status, problem)
        if self._transport is not None:
            self._transport.pause_reading()


def _is_too_large(length: bytes) -> bool:
    return len(length) > 15 or int(length) > _LARGEST_REQUEST


def _refusing(inspected: ValidationResult) -> CannedAnswer:
    said = ResponsePacket(action_status="FAIL", error_info=(inspected.problem or "")[:200], error_code=1)
    return _answering(_REFUSED_WITH.get(inspected.refusal or "", 400), said)


def _answering(status: int, packet: ResponsePacket) -> CannedAnswer:
    body = b"" if status in {204, 304} else encode(packet)
    length = b"" if status in {204, 304} else b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    line = f"HTTP/1.1 {status} {_STATUSES.get(status, 'Told To')}\r\n".encode()
    return CannedAnswer(b"%b%b\r\n%b" % (line, length, body), b"%b%bConnection: close\r\n\r\n%b" % (line, length, body))
