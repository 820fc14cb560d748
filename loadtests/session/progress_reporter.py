"""Reports progress to ``roomhook load`` each second, and ends the test when that process is gone."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from contextlib import suppress
from typing import Any, Final

import gevent
import msgspec
from locust.runners import MasterRunner

from roomhook.loadtests.results.progress import LoadProgress
from roomhook.loadtests.session.session import LoadSession

__all__ = ["tell", "tell_progress"]

_REPORTS: Final = 3
"""Seconds over which the rate of several workers is looked at: they report each second, but not on the second."""


def tell_progress(session: LoadSession, descriptor: int) -> None:
    """Write a line each second; stop this locust when the process that started it is gone."""
    runner: Any = session.environment.runner
    before: deque[tuple[float, int]] = deque(maxlen=_REPORTS if isinstance(runner, MasterRunner) else 1)
    while True:
        gevent.sleep(1)
        now = _progress(session, runner)
        if before:
            then, requests = before[0]
            now = msgspec.structs.replace(now, rate=max(0.0, (now.requests - requests) / (time.monotonic() - then)))
        before.append((time.monotonic(), now.requests))
        try:
            tell(descriptor, now)
        except BrokenPipeError:
            os.killpg(os.getpgrp(), signal.SIGTERM)  # this locust and its workers, which are a session of their own
            return


def tell(descriptor: int, line: LoadProgress) -> None:
    """Write one line; raises ``BrokenPipeError`` if the reader is gone."""
    with suppress(BlockingIOError):  # the reader is slow, or stopped by Ctrl-Z
        os.write(descriptor, msgspec.json.encode(line) + b"\n")


def _progress(session: LoadSession, runner: Any) -> LoadProgress:
    figures, options = session.total(), session.options
    latency = figures.latency
    workers = max(1, runner.worker_count) if isinstance(runner, MasterRunner) else 1
    rate = options.callback_rate
    return LoadProgress(
        elapsed_s=session.elapsed_s,
        users=runner.user_count,
        workers=workers,
        connections=options.callback_connections * workers if rate else options.num_users,
        asked=runner.user_count * rate if rate else None,
        requests=figures.requests,
        noncompliant=figures.noncompliant,
        unsent=figures.unsent,
        outcomes=dict(figures.outcomes.most_common()),
        requirements=dict(figures.requirements),
        p50_ms=latency.percentile_ms(50),
        p99_ms=latency.percentile_ms(99),
    )
