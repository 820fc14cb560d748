"""One attempt: the bytes that were sent, what came back, when, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from roomhook.simulator.compliance import Answer, Breach, Judgement, judge
from roomhook.simulator.outcomes import Outcome

__all__ = ["Attempt", "Done", "head_of"]

_BLAMED: Final = {Outcome.TIMEOUT: "ack.deadline", Outcome.INCOMPLETE: "ack.complete"}


Done = Callable[["Attempt"], object]
"""Who is told when an attempt has its outcome."""


class Attempt:
    """One POST of a callback. All times are ns on the monotonic clock.

    The sender fills it in as it goes; what is not set in ``__init__`` is there once it has its outcome.
    ``request`` and ``received`` are the bytes as they travelled; ``body`` is the answer's, with any chunking undone.
    ``status`` is 0 without an answer. ``breaches`` holds the ids of the requirements that the answer does not meet.
    ``reused`` tells of a kept-alive connection; ``resent`` that the target had closed it before any byte of an answer
    and the request went out again on a new one. ``note`` explains an outcome in the transport's own words.
    """

    __slots__ = (
        "body",
        "breaches",
        "complete",
        "done_ns",
        "intended_ns",
        "note",
        "outcome",
        "received",
        "request",
        "resent",
        "reused",
        "sent_ns",
        "status",
        "when_done",
    )

    body: bytes
    breaches: tuple[str, ...]
    complete: bool
    done_ns: int
    outcome: Outcome
    reused: bool
    when_done: Done

    def __init__(self, request: bytes, intended_ns: int) -> None:
        self.request = request
        self.intended_ns = intended_ns
        self.sent_ns = 0
        self.status = 0
        self.received = b""
        self.resent = False
        self.note = ""

    def __repr__(self) -> str:
        return f"<Attempt {self.outcome} status={self.status} {self.elapsed_ms:.1f} ms>"

    @property
    def elapsed_ms(self) -> float:
        """From the first byte sent to the end of the attempt (ms)."""
        return (self.done_ns - self.sent_ns) / 1e6

    @property
    def latency_ms(self) -> float:
        """From the intended moment of sending to the end of the attempt (ms)."""
        return (self.done_ns - self.intended_ns) / 1e6

    @property
    def delivered(self) -> bool:
        """Would the Room backend count it as delivered?"""
        return self.outcome is Outcome.DELIVERED

    @property
    def acknowledged(self) -> bool:
        """HTTP 200 in time with a compliant packet whose ActionStatus is OK."""
        return not self.breaches

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The answer's headers as they came, in their order."""
        lines = head_of(self.received).split(b"\r\n")[1:]
        pairs = (line.decode("latin-1").partition(":") for line in lines if b":" in line)
        return tuple((name.strip(), value.strip()) for name, _, value in pairs)

    @property
    def answer(self) -> Answer | None:
        """The answer as ``compliance`` reads it, or None without one."""
        if not self.status:
            return None
        return Answer(self.status, self.headers, self.body, self.elapsed_ms, self.complete)

    def judgement(self, deadline_ms: float) -> Judgement:
        """Both axes in full, with what was expected and what came; ``breaches`` holds the ids of the same."""
        answer = self.answer
        if answer is not None and (self.complete or self.outcome is Outcome.INCOMPLETE):
            return judge(answer, deadline_ms=deadline_ms)
        expected = f"an answer within {deadline_ms:g} ms" if self.outcome is Outcome.TIMEOUT else "HTTP 200"
        said = f"it {self.outcome.explained}" + (f" ({self.note})" if self.note else "")
        return Judgement(self.outcome, (Breach(_BLAMED.get(self.outcome, "ack.status"), expected, said),))


def head_of(received: bytes) -> bytes:
    """The head of the answer proper in *received*, interim (1xx) answers skipped; empty until all of it is there."""
    rest = received
    while True:
        head, blank, rest = rest.partition(b"\r\n\r\n")
        if not blank:
            return b""
        if head[9:10] != b"1" or head[9:12] == b"101":
            return head
