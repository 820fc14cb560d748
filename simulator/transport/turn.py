"""Handles all attempts that end in one turn of the event loop together, which costs less per attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from roomhook.simulator.transport.attempt import Attempt

__all__ = ["Turn"]


class Turn:
    """Collects finished attempts, and passes them to *hand_over* when the loop has read the other responses.

    The code that appends the first attempt to ``ended`` (the same list in each turn) must call ``begin`` first.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, hand_over: Callable[[list[Attempt]], object]) -> None:
        self.ended: list[Attempt] = []
        self._loop = loop
        self._hand_over = hand_over

    def begin(self) -> None:
        """Schedule the hand-over of ``ended`` for the end of this turn."""
        self._loop.call_soon(self._end)

    def _end(self) -> None:
        attempts = self.ended.copy()
        self.ended.clear()
        self._hand_over(attempts)
