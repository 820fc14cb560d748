"""One kept-alive connection to a target: writes a request, reads the answer to its last byte with httptools."""

from __future__ import annotations

import asyncio
import re
from typing import Final, Protocol, cast

import httptools

from roomhook.simulator.attempts import Attempt, head_of
from roomhook.simulator.outcomes import Outcome, outcome_of_error

__all__ = ["LARGEST_ANSWER", "BufferedConnection", "Connection", "Owner", "PlainConnection"]

LARGEST_ANSWER: Final = 4 * 1024 * 1024
"""Bytes of an answer that are read; a response packet has about 50."""

_LONGEST_KNOWN: Final = 4096
_MOST_KNOWN: Final = 256

_NEVER: Final = 1 << 63
_FRAMED: Final = re.compile(rb"(?im)^(content-length|transfer-encoding)[ \t]*:")


class Owner(Protocol):
    """Who is told what becomes of an attempt."""

    buffer: memoryview
    """What all connections of one loop read into: each hands its bytes on before the next one reads."""

    known: dict[bytes, tuple[bytes, int, bytes]]
    """Whole answers of kept-alive connections that have been parsed: the bytes, status and body."""

    def answered(self, connection: Connection, attempt: Attempt) -> None:
        """The whole answer is in *attempt*."""

    def ended(self, connection: Connection, attempt: Attempt | None, outcome: Outcome, note: str) -> None:
        """The connection is gone; *attempt*, if any was under way, got no whole answer."""


class Connection(asyncio.BaseProtocol):
    """Carries one attempt at a time; ``attempt`` is None while it is idle.

    ``reusable`` says whether another request may follow; ``give_up_ns`` is when its owner should abort it. A transport
    hands it bytes in one of two ways, so one of the classes below is what is opened.
    """

    __slots__ = (
        "_answered",
        "_begun",
        "_body",
        "_chunks",
        "_finished",
        "_known",
        "_owner",
        "_parser",
        "_size",
        "_status",
        "_transport",
        "_write",
        "attempt",
        "give_up_ns",
        "gone",
        "reusable",
        "used",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._answered = owner.answered
        self._known = owner.known.get
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._chunks: list[bytes] = []
        self._body: bytes | bytearray = b""
        self._size = 0
        self._begun = 0
        self._status = 0
        self._finished = False
        self.attempt: Attempt | None = None
        self.give_up_ns = _NEVER
        self.reusable = True
        self.used = False
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def send(self, attempt: Attempt, give_up_ns: int) -> None:
        """Write *attempt*'s request; its answer reaches the owner."""
        self.attempt = attempt
        self.give_up_ns = give_up_ns
        attempt.reused = self.used
        self.used = True
        self._write(attempt.request)

    def abort(self, outcome: Outcome, note: str) -> None:
        """Close at once; an attempt under way ends with *outcome*."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()
        self._end(outcome, note)

    def close(self) -> None:
        """Close an idle connection; ``gone`` is set when that has happened."""
        self.reusable = False
        if self._transport is not None:
            self._transport.close()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the *transport* to write to."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of asyncio's
        self._write = self._transport.write

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        attempt = self.attempt
        if attempt is None:  # bytes that answer nothing: whatever follows can't be trusted
            self.abort(Outcome.CLOSED, "")
            return
        if not self._begun and not self._chunks and (known := self._known(data)) is not None:
            attempt.received, attempt.status, attempt.body = known
            attempt.complete = True
            self.attempt = None
            self.give_up_ns = _NEVER
            self._answered(self, attempt)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.reusable = False
        except httptools.HttpParserError as error:
            self.reusable = False
            if not self._finished:
                self._chunks.append(data)
                self._take(attempt)
                self.abort(Outcome.NOT_HTTP, str(error))
                return
        if not self._finished:
            self._wait_for_more(attempt, data)
        elif self._chunks or self._begun != 1:
            self._chunks.append(data)
            self._finish(attempt)
        else:
            if self.reusable and len(data) <= _LONGEST_KNOWN:
                self._remember(data)
            self._chunks.append(data)
            self._finish(attempt)

    def eof_received(self) -> None:
        """Send nothing more; asyncio closes, and ``connection_lost`` follows."""
        self.reusable = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Judge how far an answer had come."""
        self.reusable = False
        attempt = self.attempt
        if attempt is not None and self._chunks:
            self._take(attempt)
            if attempt.status and not _FRAMED.search(head_of(attempt.received)) and exc is None:
                attempt.complete = True  # the end of the connection is the end of such a body
                self._detach()
                self._owner.answered(self, attempt)
                attempt = None
            else:
                self._end(Outcome.INCOMPLETE, str(exc or ""))
        if self.attempt is not None:
            self._end(Outcome.CLOSED if exc is None else outcome_of_error(exc), str(exc or ""))
        if not self.gone.done():
            self.gone.set_result(None)
            self._owner.ended(self, None, Outcome.CLOSED, "")

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Count, to notice a second answer where one was due."""
        self._begun += 1

    def on_body(self, body: bytes) -> None:
        """Collect the body; nearly always it comes in one piece."""
        if self._finished:
            return
        if not self._body:
            self._body = body
        elif isinstance(self._body, bytearray):
            self._body += body
        else:
            self._body = bytearray(self._body) + body

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one (1xx)."""
        if self._finished:
            return
        self._status = status = self._parser.get_status_code()
        if status < 200 and status != 101:
            self._begun -= 1
            return
        self._finished = True
        if not self._parser.should_keep_alive():
            self.reusable = False

    def _remember(self, data: bytes) -> None:
        """Parsing is a matter of the bytes alone: the same answer in one piece need not be parsed again."""
        known = self._owner.known
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known[data] = data, self._status, bytes(self._body)

    def _wait_for_more(self, attempt: Attempt, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        if self._size > LARGEST_ANSWER:
            self._take(attempt)
            self.abort(Outcome.INCOMPLETE, f"read no further than {LARGEST_ANSWER} bytes")

    def _take(self, attempt: Attempt) -> None:
        """Move what has come so far into *attempt*."""
        chunks = self._chunks
        attempt.received = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        attempt.body = bytes(self._body)
        attempt.complete = False
        attempt.status = self._parser.get_status_code() if head_of(attempt.received) else 0

    def _finish(self, attempt: Attempt) -> None:
        chunks = self._chunks
        attempt.received = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        attempt.body = bytes(self._body)
        attempt.status = self._status
        attempt.complete = True
        if self._begun != 1:
            self.reusable = False  # more than one answer came: the next would be taken for another's
        self._detach()
        self._answered(self, attempt)

    def _detach(self) -> None:
        self.attempt = None
        self.give_up_ns = _NEVER
        self._chunks = []
        self._body = b""
        self._size = 0
        self._begun = 0
        self._finished = False

    def _end(self, outcome: Outcome, note: str) -> None:
        attempt = self.attempt
        if attempt is not None:
            self._detach()
            self._owner.ended(self, attempt, outcome, note)


class PlainConnection(Connection, asyncio.Protocol):
    """Given the bytes: faster on uvloop without TLS."""

    __slots__ = ()


class BufferedConnection(Connection, asyncio.BufferedProtocol):
    """Reading into one buffer for all: several times as fast wherever the transport is written in Python, and for TLS.

    It must not be an ``asyncio.Protocol``, too: uvloop would then allocate 256 KiB for each answer over TLS.
    """

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 (asyncio's signature)
        """The owner's buffer."""
        return self._owner.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read out of the buffer, before another connection reads into it."""
        self.data_received(bytes(self._owner.buffer[:nbytes]))
