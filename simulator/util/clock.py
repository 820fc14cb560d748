"""Time since the epoch for times of the monotonic clock, also after the system clock is set."""

from __future__ import annotations

import time
from typing import Final

__all__ = ["WallClock"]

_STEP_NS: Final = 1_000_000
"""Less than this is jitter between the two readings, or the clock being slewed."""


class WallClock:
    """Converts ns of ``time.monotonic_ns`` to ns since the epoch.

    ``offset_ns`` is the difference of the two. It is constant, so times keep their order, until ``refresh`` finds that
    the clock was set or the machine was suspended. Call ``refresh`` once per turn of an event loop (0.1 µs).
    """

    def __init__(self) -> None:
        self.offset_ns = time.time_ns() - time.monotonic_ns()

    def refresh(self) -> None:
        """Read the offset again if the clock was set since the last call."""
        offset_ns = time.time_ns() - time.monotonic_ns()
        if not -_STEP_NS < offset_ns - self.offset_ns < _STEP_NS:
            self.offset_ns = offset_ns

    def at(self, monotonic_ns: int) -> int:
        """*monotonic_ns* in ns since the epoch."""
        return monotonic_ns + self.offset_ns
