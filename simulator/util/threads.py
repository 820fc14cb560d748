"""Waits for threads in a way that Ctrl-C may interrupt."""

from __future__ import annotations

import math
import time
from threading import Thread
from typing import Final

__all__ = ["wait_for_end"]

_EVERY_S: Final = 0.02


def wait_for_end(thread: Thread, within_s: float = math.inf) -> bool:
    """Wait until *thread* has ended, for *within_s* at most (s); whether it has.

    To be used instead of ``Thread.join`` where a signal may come: before Python 3.13, a join that an exception of a
    signal handler interrupts marks the thread as ended while it runs (python/cpython issue 90882). Nothing waits for it
    then, and a thread inside of uvloop when Python ends crashes the process.
    """
    end = time.monotonic() + within_s
    while thread.is_alive():
        left_s = end - time.monotonic()
        if left_s <= 0:
            return False
        time.sleep(min(_EVERY_S, left_s))
    return True
