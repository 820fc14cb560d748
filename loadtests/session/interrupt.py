"""Ctrl-C while a load test runs: what has left is counted before locust ends, as at the end of its time."""

from __future__ import annotations

import signal
from typing import Any

import gevent
from locust.runners import STATE_RUNNING, STATE_SPAWNING, WorkerRunner

from roomhook.loadtests.session.session import LoadSession

__all__ = ["end_in_order"]


def end_in_order(session: LoadSession) -> Any:
    """Take over SIGINT for the process of *session*, for as long as what is returned is kept.

    Python raises KeyboardInterrupt wherever it happens to be: in a user amid its request, in whoever reads figures.
    """
    return gevent.signal_handler(signal.SIGINT, _interrupt, session)


def _interrupt(session: LoadSession) -> None:
    runner: Any = session.environment.runner
    running = runner.state in {STATE_RUNNING, STATE_SPAWNING}
    if running and not session.run.interrupted and (session.options.headless or isinstance(runner, WorkerRunner)):
        session.run.interrupted = True
        runner.quit()
        return
    hub: Any = gevent.get_hub()  # as gevent does with the KeyboardInterrupt of any greenlet
    hub.handle_system_error(KeyboardInterrupt, KeyboardInterrupt())
