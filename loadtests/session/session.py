"""A load test in one locust process, from its start to its verdict: listens to locust's own events, nothing else."""

from __future__ import annotations

import logging
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from itertools import count
from random import SystemRandom
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

import gevent
import msgspec
from locust import LoadTestShape, events
from locust.env import Environment
from locust.runners import WorkerRunner
from locust.stats import StatsEntry, StatsError

from roomhook.errors import ConfigurationError, RoomhookError
from roomhook.loadtests.results.stats import LoadStats
from roomhook.loadtests.results.thresholds import Threshold, ThresholdResult, parse_threshold
from roomhook.loadtests.session.graceful_requests import GracefulRequests
from roomhook.loadtests.workload.callback_stream import callbacks
from roomhook.loadtests.workload.options import settings_from
from roomhook.loadtests.workload.settings import LoadSettings
from roomhook.loadtests.workload.worker_rooms import RoomShare
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.transport.target import Target

__all__ = ["LoadSession", "merge_into_locust", "session_of"]

_log = logging.getLogger("roomhook")
_SPARE_S: Final = 5.0


class _Lane(Protocol):
    """The fast lane of this process, as far as the session is concerned."""

    def stop(self) -> None:
        """End it; returns when all that has left has its outcome and is counted."""


class LoadSession:
    """What this process knows of the load test; there is one for each locust environment.

    ``figures`` are those since the last ``drain_stats``: a worker drains to report to its master, a staircase at each
    step.
    ``asked`` holds how many callbacks/s were asked for (open loop) by second since the epoch; ``verdicts`` those of the
    last step of a staircase. ``place`` tells which rooms are this process's, as soon as that is known. ``shape`` is the
    one that --shape has asked for; ``users`` numbers those that this process starts in a run.
    """

    def __init__(self, environment: Environment, thresholds: tuple[Threshold, ...]) -> None:
        self.environment = environment
        self.thresholds = thresholds
        self.figures = LoadStats()
        self.verdicts: tuple[ThresholdResult, ...] | None = None
        self.asked: dict[int, float] = {}
        self.lost: list[str] = []
        self.stopping = False
        self.interrupted = False
        self._begun: float | None = None
        self.lane: _Lane | None = None
        self.notes: list[str] = []
        self.place: Callable[[], RoomShare] = RoomShare
        self.kept: object = None
        self.carriers = GracefulRequests()
        self.users = count()
        self.shape: LoadTestShape | None = None
        self._past = LoadStats()
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
        """What is sent where; on a worker, waits for its place. Raises ``ConfigurationError``."""
        if self._settings is None:
            place = self.place()
            settings = settings_from(self.options, self.environment.host)
            self._settings = msgspec.structs.replace(settings, place=place)
        return self._settings

    @property
    def known(self) -> LoadSettings | None:
        """What is, or was last, sent where; None while that can't be told: a web form that has not been filled in."""
        try:
            return self.settings
        except ConfigurationError:
            return None

    @property
    def elapsed_s(self) -> float:
        """How long ago the run has begun."""
        return 0.0 if self._begun is None else time.monotonic() - self._begun

    @property
    def target(self) -> Target:
        """The App backend."""
        if self._target is None:
            self._target = self.settings.target()
        return self._target

    def next_event(self) -> CallbackEvent:
        """The next callback of this process's rooms, which its users share."""
        settings = self.settings  # known only once the master has answered; users meanwhile wait here, all of them
        if self._events is None:
            self._events = callbacks(settings)
        return next(self._events)

    def begin(self) -> None:
        """Forget an earlier run."""
        self.forget()
        self.lost.clear()
        self.notes.clear()
        self.verdicts = None
        self.stopping = self.interrupted = False
        self.lane = None
        self._settings = self._target = self._events = None
        self._begun = time.monotonic()
        self.users = count()
        if not isinstance(self.environment.runner, WorkerRunner):
            seed = self.options.seed = self.options.seed or str(SystemRandom().randrange(1_000_000))
            _log.info("seed %s (--seed %s sends the same people and rooms again)", seed, seed)

    def forget(self) -> None:
        """Count from here on, as locust does when its statistics are reset."""
        self.figures, self._past = LoadStats(), LoadStats()
        self.asked.clear()

    def drain_stats(self) -> LoadStats:
        """What has been counted since the last time."""
        taken, self.figures = self.figures, LoadStats()
        self._past.add(taken)
        return taken

    def total(self) -> LoadStats:
        """What has been counted in the whole run."""
        found = LoadStats()
        found.add(self._past)
        found.add(self.figures)
        return found

    def count(self, figures: LoadStats) -> None:
        """Count *figures*, which the fast lane has sent, here and in locust's statistics."""
        self.figures.add(figures)
        merge_into_locust(self.environment, figures)

    def drain(self) -> None:
        """Begin nothing new and wait for what is under way, so that the totals are exact."""
        self.stopping = True
        if self.lane is not None:
            self.lane.stop()
        end = time.monotonic() + self.options.deadline + _SPARE_S
        while self.carriers.under_way and time.monotonic() < end:
            gevent.sleep(0.02)
        if self.carriers.under_way:
            self.report_loss(f"{self.carriers.under_way:,} requests that had left came to no outcome; totals lack them")

    def report_loss(self, why: str) -> None:
        """Part of the load test is gone: say so and end the run, wherever its end is decided, if it goes on."""
        if why in self.lost:
            return
        self.lost.append(why)
        _log.error(why)
        runner: Any = self.environment.runner
        if isinstance(runner, WorkerRunner):
            runner.send_message("roomhook-lost", {"why": why})
        elif not self.stopping:
            gevent.spawn(runner.quit if self.options.headless else runner.stop)


