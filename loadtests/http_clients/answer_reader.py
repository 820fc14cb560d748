"""Reads and judges one answer for locust's own HTTP clients, with the parser and the limits of the fast lane."""

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
        """Up to *size* bytes; none at the end of the connection. Raises ``OSError``."""
        ...


class AnswerReader:
    """The answer to one request, due at *deadline_s* on the monotonic *clock*; at most ``LARGEST_ANSWER`` bytes.

    ``result`` is None until the answer is whole or has failed. ``clean`` tells that nothing followed it, so that the
    connection can carry another request. *pause* lets other users work while data keeps coming.
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
        """What comes until the answer has ended, or a first ``100 Continue``; empty if it has ended already.

        Raises ``OSError`` if the answer has failed: too late, too long, cut off, or not HTTP.
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
        """Read once. The clock decides here: gevent's timers never fire while data keeps coming."""
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
        """The target has closed the connection, which may be the end of the answer."""
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
    """An answer that is being parsed: the first that is no interim one (1xx)."""

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
        """The body, with any chunking undone."""
        return b"".join(self._body)

    @property
    def clean(self) -> bool:
        """No more than one answer has come."""
        return not (self.failed or self._upgraded) and self._answers <= 1

    @property
    def keep_alive(self) -> bool:
        """Does the connection stay open?"""
        return self._parser is not None and bool(self._parser.should_keep_alive())

    @property
    def to_be_continued(self) -> bool:
        """The target has said 100 Continue once, and nothing else."""
        return self._interim == 1 and not self._answers and self.code == _CONTINUE

    def feed(self, data: bytes) -> None:
        """Parse *data*."""
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
        """Let go of the parser, which knows this object: the two would hold each other in memory."""
        self._parser = None

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Count, to notice a second answer where one was due."""
        self._answers += 1

    def on_body(self, body: bytes) -> None:
        """Collect the body of the first answer."""
        if not self.whole:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one (1xx)."""
        if self.whole or self._parser is None:
            return
        self.code = self._parser.get_status_code()
        if self.code < 200 and self.code != 101:
            self._answers -= 1
            self._interim += 1
        else:
            self.whole = True
