"""One kept-alive connection to a target: writes a request, and reads the response to its last byte with httptools."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from os import write
from time import monotonic_ns
from typing import Final, Protocol, cast

import httptools

from roomhook.simulator.protocol.outcomes import DeliveryOutcome, outcome_of_error
from roomhook.simulator.transport.attempt import Attempt, AttemptResult, head_of
from roomhook.simulator.transport.result_cache import ResultCache
from roomhook.simulator.transport.turn import Turn
from roomhook.simulator.util.defaults import LARGEST_ANSWER

__all__ = ["BufferedConnection", "Came", "Connection", "Owner", "PlainConnection", "ends_with_connection"]

_FRAMED: Final = re.compile(rb"(?im)^(content-length|transfer-encoding)[ \t]*:")


class Owner(Protocol):
    """Receives the events of connections."""

    buffer: memoryview
    """What all connections of one loop read into: each hands its bytes on before the next one reads."""

    results: ResultCache
    """What whole answers come to."""

    turn: Turn
    """Collects the attempts that have got their outcomes."""

    def ended(
        self, connection: Connection, attempt: Attempt | None, outcome: DeliveryOutcome, note: str, came: Came
    ) -> None:
        """The connection is closed; *attempt*, if one was in flight, got no complete response."""


Came = tuple[bytes, int, bytes]
"""The part of an answer that came: its bytes, its status (0 without a whole head), and its body."""

_NOTHING: Final[Came] = (b"", 0, b"")
_NO_ANSWER: Final = AttemptResult(DeliveryOutcome.CLOSED)


class Connection(asyncio.BaseProtocol):
    """Carries one attempt at a time; ``attempt`` is None while it is idle.

    ``reusable`` says whether another request may follow. Transports differ in how they are best written to and read
    from, so one of the classes below is what is opened.
    """

    __slots__ = (
        "_begun",
        "_body",
        "_chunks",
        "_ended",
        "_finished",
        "_known",
        "_last",
        "_owner",
        "_parser",
        "_size",
        "_status",
        "_transport",
        "_write",
        "attempt",
        "gone",
        "reusable",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._ended = owner.turn.ended
        self._known = owner.results.known.get
        self._last = _NO_ANSWER
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._chunks: list[bytes] = []
        self._body: bytes | bytearray = b""
        self._size = 0
        self._begun = 0
        self._status = 0
        self._finished = False
        self.attempt: Attempt | None = None
        self.reusable = True
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def send(self, attempt: Attempt) -> None:
        """Write *attempt*'s request; its outcome reaches the owner."""
        self.attempt = attempt
        self._write(attempt.request)

    def abort(self, outcome: DeliveryOutcome, note: str) -> None:
        """Close at once; an attempt in flight ends with *outcome*."""
        self._abort(outcome, note, _NOTHING)

    def close(self) -> None:
        """Close an idle connection; ``gone`` is set when it is closed."""
        self.reusable = False
        if self._transport is not None:
            self._transport.close()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the *transport* to write to."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of asyncio's
        self._write = self._transport.write

    def data_received(self, data: bytes) -> None:
        """Parse *data*, unless it is a response whose bytes are known."""
        attempt = self.attempt
        if self._chunks or attempt is None:
            self._parse(data)
            return
        result = self._last
        if data != result.received:  # to compare is quicker than to hash
            known = self._known(data)
            if known is None:
                self._parse(data)
                return
            result = self._last = known
        self._end(attempt, result)

    def eof_received(self) -> None:
        """Send nothing more; asyncio closes, and ``connection_lost`` follows."""
        self.reusable = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Classify a partial response when the connection closes."""
        self.reusable = False
        attempt = self.attempt
        if attempt is not None and self._chunks:
            came = self._came()
            received, status, body = came
            if status and exc is None and ends_with_connection(received):
                self._reset()
                self._end(attempt, self._owner.results.result_of(received, status, body, reusable=False))
            else:
                self._break_off(DeliveryOutcome.INCOMPLETE, str(exc or ""), came)
        elif attempt is not None:
            self._break_off(DeliveryOutcome.CLOSED if exc is None else outcome_of_error(exc), str(exc or ""), _NOTHING)
        if not self.gone.done():
            self.gone.set_result(None)
            self._owner.ended(self, None, DeliveryOutcome.CLOSED, "", _NOTHING)

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Count responses, to notice a second one."""
        self._begun += 1

    def on_body(self, body: bytes) -> None:
        """Collect the body of an answer that comes in one piece, as nearly all do; see ``_whole_body`` for others."""
        if self._finished or len(self._chunks) > 1:
            return
        if not self._body:
            self._body = body
        elif isinstance(self._body, bytearray):
            self._body += body
        else:
            self._body = bytearray(self._body) + body

    def on_message_complete(self) -> None:
        """Mark the response as complete, unless it is an interim one (1xx)."""
        if self._finished:
            return
        self._status = status = self._parser.get_status_code()
        if status < 200 and status != 101:
            self._begun -= 1
            return
        self._finished = True
        if not self._parser.should_keep_alive():
            self.reusable = False

    def _parse(self, data: bytes) -> None:
        if self.attempt is None:  # bytes that answer nothing: whatever follows can't be trusted
            self.abort(DeliveryOutcome.CLOSED, "")
            return
        self._chunks.append(data)
        if len(self._chunks) == 2:
            self._body = b""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.reusable = False
        except httptools.HttpParserError as error:
            self.reusable = False
            if not self._finished:
                self._abort(DeliveryOutcome.NOT_HTTP, str(error), self._came())
                return
        if self._finished:
            self._finish(self.attempt)
            return
        self._size += len(data)
        if self._size > LARGEST_ANSWER:
            self._abort(DeliveryOutcome.INCOMPLETE, f"read no further than {LARGEST_ANSWER} bytes", self._came())

    def _finish(self, attempt: Attempt) -> None:
        whole = len(self._chunks) == 1
        received = self._chunks[0] if whole else b"".join(self._chunks)
        if self._begun != 1:
            self.reusable = False  # more than one answer came: the next would be taken for another's
        reusable = whole and self.reusable
        result = self._owner.results.result_of(received, self._status, self._whole_body(received), reusable=reusable)
        self._reset()
        self._end(attempt, result)

    def _came(self) -> Came:
        """The bytes received so far."""
        received = b"".join(self._chunks)
        return received, self._parser.get_status_code() if head_of(received) else 0, self._whole_body(received)

    def _whole_body(self, received: bytes) -> bytes:
        """The body in *received*, which is all that has come.

        What comes in pieces may be large: to keep its body beside it would take twice the memory on each connection.
        """
        return bytes(self._body) if len(self._chunks) == 1 else _body_in(received)

    def _reset(self) -> None:
        """Prepare for the next response."""
        self._chunks = []
        self._body = b""
        self._size = 0
        self._begun = 0
        self._finished = False

    def _abort(self, outcome: DeliveryOutcome, note: str, came: Came) -> None:
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()
        self._break_off(outcome, note, came)

    def _end(self, attempt: Attempt, result: AttemptResult) -> None:
        """Hand over a complete response, to be judged with the others of this turn."""
        self.attempt = None
        attempt.result = result
        attempt.done_ns = monotonic_ns()
        ended = self._ended
        if not ended:
            self._owner.turn.begin()
        ended.append(attempt)

    def _break_off(self, outcome: DeliveryOutcome, note: str, came: Came) -> None:
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            self._reset()
            self._owner.ended(self, attempt, outcome, note, came)