_sessions: WeakKeyDictionary[Environment, LoadSession] = WeakKeyDictionary()


def session_of(environment: Environment) -> LoadSession:
    """The session of *environment*, which has one as soon as locust has fired ``init``."""
    return _sessions[environment]


def merge_into_locust(environment: Environment, figures: LoadStats) -> None:
    """Add *figures* to locust's own statistics, from which its tables, charts, CSV and HTML are made."""
    stats, now = environment.stats, time.time()
    for name, series in figures.series.items():
        if not series.requests:
            continue
        entry = StatsEntry(stats, name, "POST")
        entry.num_requests, entry.num_failures = series.requests, series.failures
        # Locust rounds to two digits; its dictionary takes our finer buckets, and its percentiles with them.
        entry.response_times = {bound / 1000: count for bound, count in series.latency.buckets()}  # type: ignore[misc]
        entry.total_response_time = series.latency.total_us / 1000  # type: ignore[assignment]
        entry.min_response_time = min(entry.response_times)
        entry.max_response_time = series.latency.longest_us / 1000  # type: ignore[assignment]
        entry.total_content_length = series.answer_bytes
        entry.num_reqs_per_sec = {second: requests for second, (requests, _) in series.seconds.items()}
        entry.num_fail_per_sec = {second: failures for second, (_, failures) in series.seconds.items() if failures}
        entry.last_request_timestamp = min(now, max(series.seconds) + 1.0)
        stats.total.extend(entry)
        stats.entries[name, "POST"].extend(entry)
    for (name, text), times in figures.errors.items():
        key = StatsError.create_key("POST", name, text)
        error = stats.errors.setdefault(key, StatsError("POST", name, text, first_seen=now))
        error.occurrences += times
        error.last_seen = now


def _on_init(environment: Environment, runner: Any, web_ui: Any, **_: Any) -> None:
    """Refuse what can't be before anything runs, choose users and shape, and listen to the rest."""
    from roomhook.loadtests.session.distributed import coordinate  # noqa: PLC0415
    from roomhook.loadtests.session.finish import conclude, extend_web_report  # noqa: PLC0415
    from roomhook.loadtests.session.interrupt import end_in_order  # noqa: PLC0415
    from roomhook.loadtests.session.user_selection import choose_users  # noqa: PLC0415
    from roomhook.loadtests.session.validation import guard_form, refuse_start, validate_options  # noqa: PLC0415 (they need sessions)
    from roomhook.loadtests.shapes import shape_for  # noqa: PLC0415

    options = environment.parsed_options
    if options is None or not hasattr(options, "callback_profile"):
        return
    if isinstance(runner, WorkerRunner):
        _sessions[environment] = session = LoadSession(environment, ())
        if options.processes:
            options.json = options.json_file = None  # its master's: locust forgets to take them from what it forks
    else:
        try:
            _sessions[environment] = session = LoadSession(environment, tuple(map(parse_threshold, options.fail_if)))
            validate_options(environment, runner)
            session.shape = shape_for(session)
        except RoomhookError as error:
            refuse_start(error, runner)
        choose_users(environment)
    if session.shape is not None:
        environment.shape_class = session.shape
        session.shape.runner = runner
    coordinate(session, runner)
    session.kept = end_in_order(session)
    if web_ui is not None:
        guard_form(environment, web_ui)
        extend_web_report(session, web_ui)
    if not isinstance(runner, WorkerRunner):
        conclude(session)


_events: Any = events
_events.init.add_listener(_on_init)
