"""SIGTERM and SIGHUP end a program in order, as Ctrl-C does."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

__all__ = [
    "SIGNALS",
    "StopSignal",
    "handling_stop_signals",
    "holding_back_interrupts",
    "ignore_signals",
    "treat_as_interrupt",
]

_AGAIN_S: Final = 0.01

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a run in order."""


def treat_as_interrupt() -> None:
    """Treat SIGTERM and SIGHUP as SIGINT from now on, unless they are ignored.

    Python drops an interrupt that comes while it clears something away (in a finalizer): that one comes again.
    """
    signal.signal(signal.SIGALRM, _interrupt)
    sys.unraisablehook = _interrupt_again
    for each in SIGNALS[1:]:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _interrupt)


def ignore_signals() -> None:
    """Ignore all signals that could end this process."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)


def _interrupt_again(dropped: sys.UnraisableHookArgs) -> None:
    if issubclass(dropped.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
    else:
        sys.__unraisablehook__(dropped)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)  # asyncio cancels what runs; elsewhere, it is a KeyboardInterrupt


class StopSignal(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived; ``number`` says which, ``exit_code`` is what a shell shows for it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.exit_code = 128 + number


def _stop(number: int, _frame: FrameType | None) -> None:
    raise StopSignal(number)


@contextmanager
def handling_stop_signals(handler: Callable[[int, FrameType | None], None] = _stop) -> Iterator[None]:
    """Call *handler* for SIGTERM and SIGHUP, by default to raise ``StopSignal``; restores what held before.

    A SIGHUP that is ignored stays ignored, as nohup wants it. Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [one for one in SIGNALS[1:] if one is signal.SIGTERM or signal.getsignal(one) is not signal.SIG_IGN]
    before = {one: signal.signal(one, handler) for one in heard}
    try:
        yield
    finally:
        for one, earlier in before.items():
            signal.signal(one, earlier)


@contextmanager
def holding_back_interrupts() -> Iterator[None]:
    """Handle a SIGINT at the end of the block, not inside it. Does nothing outside the main thread."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    arrived: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: arrived.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if arrived:
        handler(*arrived[0])
