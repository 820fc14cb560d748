"""A run of the sender over a stream of events: open or closed loop, with retries, copies, reordering and a journal.

Nothing is taken from the stream before there is room for it, so that memory stays bounded however far a target falls
behind: callbacks wait in the stream, and their latency counts from the moment at which they were meant to leave.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, repeat
from random import Random
from typing import Final, cast

from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.sending.network_faults import NetworkFaults, ScheduledSend
from roomhook.simulator.sending.pacing import Pacing
from roomhook.simulator.sending.stats import SendStats
from roomhook.simulator.transport.attempt import Attempt
from roomhook.simulator.transport.delivery import Delivery, JournalSink, SentAttempt
from roomhook.simulator.transport.retry_policy import PROFILES, RetryPolicy
from roomhook.simulator.transport.sender import Sender
from roomhook.simulator.util.precise_timer import PreciseTimer

__all__ = ["Dispatcher", "SendPlan"]

_MOST_LATER: Final = 50_000
"""Callbacks that may wait for a retry or a delay; beyond, nothing new is taken from the stream."""

_BATCH: Final = 128
"""Ended attempts that are counted and written down together."""

_DELIVERED: Final = DeliveryOutcome.DELIVERED


@dataclass(frozen=True)
class SendPlan:
    """How a run sends. ``pace`` of None is the closed loop: every connection sends its next callback at once.

    ``max_late_ms`` leaves callbacks unsent that could not leave within that time after they were meant to.
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
        ledger: JournalSink | None = None,
    ) -> None:
        mode = plan.pace.name if plan.pace else f"closed loop, {sender.connections} connections"
        self.tally = SendStats(mode, open_loop=plan.pace is not None)
        self.random = random
        self._sender = sender
        self._target = sender.target
        self._pace = plan.pace
        self._retry = plan.retry
        self._ledger = ledger
        self._max_late_ns = int((plan.max_late_ms if plan.max_late_ms is not None else 1e12) * 1e6)
        copied: Iterator[bool] = repeat(False)
        delays: Iterator[float] = repeat(0.0)
        self._deliveries = iter(deliveries)
        in_order: Iterator[ScheduledSend[Delivery]] = zip(self._deliveries, copied, delays, strict=False)
        self._steps = in_order if plan.disorder.none else plan.disorder.apply(self._deliveries, random)
        self._in_turn = plan.disorder.none and plan.pace is None
        self._single = not plan.disorder.duplicate
        self._next: tuple[int, ScheduledSend[Delivery]] | None = None
        self._later: list[tuple[int, int, Delivery, str]] = []
        self._ended: list[SentAttempt] = []
        self._serial = 0
        self._exhausted = self._stopping = self._broken = False
        self._error: BaseException | None = None
        self._start_ns = 0
        self._request_time = self._next_second_ns = 0
        self._wall_offset_ns = time.time_ns() - time.monotonic_ns()

    async def go(self) -> SendStats:
        """Send everything; returns the tally when the last attempt has its outcome."""
        loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[None] = loop.create_future()
        self._start_ns = time.monotonic_ns()
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
        if self._error is not None:
            raise self._error
        return self.tally

    def stop(self) -> None:
        """Take nothing more; what is in flight still gets its outcome. Safe to call twice."""
        self._exhausted = self._stopping = True
        self._next = None
        self._later.clear()
        self._pump()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return (time.monotonic_ns() - self._start_ns) / 1e9

    @property
    def stream_error(self) -> BaseException | None:
        """What broke the stream of events off; everything before it has come to its end."""
        return self._error

    @property
    def stopping(self) -> bool:
        """Does it only wait for what is in flight?"""
        return self._stopping

    @property
    def waiting(self) -> int:
        """Callbacks that wait for a retry or out a delay."""
        return len(self._later)

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        return self._sender.in_flight

    def _pump(self) -> None:
        """Send what is due; an error of our own ends the run, whoever has called."""
        try:
            self._send_due()
        except Exception as error:  # noqa: BLE001 (in a callback of the loop, it would go unheard and the run hang)
            self.break_off(error)

    def break_off(self, error: Exception) -> None:
        """End at once with *error*, which is none of the target's."""
        self._broken = True
        self._exhausted = self._stopping = True
        if not self._finished.done():
            self._finished.set_exception(error)

    def _send_due(self) -> None:
        """Send what is due, as far as there is room for it, and see to it that the next is sent in time."""
        now = time.monotonic_ns()
        if now >= self._next_second_ns:
            self._tell_time(now)
        room = self._sender.connections - self._sender.in_flight
        sendings = self._next_in_turn(room) if self._in_turn and not self._later else self._due(now, room)
        if sendings:
            if self._ledger is not None:
                self._ledger.begin(sendings)
            self._sender.start(sendings)
        if len(sendings) < room:  # else whoever ends next pumps again
            self._set_alarm()

    def _next_in_turn(self, room: int) -> list[SentAttempt]:
        """In the closed loop, the next deliveries for so many connections, which are made together."""
        block: list[Delivery] = []
        if not self._exhausted:
            try:
                block.extend(islice(self._deliveries, room))
            except Exception as error:  # noqa: BLE001 (as in _take)
                self._error = error
            self._exhausted = len(block) < room
        self.tally.scheduled += len(block)
        request_time = self._request_time
        requests = self._target.requests([one.event for one in block], request_time)
        return [
            SentAttempt(
                request,
                check_out=one.event.check_out,
                delivery=one,
                kind="first",
                number=one.number + 1,
                request_time=request_time,
            )
            for request, one in zip(requests, block, strict=True)
        ]

    def _due(self, now: int, room: int) -> list[SentAttempt]:
        """What is due at *now*, for so many connections."""
        later = self._later
        found: list[SentAttempt] = []
        while len(found) < room:
            if later and later[0][0] <= now:
                intended, _, delivery, kind = heapq.heappop(later)
                found.append(self._sending(delivery, kind, intended))
                continue
            upcoming = self._next or self._take(now)
            if upcoming is None:
                break
            intended, (delivery, copy, delay_ms) = upcoming
            if intended > now:
                self._next = upcoming
                break
            self._next = None
            kind = "copy" if copy else "first"
            if delay_ms:
                self._put_off(delivery, kind, intended + int(delay_ms * 1e6))
            elif now - intended <= self._max_late_ns:
                found.append(self._sending(delivery, kind, intended))
        return found

    def _sending(self, delivery: Delivery, kind: str, intended: int) -> SentAttempt:
        delivery.number += 1
        return SentAttempt(
            self._target.request(delivery.event, self._request_time),
            intended if self._pace is not None else 0,
            delivery.event.check_out,
            delivery=delivery,
            kind=kind,
            number=delivery.number,
            request_time=self._request_time,
        )

    def _take(self, now: int) -> tuple[int, ScheduledSend[Delivery]] | None:
        """The next step and its intended time, or None if there is none or no room to put it off."""
        if self._exhausted or len(self._later) >= _MOST_LATER:
            return None
        try:
            step = next(self._steps, None)
        except Exception as error:  # noqa: BLE001 (a broken stream ends the run in order; go() raises it)
            self._error, step = error, None
        if step is None:
            self._exhausted = True
            return None
        if not step[1]:
            self.tally.scheduled += 1
        if self._pace is None:
            return now, step
        return self._start_ns + self._pace.offset_ns(step[0].event), step

    def _tell_time(self, now: int) -> None:
        """Note the second since the epoch, which requests are signed with, and when the next one begins."""
        self._request_time = (now + self._wall_offset_ns) // 1_000_000_000
        self._next_second_ns = (self._request_time + 1) * 1_000_000_000 - self._wall_offset_ns

    def _done(self, attempts: list[Attempt]) -> None:
        sendings = cast("list[SentAttempt]", attempts)  # we start nothing else
        try:
            if self._are_delivered_at_once(sendings):
                self.tally.delivered += len(sendings)
            else:
                for sending in sendings:
                    self._settle(sending)
            if self._ledger is not None:
                self._ledger.end(sendings)
            self._ended += sendings
            if len(self._ended) >= _BATCH:
                self.flush()
            self._send_due()
        except Exception as error:  # noqa: BLE001 (as in _pump)
            self.break_off(error)

    def _are_delivered_at_once(self, sendings: Iterable[SentAttempt]) -> bool:
        """Whether there is nothing to settle, as nearly always: each is the one attempt of its delivery, a success."""
        only_firsts = self._single and not self._serial
        return only_firsts and all(result.outcome is _DELIVERED for result in {one.result for one in sendings})

    def flush(self) -> None:
        """Count and write down what has ended; done by itself for every batch and every second."""
        if self._broken:
            return  # the journal's note still holds what could not be written: nothing may be noted as written after it
        ended, self._ended = self._ended, []
        if ended:
            self.tally.record(ended)
            if self._ledger is not None:
                self._ledger.write(ended)

    def _settle(self, sending: SentAttempt) -> None:
        """Count what has become of its delivery, and plan a retry where there is one."""
        delivery = sending.delivery
        if sending.kind == "retry":
            self.tally.retries += 1
        elif sending.kind == "copy":
            self.tally.copies += 1
        if sending.result.outcome is _DELIVERED:
            if not delivery.delivered:
                delivery.delivered = True
                self.tally.delivered += 1
                if sending.kind == "retry":
                    self.tally.recovery.record((sending.done_ns - delivery.first_ns) // 1000)
                self.tally.failed -= delivery.failed
        elif sending.kind != "copy":
            sending.final = self._give_up(sending)

    def _give_up(self, attempt: SentAttempt) -> bool:
        """Plan a retry; True if there is none and the delivery has failed."""
        delivery = attempt.delivery
        delivery.number = max(delivery.number, attempt.number)
        delivery.first_ns = delivery.first_ns or attempt.sent_ns
        since_first_ms = (attempt.done_ns - delivery.first_ns) / 1e6
        wait_ms = self._retry.wait_ms(attempt.result.outcome, attempt.number, since_first_ms)
        if wait_ms is not None:
            if not self._stopping:
                self._put_off(delivery, "retry", attempt.done_ns + int(wait_ms * 1e6))
            return False
        if not delivery.delivered and not delivery.failed:
            delivery.failed = True
            self.tally.failed += 1
        return True

    def _put_off(self, delivery: Delivery, kind: str, until_ns: int) -> None:
        self._serial += 1
        heapq.heappush(self._later, (until_ns, self._serial, delivery, kind))

    def _set_alarm(self) -> None:
        """Nothing more is due: wake up when something is, or end when nothing will be."""
        times = [self._later[0][0]] if self._later else []
        if self._next is not None:
            times.append(self._next[0])
        if times:
            self._alarm.set(min(times))
        elif not self._sender.in_flight and self._exhausted and not self._finished.done():
            self._finished.set_result(None)

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
