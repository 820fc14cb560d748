"""Ctrl-C, or a terminal that closes, while a load test runs: what was sent is counted before locust ends."""

from __future__ import annotations

import signal
from typing import Any

import gevent
from locust.runners import STATE_RUNNING, STATE_SPAWNING, WorkerRunner

from roomhook.loadtests.session.session import LoadSession

__all__ = ["end_in_order"]


def end_in_order(session: LoadSession) -> Any:
    """Take over SIGINT and SIGHUP for the process of *session*, for as long as what is returned is kept.

    Python raises KeyboardInterrupt wherever it happens to be: in a user amid its request, in whoever reads figures.
    """
    wanted = [signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup asks to go on
        wanted.append(signal.SIGHUP)
    return [gevent.signal_handler(each, _interrupt, session) for each in wanted]


def _interrupt(session: LoadSession) -> None:
    runner: Any = session.environment.runner
    running = runner.state in {STATE_RUNNING, STATE_SPAWNING}
    if running and not session.run.interrupted and (session.options.headless or isinstance(runner, WorkerRunner)):
        session.run.interrupted = True
        runner.quit()
        return
    hub: Any = gevent.get_hub()  # as gevent does with the KeyboardInterrupt of any greenlet
    hub.handle_system_error(KeyboardInterrupt, KeyboardInterrupt())
