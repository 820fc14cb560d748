"""The Room backend's clock: the real one, or a virtual one that stands still until it is advanced."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "RealClock", "VirtualClock"]


class Clock(Protocol):
    """The time of rooms and events, in ms since the epoch; a ``virtual`` one has to be advanced."""

    virtual: bool

    def now_ms(self) -> int:
        """The current time."""
        raise NotImplementedError


class RealClock:
    """The wall clock, but never backwards."""

    virtual = False

    def __init__(self) -> None:
        self._latest = 0

    def now_ms(self) -> int:
        """The current time."""
        self._latest = max(self._latest, time.time_ns() // 1_000_000)
        return self._latest


class VirtualClock:
    """Stands still at *start_ms* until ``go_to``."""

    virtual = True

    def __init__(self, start_ms: int) -> None:
        self._now = start_ms

    def now_ms(self) -> int:
        """The current time."""
        return self._now

    def go_to(self, time_ms: int) -> None:
        """Advance to *time_ms*; the clock never goes back."""
        self._now = max(self._now, time_ms)

    def undo(self, time_ms: int) -> None:
        """Return to *time_ms*, because nothing after it could be stored."""
        self._now = time_ms
