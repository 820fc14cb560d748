"""One attempt: the bytes that were sent, what came back, when, and how it is judged."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.response_check import Response, ResponseVerdict, Violation, check_response
from roomhook.simulator.transport.delivery import NO_DELIVERY, Delivery

__all__ = ["Attempt", "AttemptResult", "Carrier", "head_of"]


class AttemptResult:
    """Result of an attempt: its outcome, and the response as far as it arrived.

    ``received`` has the bytes as they travelled, ``body`` the response's body without chunk framing; ``status`` is 0
    without a response. ``breaches`` has the ids of the requirements that the response does not meet, ``note`` explains
    an outcome in the transport's words. Attempts with equal results share one object, so they can be counted together.
    """

    __slots__ = ("body", "breaches", "complete", "note", "outcome", "received", "status")

    def __init__(
        self,
        outcome: DeliveryOutcome,
        breaches: tuple[str, ...] = (),
        *,
        received: bytes = b"",
        status: int = 0,
        body: bytes = b"",
        complete: bool = False,
        note: str = "",
    ) -> None:
        self.outcome = outcome
        self.breaches = breaches
        self.received = received
        self.status = status
        self.body = body
        self.complete = complete
        self.note = note

    def judgement(self, elapsed_ms: float, deadline_ms: float) -> ResponseVerdict:
        """Both axes in full, with what was expected and what came."""
        answer = self.answer(elapsed_ms)
        if answer is not None and (self.complete or self.outcome is DeliveryOutcome.INCOMPLETE):
            return check_response(answer, deadline_ms=deadline_ms)
        expected = f"an answer within {deadline_ms:g} ms" if self.outcome is DeliveryOutcome.TIMEOUT else "HTTP 200"
        said = f"it {self.outcome.explained}" + (f" ({self.note})" if self.note else "")
        return ResponseVerdict(self.outcome, (Violation(self.outcome.missed, expected, said),))

    def answer(self, elapsed_ms: float) -> Response | None:
        """The answer as ``compliance`` reads it, or None without one."""
        if not self.status:
            return None
        lines = head_of(self.received).split(b"\r\n")[1:]
        pairs = (line.decode("latin-1").partition(":") for line in lines if b":" in line)
        headers = tuple((name.strip(), value.strip()) for name, _, value in pairs)
        return Response(self.status, headers, self.body, elapsed_ms, self.complete)


class Carrier(Protocol):
    """The connection of an attempt; ``reusable`` says whether another request may follow on it."""

    reusable: bool

    def send(self, attempt: Attempt) -> None:
        """Write *attempt*'s request."""

    def close(self) -> None:
        """Close it, now that it is idle."""


_NO_RESULT: Final = AttemptResult(DeliveryOutcome.CLOSED)


class Attempt(msgspec.Struct, gc=False, eq=False):
    """One POST of a callback. All times are in ns on the monotonic clock.

    ``request`` has the bytes as they travelled, ``intended_ns`` is the scheduled time of sending (0: none), and
    ``check_out`` the packet's Type, if known. In a run, it is attempt ``number`` (from 1) of a ``delivery``, and
    ``kind`` is first, retry or copy; ``request_time`` (s since the epoch) is that of its signature, 0 without one.

    The sender fills in the rest: ``connection`` is the last one used, ``fresh`` says that it was new, ``resent`` that
    the target closed a kept-alive connection before any byte of a response and the request was sent again. ``final``
    says, once there is a result, that the delivery needs no further attempt.
    """

    request: bytes
    intended_ns: int = 0
    check_out: str = ""
    delivery: Delivery = msgspec.field(default_factory=lambda: NO_DELIVERY)
    kind: str = "first"
    number: int = 1
    request_time: int = 0
    sent_ns: int = 0
    done_ns: int = 0
    result: AttemptResult = _NO_RESULT
    connection: Carrier | None = None
    fresh: bool = False
    resent: bool = False
    final: bool = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.result.outcome} status={self.result.status} {self.elapsed_ms:.1f} ms>"

    @property
    def reused(self) -> bool:
        """Whether it was sent on a connection that had carried another attempt before."""
        return self.connection is not None and not self.fresh

    @property
    def elapsed_ms(self) -> float:
        """From the first byte sent to the end of the attempt (ms)."""
        return (self.done_ns - self.sent_ns) / 1e6

    @property
    def latency_ms(self) -> float:
        """From the intended moment of sending, or the actual one if there is none, to the end of the attempt (ms)."""
        return (self.done_ns - (self.intended_ns or self.sent_ns)) / 1e6

    @property
    def delivered(self) -> bool:
        """Whether the Room backend would count it as delivered."""
        return self.result.outcome is DeliveryOutcome.DELIVERED

    @property
    def acknowledged(self) -> bool:
        """HTTP 200 in time with a compliant packet whose ActionStatus is OK."""
        return not self.result.breaches

    @property
    def answer(self) -> Response | None:
        """The answer as ``compliance`` reads it, or None without one."""
        return self.result.answer(self.elapsed_ms)

    def judgement(self, deadline_ms: float) -> ResponseVerdict:
        """Both axes in full, with what was expected and what came; ``breaches`` holds the ids of the same."""
        return self.result.judgement(self.elapsed_ms, deadline_ms)


def head_of(received: bytes | bytearray) -> bytes:
    """The head of the final response in *received*, without interim (1xx) responses; empty until it is complete."""
    begin = 0
    while (end := received.find(b"\r\n\r\n", begin)) >= 0:
        code = received[begin + 9 : begin + 12]
        if code[:1] != b"1" or code == b"101":
            return bytes(received[begin:end])
        begin = end + 4
    return b""
