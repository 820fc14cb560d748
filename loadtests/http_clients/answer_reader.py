"""Reads and judges one response for locust's own HTTP clients, with the parser and the limits of the fast sender."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import httptools

from roomhook.simulator.protocol.outcomes import DeliveryOutcome, outcome_of_error
from roomhook.simulator.protocol.response_check import Response, check_response
from roomhook.simulator.transport.attempt import AttemptResult, head_of
from roomhook.simulator.transport.connection import ends_with_connection
from roomhook.simulator.transport.result_cache import ResultCache, requirement_ids
from roomhook.simulator.util.defaults import LARGEST_ANSWER

__all__ = ["AnswerReader", "Readable"]

_READ_AT_ONCE: Final = 1 << 16
_CONTINUE: Final = 100


class Readable(Protocol):
    """A connected socket, with or without TLS."""

    def recv(self, size: int, /) -> bytes:
        """Up to *size* bytes; empty at the end of the connection. Raises ``OSError``."""
        ...


class AnswerReader:
    """Reads one response, until *deadline_s* (s, on the monotonic *clock*) and at most ``LARGEST_ANSWER`` bytes.

    ``result`` is None until the response is complete or has failed. ``clean`` is true if nothing followed the response,
    so the connection can be used again. *pause* lets other users run while data keeps coming.
    """

    __slots__ = ("_clock", "_deadline_s", "_known", "_parsing", "_pause", "clean", "result")

    def __init__(
        self, known: ResultCache, deadline_s: float, clock: Callable[[], float], pause: Callable[[], object]
    ) -> None:
        self.clean = True
        self.result: AttemptResult | None = None
        self._known = known
        self._deadline_s = deadline_s
        self._clock = clock
        self._pause = pause
        self._parsing: _Parsing | None = None

    def read(self, source: Readable) -> bytes:
        """The bytes up to the end of the response, or up to a first ``100 Continue``; empty if it has already ended.

        Raises ``TimeoutError`` after the deadline, and ``ConnectionAbortedError`` if the response is too long, cut off,
        or not HTTP.
        """
        came = b""
        while self.result is None:
            data = self._take(source)
            came = came + data if came else data
            if self._parsing is not None and self._parsing.to_be_continued:
                break
        if self.result is not None and not self.result.complete:
            error = TimeoutError if self.result.outcome is DeliveryOutcome.TIMEOUT else ConnectionAbortedError
            raise error(f"the App backend {self.result.outcome.explained}")
        return came

    def _take(self, source: Readable) -> bytes:
        """Read once. Checks the clock itself, because gevent's timers never fire while data keeps coming."""
        if self._clock() >= self._deadline_s:
            self._fail(DeliveryOutcome.TIMEOUT)
            return b""
        try:
            data = source.recv(_READ_AT_ONCE)
        except OSError as error:
            outcome = outcome_of_error(error)
            cut = self._parsing is not None and outcome is not DeliveryOutcome.TIMEOUT
            self._fail(DeliveryOutcome.INCOMPLETE if cut else outcome)
            return b""
        if self._parsing is None:
            self.result = self._known.known.get(data)
        if self.result is None:
            self._parse(data)
        return data

    def _parse(self, data: bytes) -> None:
        if not data:
            self._end()
            return
        first = self._parsing is None
        parsing = self._parsing = self._parsing or _Parsing()
        parsing.feed(data)
        self.clean = parsing.clean
        if parsing.whole:
            self._succeed(reusable=first and self.clean and parsing.keep_alive)
        elif parsing.failed:
            self._fail(DeliveryOutcome.NOT_HTTP)
        elif len(parsing.received) > LARGEST_ANSWER:
            self._fail(DeliveryOutcome.INCOMPLETE)
        else:
            self._pause()

    def _end(self) -> None:
        """Handle the end of the connection, which may be the end of the response."""
        if self._parsing is None:
            self._fail(DeliveryOutcome.CLOSED)
        elif ends_with_connection(self._parsing.received):
            self._succeed(reusable=False)
        else:
            self._fail(DeliveryOutcome.INCOMPLETE)

    def _succeed(self, *, reusable: bool) -> None:
        assert self._parsing is not None
        found, self._parsing = self._parsing, None
        self.result = self._known.result_of(bytes(found.received), found.code, found.body, reusable=reusable)
        found.close()

    def _fail(self, outcome: DeliveryOutcome) -> None:
        self.clean = False
        found, self._parsing = self._parsing, None
        status = found.code if found is not None and head_of(found.received) else 0
        body = found.body if found is not None else b""
        missed: tuple[str, ...] = (outcome.missed,)
        if outcome is DeliveryOutcome.INCOMPLETE and status:
            answer = Response(status, (), body, 0, complete=False)
            missed = requirement_ids(check_response(answer, deadline_ms=1).breaches)
        self.result = AttemptResult(outcome, missed, status=status, body=body)
        if found is not None:
            found.close()


class _Parsing:
    """Parser state of one response, without interim responses (1xx).

    ``received`` has all bytes, ``code`` is the HTTP status, ``whole`` means complete, ``failed`` means not HTTP.
    """

    def __init__(self) -> None:
        self.received = bytearray()
        self.whole = False
        self.failed = False
        self.code = 0
        self._upgraded = False
        self._body: list[bytes] = []
        self._answers = 0
        self._interim = 0
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    @property
    def body(self) -> bytes:
        """The body, without chunk framing."""
        return b"".join(self._body)

    @property
    def clean(self) -> bool:
        """Whether at most one response has arrived."""
        return not (self.failed or self._upgraded) and self._answers <= 1

    @property
    def keep_alive(self) -> bool:
        """Whether the target keeps the connection open."""
        return self._parser is not None and bool(self._parser.should_keep_alive())

    @property
    def to_be_continued(self) -> bool:
        """Whether the target has sent one ``100 Continue`` and nothing else."""
        return self._interim == 1 and not self._answers and self.code == _CONTINUE

    def feed(self, data: bytes) -> None:
        """Parse *data*, the next bytes of the connection; errors set ``failed``."""
        assert self._parser is not None
        self.received += data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._upgraded = True
        except httptools.HttpParserError:
            self.failed = True
        if not self.whole:
            self.code = self._parser.get_status_code()

    def close(self) -> None:
        """Drop the parser, which refers to this object: the cycle would keep both in memory."""
        self._parser = None

    # Callbacks of httptools.

    def on_message_begin(self) -> None:
        """Count responses, to notice a second one."""
        self._answers += 1

    def on_body(self, body: bytes) -> None:
        """Collect the body of the first response."""
        if not self.whole:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Mark the response as complete, unless it is an interim one (1xx)."""
        if self.whole or self._parser is None:
            return
        self.code = self._parser.get_status_code()
        if self.code < 200 and self.code != 101:
            self._answers -= 1
            self._interim += 1
        else:
            self.whole = True