class PlainConnection(Connection, asyncio.Protocol):
    """For uvloop without TLS: given the bytes, and writing to the socket at once.

    uvloop itself would write when its turn is over, at a twentieth more of the whole cost of a callback.
    """

    __slots__ = ("_descriptor",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the *transport*, and the descriptor of its socket, which it closes after ``connection_lost``."""
        super().connection_made(transport)
        self._descriptor: int = transport.get_extra_info("socket").fileno()

    def send(self, attempt: Attempt) -> None:
        """Write *attempt*'s request; its outcome reaches the owner."""
        self.attempt = attempt
        request = attempt.request
        try:
            written = write(self._descriptor, request)
        except OSError:  # the transport meets the same, and says what it means
            written = 0
        if written < len(request):
            self._descriptor = -1  # from now on, nothing may overtake what the transport still has to write
            self._write(request[written:])

    def connection_lost(self, exc: Exception | None) -> None:
        """As above, and never again write to a descriptor that may be another's soon."""
        self._descriptor = -1
        super().connection_lost(exc)


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


def ends_with_connection(received: bytes | bytearray) -> bool:
    """Whether the response that starts as *received* ends with its connection, because it has no length."""
    head = head_of(received)
    return bool(head) and not _FRAMED.search(head)


class _Body:
    """Collects the body of the first response that is not interim."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.status: Callable[[], int] = int
        self._finished = False

    def on_body(self, body: bytes) -> None:
        if not self._finished:
            self.pieces.append(body)

    def on_message_complete(self) -> None:
        self._finished = self._finished or self.status() >= 200 or self.status() == 101


def _body_in(received: bytes) -> bytes:
    """The body in *received*, as far as it has arrived."""
    body = _Body()
    parser = httptools.HttpResponseParser(body)
    body.status = parser.get_status_code
    with suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
        parser.feed_data(received)
    body.status = int  # lest the two hold each other in memory
    return b"".join(body.pieces)
