"""The Room backend's clock: the real one, or a virtual one that stands still until it is told to go on."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "RealClock", "VirtualClock"]


class Clock(Protocol):
    """Tells the time by which rooms live: ms since the epoch; ``virtual`` says that it has to be advanced."""

    virtual: bool

    def now_ms(self) -> int:
        """The moment."""
        raise NotImplementedError


class RealClock:
    """The clock on the wall, but never backwards."""

    virtual = False

    def __init__(self) -> None:
        self._latest = 0

    def now_ms(self) -> int:
        """The moment."""
        self._latest = max(self._latest, time.time_ns() // 1_000_000)
        return self._latest


class VirtualClock:
    """Stands still at *start_ms* until ``go_to``."""

    virtual = True

    def __init__(self, start_ms: int) -> None:
        self._now = start_ms

    def now_ms(self) -> int:
        """The moment."""
        return self._now

    def go_to(self, moment_ms: int) -> None:
        """Go on to *moment_ms*; a clock does not go back."""
        self._now = max(self._now, moment_ms)
