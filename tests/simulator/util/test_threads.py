"""Waiting for threads, with signals that interrupt it."""

from __future__ import annotations

import signal
import threading

import pytest

from roomhook.simulator.util.threads import wait_for_end


def test_interrupted_wait_does_not_take_a_running_thread_for_ended() -> None:
    may_end = threading.Event()
    thread = threading.Thread(target=may_end.wait, args=(30,))
    thread.start()
    threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        wait_for_end(thread)

    assert thread.is_alive()
    may_end.set()
    assert wait_for_end(thread)


def test_wait_ends_with_its_time() -> None:
    may_end = threading.Event()
    thread = threading.Thread(target=may_end.wait, args=(30,))
    thread.start()

    assert not wait_for_end(thread, 0.03)
    may_end.set()
    assert wait_for_end(thread, 30)
