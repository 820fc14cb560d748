"""Ends overdue attempts: one timer for all costs less than one timer per attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import monotonic_ns
from typing import Final

from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.transport.connection import Connection

__all__ = ["DeadlineSweeper"]

_SWEEP_S: Final = 0.02
"""How late an overdue attempt may be ended; late responses are still judged by their own time."""


class DeadlineSweeper:
    """Aborts those of *connections* whose attempt has no complete response within *give_up_ns* (ns)."""

    def __init__(self, connections: Iterable[Connection], give_up_ns: int) -> None:
        self._connections = connections
        self._give_up_ns = give_up_ns
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Start sweeping if it is not running; it stops when no attempt is in flight."""
        if self._timer is None:
            self._timer = self._loop.call_later(_SWEEP_S, self._sweep)

    def stop(self) -> None:
        """Stop sweeping."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        busy = [one for one in self._connections if one.attempt is not None]
        latest = monotonic_ns() - self._give_up_ns
        for connection in busy:
            if connection.attempt is not None and connection.attempt.sent_ns <= latest:
                connection.abort(DeliveryOutcome.TIMEOUT, f"no whole answer within {self._give_up_ns / 1e6:g} ms")
        self._timer = self._loop.call_later(_SWEEP_S, self._sweep) if busy else None
