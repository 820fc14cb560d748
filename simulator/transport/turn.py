"""Looks at what ends in one turn of the event loop together: many attempts at once cost less than each alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from roomhook.simulator.transport.attempt import Attempt

__all__ = ["Turn"]


class Turn:
    """Collects attempts that have their outcomes, and hands them to *hand_over* when the loop has read the others.

    Whoever appends the first one to ``ended``, the same list in each turn, calls ``begin`` before.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, hand_over: Callable[[list[Attempt]], object]) -> None:
        self.ended: list[Attempt] = []
        self._loop = loop
        self._hand_over = hand_over

    def begin(self) -> None:
        """Hand over what has ``ended`` once the loop has read what else is there."""
        self._loop.call_soon(self._end)

    def _end(self) -> None:
        attempts = self.ended.copy()
        self.ended.clear()
        self._hand_over(attempts)
