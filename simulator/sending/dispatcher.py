"""A sending run over a stream of events: open or closed loop, with retries, copies, reordering and a journal.

Callbacks wait in the stream until a connection is free; their latency counts from the scheduled time of sending.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.sending.network_faults import NetworkFaults
from roomhook.simulator.sending.pacing import Pacing
from roomhook.simulator.sending.schedule import Due, Schedule
from roomhook.simulator.sending.stats import SendStats
from roomhook.simulator.transport.attempt import Attempt
from roomhook.simulator.transport.delivery import Delivery
from roomhook.simulator.transport.retry_policy import PROFILES, RetryPolicy
from roomhook.simulator.transport.sender import Sender
from roomhook.simulator.util.precise_timer import PreciseTimer

__all__ = ["Dispatcher", "JournalSink", "SendPlan"]

_BATCH: Final = 128
"""Number of ended attempts that are counted and recorded together."""

_DELIVERED: Final = DeliveryOutcome.DELIVERED


class JournalSink(Protocol):
    """Journal of a run, as the dispatcher sees it."""

    def begin(self, attempts: Sequence[Attempt]) -> None:
        """Record, before their first bytes leave, that *attempts* begin, and write all pending records.

        All have the same ``request_time``.
        """

    def end(self, attempts: Sequence[Attempt]) -> None:
        """Record the outcomes of *attempts*."""

    def write(self) -> None:
        """Write all pending records."""


@dataclass(frozen=True)
class SendPlan:
    """How a run sends.

    With a ``pace`` of None, the loop is closed: each connection sends again after its response. A callback that would
    leave more than ``max_late_ms`` after its scheduled time is not sent.
    """

    pace: Pacing | None = None
    retry: RetryPolicy = PROFILES["none"]
    disorder: NetworkFaults = field(default_factory=NetworkFaults)
    max_late_ms: float | None = None


class Dispatcher:
    """Sends *deliveries* through *sender* as *plan* says, counting in ``tally``."""

    def __init__(
        self,
        sender: Sender,
        deliveries: Iterable[Delivery],
        plan: SendPlan,
        random: Random,
        journal: JournalSink | None = None,
    ) -> None:
        mode = plan.pace.name if plan.pace else f"closed loop, {sender.connections} connections"
        self.tally = SendStats(mode, open_loop=plan.pace is not None)
        self._sender = sender
        self._retry = plan.retry
        self._journal = journal
        max_late_ns = float("inf") if plan.max_late_ms is None else plan.max_late_ms * 1e6
        self._schedule = Schedule(deliveries, plan.pace, plan.disorder, random, max_late_ns)
        self._ended: list[Attempt] = []
        self._stopping = self._broken = False
        self._start_ns = 0

    async def go(self) -> SendStats:
        """Send everything; returns the tally after the last outcome."""
        loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[None] = loop.create_future()
        self._start_ns = time.monotonic_ns()
        self._schedule.start(self._start_ns)
        self._alarm = PreciseTimer(self._pump)
        ticking = loop.create_task(self._tick())
        self._sender.on_complete = self._done
        try:
            self._pump()
            await self._finished
        finally:
            self._sender.on_complete = None
            ticking.cancel()
            self._alarm.close()
        self._mark()
        self.tally.connections = self._sender.opened
        if self._schedule.error is not None:
            raise self._schedule.error
        return self.tally

    def stop(self) -> None:
        """Start nothing more; requests in flight still get their outcome. Safe to call twice, and before ``go``."""
        self._stopping = True
        self._schedule.stop()
        if self._start_ns:
            self._pump()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return (time.monotonic_ns() - self._start_ns) / 1e9

    @property
    def stream_error(self) -> Exception | None:
        """The error that ended the stream of events, if any; all earlier events are finished."""
        return self._schedule.error

    @property
    def stopping(self) -> bool:
        """Whether the run only waits for requests in flight."""
        return self._stopping

    @property
    def waiting(self) -> int:
        """Callbacks that wait for a retry or a delay."""
        return self._schedule.waiting

    @property
    def in_flight(self) -> int:
        """Attempts in flight."""
        return self._sender.in_flight

    def break_off(self, error: Exception) -> None:
        """Stop at once with *error*, an error of Roomhook."""
        self._broken = self._stopping = True
        self._schedule.stop()
        if not self._finished.done():
            self._finished.set_exception(error)

    def flush(self) -> None:
        """Count ended attempts and write pending records; also runs once a second."""
        self._count()
        if self._journal is not None and not self._broken:
            self._journal.write()

    def _count(self) -> None:
        ended, self._ended = self._ended, []
        if ended:
            self.tally.record(ended)

    def _pump(self) -> None:
        """Send what is due; an error of Roomhook ends the run."""
        try:
            self._send_due()
        except Exception as error:  # noqa: BLE001 (in a callback of the loop, it would go unheard and the run hang)
            self.break_off(error)

    def _send_due(self) -> None:
        """Send what is due while connections are free, and schedule the next wake-up."""
        room = self._sender.connections - self._sender.in_flight
        due = self._schedule.due(time.monotonic_ns(), room)
        self.tally.scheduled = self._schedule.taken
        if due:
            attempts = self._attempts(due, int(time.time()))  # read each time: the clock may be set during a run
            if self._journal is not None:
                self._journal.begin(attempts)
            self._sender.start(attempts)
        if len(due) < room:  # otherwise the next completion calls _pump
            self._wait_for_next()

    def _attempts(self, due: list[Due], request_time: int) -> list[Attempt]:
        """An attempt for each of *due*, signed at *request_time* (s since the epoch)."""
        target = self._sender.target
        signed = 0 if target.token is None else request_time
        events = [delivery.event for delivery, _, _ in due]
        attempts: list[Attempt] = []
        for request, event, (delivery, kind, intended_ns) in zip(
            target.requests(events, request_time), events, due, strict=True
        ):
            delivery.number = number = delivery.number + 1
            attempts.append(Attempt(request, intended_ns, event.check_out, delivery, kind, number, signed))
        return attempts

    def _wait_for_next(self) -> None:
        """Schedule the next wake-up, or end the run if nothing is left."""
        next_ns = self._schedule.next_ns()
        if next_ns is not None:
            self._alarm.set(next_ns)
        elif not self._sender.in_flight and self._schedule.exhausted and not self._finished.done():
            self._finished.set_result(None)

    def _done(self, attempts: list[Attempt]) -> None:
        try:
            self._settle(attempts)
            if self._journal is not None:
                self._journal.end(attempts)
            self._ended += attempts
            if len(self._ended) >= _BATCH:
                self._count()
            self._send_due()  # which writes the ends down, if anything begins
            if self._journal is not None:
                self._journal.write()
        except Exception as error:  # noqa: BLE001 (as in _pump)
            self.break_off(error)

    def _settle(self, attempts: list[Attempt]) -> None:
        """Count the deliveries of ended attempts, and plan retries."""
        if self._schedule.only_firsts and all(
            result.outcome is _DELIVERED for result in {one.result for one in attempts}
        ):  # as nearly always
            self.tally.delivered += len(attempts)
            return
        for one in attempts:
            self.tally.retries += one.kind == "retry"
            self.tally.copies += one.kind == "copy"
            if one.result.outcome is _DELIVERED:
                self._count_delivered(one)
            elif one.kind != "copy":
                one.final = self._give_up(one)

    def _count_delivered(self, attempt: Attempt) -> None:
        delivery = attempt.delivery
        if delivery.delivered:
            return
        delivery.delivered = True
        self.tally.delivered += 1
        self.tally.failed -= delivery.failed
        if attempt.kind == "retry":
            self.tally.recovery.record((attempt.done_ns - delivery.first_ns) // 1000)

    def _give_up(self, attempt: Attempt) -> bool:
        """Plan a retry; True if there is none, so that the delivery failed."""
        delivery = attempt.delivery
        delivery.first_ns = delivery.first_ns or attempt.sent_ns
        since_first_ms = (attempt.done_ns - delivery.first_ns) / 1e6
        wait_ms = self._retry.wait_ms(attempt.result.outcome, attempt.number, since_first_ms)
        if wait_ms is not None:
            if not self._stopping:
                self._schedule.put_off(delivery, "retry", attempt.done_ns + int(wait_ms * 1e6))
            return False
        if not delivery.delivered and not delivery.failed:
            delivery.failed = True
            self.tally.failed += 1
        return True

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            try:
                self._mark()
            except Exception as error:  # noqa: BLE001 (as in _pump)
                self.break_off(error)

    def _mark(self) -> None:
        self.flush()
        self.tally.elapsed_s = self.elapsed_s
        self.tally.mark(round(self.tally.elapsed_s, 1))
