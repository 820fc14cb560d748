"""A run of the sender over a stream of events: open or closed loop, with retries, copies, reordering and a journal.

Nothing is taken from the stream before there is room for it, so that memory stays bounded however far a target falls
behind: callbacks wait in the stream, and their latency counts from the moment at which they were meant to leave.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, count, islice, repeat
from random import Random
from typing import Final, Protocol

import msgspec

from roomhook.simulator.alarm import Alarm
from roomhook.simulator.attempts import Attempt
from roomhook.simulator.events import Event
from roomhook.simulator.outcomes import Outcome
from roomhook.simulator.pacing import Pace
from roomhook.simulator.retries import PROFILES, Disorder, RetryProfile, Step
from roomhook.simulator.sender import Sender
from roomhook.simulator.tally import Tally

__all__ = ["Delivery", "Ledger", "Plan", "Run", "Sending", "numbered"]

_MOST_LATER: Final = 50_000
"""Callbacks that may wait for a retry or a delay; beyond, nothing new is taken from the stream."""

_BLOCK: Final = 64
"""Events that are taken from a stream together, in a fraction of a millisecond."""

_BATCH: Final = 128
"""Ended attempts that are counted and written down together."""

_DELIVERED: Final = Outcome.DELIVERED


class Delivery(msgspec.Struct, gc=False):
    """One event on its way to one callback URL; ``number`` counts its attempts, the first began at ``first_ns``."""

    id: int
    event: Event
    number: int = 0
    first_ns: int = 0
    delivered: bool = False
    failed: bool = False


class Sending(Attempt):
    """An attempt of a delivery, signed at ``request_time`` (s); ``kind`` is first, retry or copy.

    ``final`` says, once it has its result, that the delivery needs no further attempt.
    ``key``, ``code`` and ``slot`` are the journal's.
    """

    __slots__ = ("code", "delivery", "final", "key", "kind", "number", "request_time", "slot")

    final: bool
    code: int
    key: int
    slot: int

    def __init__(self, request: bytes, intended_ns: int, delivery: Delivery, kind: str, request_time: int) -> None:
        # As Attempt's, spelt out: this runs once for every callback.
        self.request = request
        self.intended_ns = intended_ns
        self.resent = False
        self.delivery = delivery
        self.kind = kind
        self.request_time = request_time
        delivery.number = self.number = delivery.number + 1


class Ledger(Protocol):
    """What a journal does for a run."""

    def begin(self, sending: Sending) -> None:
        """Note, before its first byte leaves, that *sending* is under way."""

    def end(self, sending: Sending) -> None:
        """Note that it has its outcome."""

    def write(self, sendings: Sequence[Sending]) -> None:
        """Write down *sendings*, which have been noted as ended."""


@dataclass(frozen=True)
class Plan:
    """How a run sends. ``pace`` of None is the closed loop: every connection sends its next callback at once.

    ``max_late_ms`` leaves callbacks unsent that could not leave within that time after they were meant to.
    """

    pace: Pace | None = None
    retry: RetryProfile = PROFILES["none"]
    disorder: Disorder = field(default_factory=Disorder)
    max_late_ms: float | None = None


def numbered(events: Iterable[Event], first_id: int = 1) -> Iterator[Delivery]:
    """*events* as deliveries with ids from *first_id*, for runs without a journal.

    They are taken in blocks: rooms that live for a while and a sender that sends for a while each find their data in
    the processor's cache.
    """
    source, ids = iter(events), count(first_id)
    return chain.from_iterable(map(Delivery, ids, block) for block in iter(lambda: list(islice(source, _BLOCK)), []))


class Run:
    """Sends *deliveries* through *sender* as *plan* says, counting in ``tally``."""

    def __init__(
        self,
        sender: Sender,
        deliveries: Iterable[Delivery],
        plan: Plan,
        random: Random,
        ledger: Ledger | None = None,
    ) -> None:
        mode = plan.pace.name if plan.pace else f"closed loop, {sender.connections} connections"
        self.tally = Tally(mode, open_loop=plan.pace is not None)
        self.random = random
        self._sender = sender
        self._request = sender.target.request
        self._pace = plan.pace
        self._retry = plan.retry
        self._ledger = ledger
        self._max_late_ns = int((plan.max_late_ms if plan.max_late_ms is not None else 1e12) * 1e6)
        copied: Iterator[bool] = repeat(False)
        delays: Iterator[float] = repeat(0.0)
        self._deliveries = iter(deliveries)
        in_order: Iterator[Step[Delivery]] = zip(self._deliveries, copied, delays, strict=False)
        self._steps = in_order if plan.disorder.none else plan.disorder.apply(self._deliveries, random)
        self._in_turn = plan.disorder.none and plan.pace is None
        self._next: tuple[int, Step[Delivery]] | None = None
        self._later: list[tuple[int, int, Delivery, str]] = []
        self._ended: list[Sending] = []
        self._serial = 0
        self._exhausted = self._stopping = False
        self._error: BaseException | None = None
        self._start_ns = 0
        self._request_time = self._next_second_ns = 0
        self._wall_offset_ns = time.time_ns() - time.monotonic_ns()

    async def go(self) -> Tally:
        """Send everything; returns the tally when the last attempt has its outcome."""
        loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[None] = loop.create_future()
        self._start_ns = time.monotonic_ns()
        self._alarm = Alarm(self._pump)
        ticking = loop.create_task(self._tick())
        self._sender.relay = self._relay if self._in_turn else None
        try:
            self._pump()
            await self._finished
        finally:
            self._sender.relay = None
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
            self._break(error)

    def _break(self, error: Exception) -> None:
        self._exhausted = self._stopping = True
        if not self._finished.done():
            self._finished.set_exception(error)

    def _send_due(self) -> None:
        """Send what is due, as far as there is room for it, and see to it that the next is sent in time."""
        now = time.monotonic_ns()
        sender = self._sender
        later = self._later
        while sender.in_flight < sender.connections:
            if later and later[0][0] <= now:
                intended, _, delivery, kind = heapq.heappop(later)
                self._begin(delivery, kind, intended, now)
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
                self._begin(delivery, kind, intended, now)
        else:
            return  # whoever ends next pumps again
        self._set_alarm()

    def _take(self, now: int) -> tuple[int, Step[Delivery]] | None:
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

    def _begin(self, delivery: Delivery, kind: str, intended: int, now: int) -> None:
        if now >= self._next_second_ns:
            self._tell_time(now)
        request_time = self._request_time
        sending = Sending(self._request(delivery.event, request_time), intended, delivery, kind, request_time)
        if not delivery.first_ns:
            delivery.first_ns = now
        if self._ledger is not None:
            self._ledger.begin(sending)
        self._sender.start(sending, self._done, now)

    def _tell_time(self, now: int) -> None:
        """Note the second since the epoch, which requests are signed with, and when the next one begins."""
        self._request_time = (now + self._wall_offset_ns) // 1_000_000_000
        self._next_second_ns = (self._request_time + 1) * 1_000_000_000 - self._wall_offset_ns

    def _done(self, attempt: Attempt) -> None:
        sending: Sending = attempt  # type: ignore[assignment]  # we start nothing else
        try:
            self._settle(sending)
            if self._ledger is not None:
                self._ledger.end(sending)
            self._ended.append(sending)
            if len(self._ended) >= _BATCH:
                self.flush()
            self._send_due()
        except Exception as error:  # noqa: BLE001 (as in _pump)
            self._break(error)

    def _relay(self, attempt: Attempt) -> Sending | None:
        """What nearly always happens in a closed loop, in one go: a callback is delivered, the next takes its place."""
        sending: Sending = attempt  # type: ignore[assignment]  # we start nothing else
        if sending.result.outcome is not _DELIVERED or sending.kind != "first" or self._later or self._exhausted:
            return None
        now = sending.done_ns
        try:
            delivery = next(self._deliveries, None)
        except Exception as error:  # noqa: BLE001 (as in _take)
            self._error, delivery = error, None
        if delivery is None:
            self._exhausted = True
            return None
        if now >= self._next_second_ns:
            self._tell_time(now)
        request_time = self._request_time
        try:
            following = Sending(self._request(delivery.event, request_time), now, delivery, "first", request_time)
            delivery.first_ns = now
            sending.final = True
            if self._ledger is not None:
                self._ledger.end(sending)
                self._ledger.begin(following)
            tally, ended = self.tally, self._ended
            tally.scheduled += 1
            tally.delivered += 1
            ended.append(sending)
            if len(ended) >= _BATCH:
                self.flush()
        except Exception as error:  # noqa: BLE001 (as in _pump)
            self._break(error)
            return None
        return following

    def flush(self) -> None:
        """Count and write down what has ended; done by itself for every batch and every second."""
        ended, self._ended = self._ended, []
        if ended:
            self.tally.record(ended)
            if self._ledger is not None:
                self._ledger.write(ended)

    def _settle(self, sending: Sending) -> None:
        """Count what has become of its delivery, and plan a retry where there is one."""
        delivery = sending.delivery
        sending.final = True
        if sending.kind == "retry":
            self.tally.retries += 1
        elif sending.kind == "copy":
            self.tally.copies += 1
        if sending.result.outcome is _DELIVERED:
            if not delivery.delivered:
                delivery.delivered = True
                self.tally.delivered += 1
                self.tally.failed -= delivery.failed
        elif sending.kind != "copy":
            sending.final = self._give_up(sending)

    def _give_up(self, attempt: Sending) -> bool:
        """Plan a retry; True if there is none and the delivery has failed."""
        delivery = attempt.delivery
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
                self._break(error)

    def _mark(self) -> None:
        self.flush()
        self.tally.elapsed_s = self.elapsed_s
        self.tally.mark(round(self.tally.elapsed_s, 1))
