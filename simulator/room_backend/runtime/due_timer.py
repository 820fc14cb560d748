"""Runs what is due on the Room backend's clock: by a timer on the real clock, or when the virtual one is advanced."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Final

from roomhook.simulator.room_backend.runtime.clock import Clock
from roomhook.simulator.room_backend.state.error_codes import BackendError

__all__ = ["DueTimer"]

_LONGEST_S: Final = 60.0
_PAUSE_S: Final = 1.0
"""How long to wait after a change that could not be stored."""


class DueTimer:
    """Calls functions at their time, and *run_state* when the state's own next event (*next_in_state*, ms) is due."""

    def __init__(self, clock: Clock, next_in_state: Callable[[], int | None], run_state: Callable[[int], None]) -> None:
        self._clock = clock
        self._next_in_state = next_in_state
        self._run_state = run_state
        self._calls: list[tuple[int, int, Callable[[], object]]] = []
        self._serial = 0
        self._handle: asyncio.TimerHandle | None = None
        self._stopped = False

    def call_later(self, ms: int, call: Callable[[], object]) -> None:
        """Run *call* after *ms* of the clock."""
        self._serial += 1
        heapq.heappush(self._calls, (self._clock.now_ms() + ms, self._serial, call))
        self.set()

    def next_due(self) -> int | None:
        """When (ms) something is due next."""
        in_state = self._next_in_state()
        if not self._calls:
            return in_state
        return self._calls[0][0] if in_state is None else min(self._calls[0][0], in_state)

    def run(self, now: int) -> None:
        """Run everything that is due at *now* (ms); raises ``BackendError`` if a change can't be stored."""
        self._run_state(now)
        while self._calls and self._calls[0][0] <= now:
            heapq.heappop(self._calls)[2]()

    def set(self, pause_s: float = 0.0) -> None:
        """On the real clock, wake up when something is due, but not within *pause_s*."""
        if self._clock.virtual or self._stopped:
            return
        due = self.next_due()
        if due is None:
            return
        wait_s = min(_LONGEST_S, max(pause_s, (due - self._clock.now_ms()) / 1000))
        loop = asyncio.get_running_loop()
        if self._handle is not None:
            if self._handle.when() <= loop.time() + wait_s:
                return
            self._handle.cancel()
        self._handle = loop.call_later(wait_s, self._tick)

    def stop(self) -> None:
        """Run nothing more."""
        self._stopped = True
        if self._handle is not None:
            self._handle.cancel()

    def _tick(self) -> None:
        self._handle = None
        pause_s = 0.0
        try:
            self.run(self._clock.now_ms())
        except BackendError:
            pause_s = _PAUSE_S
        self.set(pause_s)
