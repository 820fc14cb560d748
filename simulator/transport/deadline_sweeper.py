"""Ends attempts that are past their time: one timer for all is cheaper than a timer an attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import monotonic_ns
from typing import Final

from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.transport.connection import Connection

__all__ = ["DeadlineSweeper"]

_SWEEP_S: Final = 0.02
"""How much later than its time an attempt may end; late answers are still judged by their own time."""


class DeadlineSweeper:
    """Aborts those of *connections* whose attempt got no whole answer within *give_up_ns*."""

    def __init__(self, connections: Iterable[Connection], give_up_ns: int) -> None:
        self._connections = connections
        self._give_up_ns = give_up_ns
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """An attempt has begun: sweep until none is under way."""
        if self._timer is None:
            self._timer = self._loop.call_later(_SWEEP_S, self._sweep)

    def stop(self) -> None:
        """Sweep no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        busy = [one for one in self._connections if one.attempt is not None]
        latest = monotonic_ns() - self._give_up_ns
        for connection in busy:
            if connection.attempt is not None and connection.attempt.sent_ns <= latest:
                connection.abort(DeliveryOutcome.TIMEOUT, f"no whole answer within {self._give_up_ns / 1e6:g} ms")
        self._timer = self._loop.call_later(_SWEEP_S, self._sweep) if busy else None
