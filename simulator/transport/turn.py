"""Looks at what ends in one turn of the event loop together: many attempts at once cost less than each alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic_ns

from roomhook.simulator.transport.attempt import Attempt, AttemptResult

__all__ = ["Turn"]


class Turn:
    """Collects attempts that have their outcomes, and hands them to *hand_over* when the loop has read the others."""

    def __init__(self, loop: asyncio.AbstractEventLoop, hand_over: Callable[[list[Attempt]], object]) -> None:
        self._loop = loop
        self._hand_over = hand_over
        self._attempts: list[Attempt] = []

    def ended(self, attempt: Attempt, result: AttemptResult) -> None:
        """*attempt* has ended now with *result*."""
        attempt.result = result
        attempt.done_ns = monotonic_ns()
        attempts = self._attempts
        if not attempts:
            self._loop.call_soon(self._end)
        attempts.append(attempt)

    def _end(self) -> None:
        attempts, self._attempts = self._attempts, []
        self._hand_over(attempts)
