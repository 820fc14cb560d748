"""A sending session: connects target, journal, sender and run.

A ``SendJob`` has no open files and can be pickled, so other processes can carry out a part of it.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

from roomhook.errors import ConfigurationError, RoomhookError
from roomhook.simulator.journal.log import JournalError
from roomhook.simulator.journal.writer import Journal
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.sending.dispatcher import Dispatcher, SendPlan
from roomhook.simulator.sending.network_faults import NetworkFaults
from roomhook.simulator.sending.pacing import Pacing, constant_rate, own_times, poisson_rate
from roomhook.simulator.sending.stats import SendStats
from roomhook.simulator.transport.delivery import Delivery, numbered
from roomhook.simulator.transport.recorded import ReplayTarget
from roomhook.simulator.transport.retry_policy import PROFILES
from roomhook.simulator.transport.sender import Sender
from roomhook.simulator.transport.target import Target
from roomhook.simulator.util.defaults import DEADLINE_MS
from roomhook.simulator.util.signals import SIGNALS
from roomhook.simulator.util.tls import client_context

__all__ = ["EventSource", "JobResult", "ProgressSnapshot", "SendJob", "carry_out", "seldom_collecting"]

_WATCHED_EVERY_S: Final = 0.25


class EventSource(Protocol):
    """Source of events; it can repeat the same events."""

    def events(self) -> Iterator[CallbackEvent]:
        """All events from the first, in order of time."""
        ...

    def alive(self) -> int | None:
        """Number of rooms that exist now, if known."""
        ...


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    """Progress of a run: the counts so far, and the requests in flight (awaited when ``stopping``)."""

    tally: SendStats
    in_flight: int
    waiting: int
    alive: int | None
    elapsed_s: float
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class JobResult:
    """Result of a session: the counts, whether a signal interrupted it, and the error that ended its events."""

    tally: SendStats
    interrupted: bool = False
    error: RoomhookError | None = None


@dataclass(frozen=True, kw_only=True)
class SendJob:
    """Target and options of a sending run.

    ``rate`` (1/s) and ``speed`` of None: the closed loop. A ``rate`` comes before a ``speed``; ``told_speed`` is what
    the latter is called where the events themselves are compressed already. ``deadline_ms`` is how long an answer may
    take; ``max_late_ms`` how late a callback may leave; ``exact`` sends recorded events with the URL
    parameters that they had. ``options`` are kept in the journal.
    """

    url: CallbackUrl
    sdkappid: int | str
    token: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    cacert: Path | None = None
    insecure: bool = False
    cert: Path | None = None
    deadline_ms: float = DEADLINE_MS
    connections: int = 64
    rate: float | None = None
    poisson: bool = False
    speed: float | None = None
    told_speed: float | None = None
    retry: str = "none"
    disorder: NetworkFaults = field(default_factory=NetworkFaults)
    max_late_ms: float | None = None
    seed: int = 0
    journal: Path | None = None
    resume: bool = False
    durable: bool = False
    exact: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def target(self) -> Target:
        """The target, with its TLS context; raises ``ConfigurationError`` for unusable certificates."""
        tls = None
        if self.url.scheme == "https":
            tls = client_context(cacert=self.cacert, insecure=self.insecure, cert=self.cert)
        kind = ReplayTarget if self.exact else Target
        return kind(self.url, self.sdkappid, self.token, self.headers, tls=tls)

    def plan(self) -> SendPlan:
        """How the run sends."""
        return SendPlan(self._pace(), PROFILES[self.retry], self.disorder, self.max_late_ms)

    @property
    def mode(self) -> str:
        """Name of the load model for reports."""
        pace = self._pace()
        return pace.name if pace else f"closed loop, {self.connections} connections"

    def _pace(self) -> Pacing | None:
        if self.rate is not None:
            return poisson_rate(self.rate, Random(self.seed)) if self.poisson else constant_rate(self.rate)
        return own_times(self.speed, self.told_speed or self.speed) if self.speed is not None else None


async def carry_out(
    order: SendJob, source: EventSource, watch: Callable[[ProgressSnapshot], object] | None = None
) -> JobResult:
    """Send the events of *source*, and return the result.

    Raises ``UnreachableError`` before anything is sent if the target accepts no connection, and ``ConfigurationError``
    for a journal that can't be used. The first SIGINT, SIGTERM or SIGHUP waits for requests in flight; the second one
    raises ``CancelledError``.
    """
    target = order.target()
    async with Sender(target, deadline_ms=order.deadline_ms, connections=order.connections) as sender:
        await sender.check_reachable()
        if order.journal is None:
            run = Dispatcher(sender, numbered(source.events()), order.plan(), Random(order.seed))
            return await _looked_on(run, source, watch)
        journal = Journal(
            order.journal,
            target,
            mode=order.mode,
            options=order.options,
            resume=order.resume,
            durable=order.durable,
        )
        try:
            before = journal.scheduled
            deliveries = _deliveries(journal, source)
            owed = journal.owed()
            run = Dispatcher(sender, deliveries, order.plan(), Random(order.seed), journal)
            found = await _looked_on(run, source, watch)
            found.tally.scheduled = owed + journal.scheduled - before  # some of its events may not have begun
        except (JournalError, sqlite3.Error) as error:
            journal.abandon()
            said = f"{order.journal} can't be written any more ({error}); once it can, --resume goes on"
            raise ConfigurationError(said) from None
        except BaseException:
            journal.abandon()
            raise
        try:
            journal.close()
        except JournalError as error:
            raise ConfigurationError(f"{order.journal} is not complete: {error}") from None
        return found


async def _looked_on(
    run: Dispatcher, source: EventSource, watch: Callable[[ProgressSnapshot], object] | None
) -> JobResult:
    interrupted = _Interruption(run)
    watching = asyncio.ensure_future(_watch(run, source, watch)) if watch else None
    try:
        await asyncio.sleep(0)  # a signal that came before there was a handler ends the run here: nothing has left
        return JobResult(await run.go(), interrupted.happened)
    except RoomhookError as error:
        if error is not run.stream_error:
            raise
        return JobResult(run.tally, interrupted.happened, error)
    finally:
        interrupted.forget()
        if watching is not None:
            watching.cancel()


def _deliveries(journal: Journal, source: EventSource) -> Iterator[Delivery]:
    """Unfinished events of an earlier run, then those it had not started."""
    stream = source.events()
    if not journal.restore(islice(stream, journal.scheduled)):
        raise ConfigurationError(
            f"{journal.path} was begun with other events than these; resume it with the options it was begun with"
        )
    return chain(journal.unfinished(), journal.schedule(stream))


async def _watch(run: Dispatcher, source: EventSource, watch: Callable[[ProgressSnapshot], object]) -> None:
    while True:
        await asyncio.sleep(_WATCHED_EVERY_S)
        try:
            run.flush()
        except Exception as error:  # noqa: BLE001 (nothing awaits this task: the run would go on without its records)
            run.break_off(error)
            return
        watch(ProgressSnapshot(run.tally, run.in_flight, run.waiting, source.alive(), run.elapsed_s, run.stopping))


@contextmanager
def seldom_collecting() -> Generator[None]:
    """Collect only young garbage: a full collection of a large world stalls every callback."""
    before = gc.get_threshold()
    gc.set_threshold(20_000, 20, 1_000_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Interruption:
    """Stops in order on the first signal, at once on the next.

    The parent process may have blocked the signals until this object handles them.
    """

    def __init__(self, run: Dispatcher) -> None:
        self.happened = False
        self._run = run
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._before: dict[signal.Signals, Any] = {}
        for each in SIGNALS:
            before = signal.getsignal(each)
            try:
                self._loop.add_signal_handler(each, self._interrupt)
            except (ValueError, RuntimeError):  # not in the main thread: the caller decides when to stop
                return
            self._before[each] = before
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def forget(self) -> None:
        """Restore the earlier signal handlers."""
        for each, before in self._before.items():
            self._loop.remove_signal_handler(each)
            signal.signal(each, before or signal.SIG_DFL)

    def _interrupt(self) -> None:
        if self.happened and self._task is not None:
            self._task.cancel()
        self.happened = True
        self._run.stop()
