"""One callback that was sent, and its answer or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus

from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.response_check import Response, ResponseVerdict, Violation, check_response

__all__ = ["Exchange"]


@dataclass(frozen=True)
class Exchange:
    """One attempt: the callback, and the answer or the reason why there is none.

    ``reused`` says that it travelled on a connection that had carried a callback before; ``breach`` is what went wrong
    where the outcome alone does not tell; ``connected`` is False if no connection came about.
    """

    callback: CallbackRequest
    answer: Response | None
    outcome: DeliveryOutcome
    detail: str
    elapsed_ms: float
    deadline_ms: float
    reused: bool = False
    breach: Violation | None = None
    connected: bool = True

    @cached_property
    def judgement(self) -> ResponseVerdict:
        """Both axes; without an answer, the outcome stands for the requirement that it breaks."""
        if self.answer is not None:
            return check_response(self.answer, deadline_ms=self.deadline_ms)
        if self.breach is not None:
            return ResponseVerdict(self.outcome, (self.breach,))
        expected = (
            f"an answer within {self.deadline_ms:g} ms" if self.outcome is DeliveryOutcome.TIMEOUT else "HTTP 200"
        )
        breach = Violation(self.outcome.missed, expected, f"it {self.outcome.explained} ({self.detail})")
        return ResponseVerdict(self.outcome, (breach,))

    @property
    def acknowledged(self) -> bool:
        """HTTP 200 in time with a compliant OK."""
        return self.judgement.acknowledged

    @property
    def status(self) -> int | None:
        """The HTTP status, or None without an answer."""
        return self.answer.status if self.answer else None

    @property
    def hung(self) -> bool:
        """No whole answer even after the patience beyond the deadline."""
        return self.answer is None and self.outcome is DeliveryOutcome.TIMEOUT

    @property
    def cut_off(self) -> bool:
        """The connection ended before any byte of an answer."""
        return self.outcome in {DeliveryOutcome.RESET, DeliveryOutcome.CLOSED}

    @property
    def server_error(self) -> bool:
        """The answer is a 5xx."""
        return self.status is not None and self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def late(self) -> bool:
        """Answered, or hung, past the deadline."""
        return self.hung or (self.answer is not None and self.answer.elapsed_ms > self.deadline_ms)
