"""Handles Ctrl-C and SIGHUP during a load test: what was sent is counted before locust ends."""

from __future__ import annotations

import signal
from typing import Any

import gevent
from locust.runners import STATE_RUNNING, STATE_SPAWNING, WorkerRunner

from roomhook.loadtests.session.session import LoadSession

__all__ = ["end_in_order"]


def end_in_order(session: LoadSession) -> Any:
    """Handle SIGINT and SIGHUP in the process of *session*, as long as the caller keeps the returned handlers.

    Without them, Python raises KeyboardInterrupt at a random place, such as a user's request in flight.
    """
    wanted = [signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup, the run goes on
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
