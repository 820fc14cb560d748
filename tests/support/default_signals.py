"""Default signal handling for the processes that tests start, wherever the test run itself was started.

A script that starts a job in the background has it ignore SIGINT and SIGQUIT, ``nohup`` SIGHUP: all children inherit
that, but no handler of ours, which ``exec`` replaces by the default.
"""

from __future__ import annotations

import signal
import threading
from typing import Final

__all__ = ["stop_ignoring_signals"]

_SIGNALS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def stop_ignoring_signals() -> None:
    """Handle what is ignored by doing nothing, SIGINT as Python usually does; only possible in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return
    for each in _SIGNALS:
        if signal.getsignal(each) is signal.SIG_IGN:
            signal.signal(each, signal.default_int_handler if each is signal.SIGINT else lambda *_: None)
