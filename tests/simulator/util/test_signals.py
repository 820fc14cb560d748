"""Signals that end a program in order."""

from __future__ import annotations

import subprocess
import sys

IN_A_FINALIZER = """
import signal, time
from roomhook.simulator.util.signals import treat_as_interrupt

class Thing:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

treat_as_interrupt()
try:
    Thing()
    time.sleep(30)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_that_python_drops_in_a_finalizer_comes_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FINALIZER], capture_output=True, text=True, check=True, timeout=20
    )
    assert (done.stdout, done.stderr) == ("interrupted\n", "")
