"""SIGTERM and SIGHUP end a program in order, as Ctrl-C does."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Final

__all__ = ["SIGNALS", "ignore_signals", "treat_as_interrupt"]

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a run in order."""


def treat_as_interrupt() -> None:
    """From now on, SIGTERM and SIGHUP do what SIGINT does, unless they are ignored."""
    for each in SIGNALS[1:]:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _interrupt)


def ignore_signals() -> None:
    """Nothing changes any more how this process ends."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)  # asyncio cancels what runs; elsewhere, it is a KeyboardInterrupt
