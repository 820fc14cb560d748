"""One load test inside one locust process: its options, its target, and what it has counted."""

from __future__ import annotations

import logging
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from random import SystemRandom
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

import gevent
import msgspec
from locust import LoadTestShape
from locust.env import Environment
from locust.runners import WorkerRunner

from roomhook.errors import ConfigurationError
from roomhook.loadtests.results.stats import LoadStats
from roomhook.loadtests.results.thresholds import Threshold, ThresholdResult
from roomhook.loadtests.session.graceful_requests import GracefulRequests
from roomhook.loadtests.session.locust_stats import merge_into_locust
from roomhook.loadtests.workload.callback_stream import callbacks
from roomhook.loadtests.workload.options import settings_from
from roomhook.loadtests.workload.settings import LoadSettings
from roomhook.loadtests.workload.worker_rooms import RoomShare
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.transport.target import Target

__all__ = ["LoadSession", "RunState", "register_session", "session_of"]

_log = logging.getLogger("roomhook")
_SPARE_S: Final = 5.0


class _Sender(Protocol):
    """The part of the fast sender's process that a session needs."""

    def stop(self) -> None:
        """Stop sending; returns when every request that left has its outcome and is counted."""


@dataclass(slots=True)
class RunState:
    """State of one run, from its start to the next.

    ``figures`` are those since the last ``drain_stats`` (a worker drains to report to its master, a staircase at each
    step), ``past`` those before. ``asked`` holds the requested rate (callbacks/s, open loop) by second since the epoch.
    ``verdicts`` are those of the last step of a staircase, ``lost`` says which parts of the run are missing, and
    ``users`` numbers the users that this process starts.
    """

    begun: float | None = None
    figures: LoadStats = field(default_factory=LoadStats)
    past: LoadStats = field(default_factory=LoadStats)
    asked: dict[int, float] = field(default_factory=dict)
    verdicts: tuple[ThresholdResult, ...] | None = None
    lost: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopping: bool = False
    interrupted: bool = False
    sender: _Sender | None = None
    users: Iterator[int] = field(default_factory=count)


class LoadSession:
    """The load test of this locust process; there is one per locust environment.

    ``share`` says which rooms belong to this process. ``shape`` is the one that --shape selects. ``graceful_requests``
    completes the requests of users that locust stops.
    """

    def __init__(self, environment: Environment, thresholds: tuple[Threshold, ...]) -> None:
        self.environment = environment
        self.thresholds = thresholds
        self.run = RunState()
        self.share: Callable[[], RoomShare] = RoomShare
        self.shape: LoadTestShape | None = None
        self.graceful_requests = GracefulRequests()
        self._settings: LoadSettings | None = None
        self._target: Target | None = None
        self._events: Iterator[CallbackEvent] | None = None

    @property
    def options(self) -> Namespace:
        """Locust's options, ours among them."""
        options = self.environment.parsed_options
        assert isinstance(options, Namespace)
        return options

    @property
    def settings(self) -> LoadSettings:
        """Settings of the run; raises ``RoomhookError``."""
        if self._settings is None:
            share = self.share()
            settings = settings_from(self.options, self.environment.host)
            self._settings = msgspec.structs.replace(settings, share=share)
        return self._settings

    @property
    def known(self) -> LoadSettings | None:
        """Settings of the current or last run; None before the web form is submitted."""
        try:
            return self.settings
        except ConfigurationError:
            return None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start of the run."""
        return 0.0 if self.run.begun is None else time.monotonic() - self.run.begun

    @property
    def target(self) -> Target:
        """The App backend."""
        if self._target is None:
            self._target = self.settings.target()
        return self._target

    def next_event(self) -> CallbackEvent:
        """The next callback of this process's rooms, which its users share."""
        if self._events is None:
            self._events = callbacks(self.settings)
        return next(self._events)

    def begin(self) -> None:
        """Start a new run."""
        self.run = RunState(time.monotonic())
        self._settings = self._target = self._events = None
        if not isinstance(self.environment.runner, WorkerRunner):
            seed = self.options.seed = self.options.seed or str(SystemRandom().randrange(1_000_000))
            _log.info("seed %s (--seed %s sends the same people and rooms again)", seed, seed)

    def forget(self) -> None:
        """Start counting again, as locust does when its statistics are reset."""
        self.run.figures, self.run.past = LoadStats(), LoadStats()
        self.run.asked.clear()

    def drain_stats(self) -> LoadStats:
        """Counts since the last call."""
        taken, self.run.figures = self.run.figures, LoadStats()
        self.run.past.add(taken)
        return taken

    def total(self) -> LoadStats:
        """Counts of the whole run."""
        found = LoadStats()
        found.add(self.run.past)
        found.add(self.run.figures)
        return found

    def count(self, figures: LoadStats) -> None:
        """Count *figures*, which the sender process has sent, here and in locust's statistics."""
        self.run.figures.add(figures)
        merge_into_locust(self.environment, figures)

    def drain(self) -> None:
        """Start no request and wait for those in flight, so that the totals are exact."""
        self.run.stopping = True
        if self.run.sender is not None:
            self.run.sender.stop()
        end = time.monotonic() + self.options.deadline + _SPARE_S
        while self.graceful_requests.under_way and time.monotonic() < end:
            gevent.sleep(0.02)
        if self.graceful_requests.under_way:
            self.report_loss(
                f"{self.graceful_requests.under_way:,} requests that had left came to no outcome; totals lack them"
            )

    def report_loss(self, why: str) -> None:
        """Record that a part of the load test is lost, and end the run."""
        if why in self.run.lost:
            return
        self.run.lost.append(why)
        _log.error(why)
        runner: Any = self.environment.runner
        if isinstance(runner, WorkerRunner):
            runner.send_message("roomhook-lost", {"why": why})
        elif not self.run.stopping:
            gevent.spawn(runner.quit if self.options.headless else runner.stop)


_sessions: WeakKeyDictionary[Environment, LoadSession] = WeakKeyDictionary()


def register_session(environment: Environment, session: LoadSession) -> LoadSession:
    """Store *session* for *environment*, and return it."""
    _sessions[environment] = session
    return session


def session_of(environment: Environment) -> LoadSession:
    """The session of *environment*; there is one as soon as locust has fired ``init``."""
    return _sessions[environment]
