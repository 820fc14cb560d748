"""The fast sender: sends callbacks at a rate or over a number of busy connections, and counts their outcomes."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Final, TextIO

from roomhook.loadtests.fast_sender.rate_schedule import RateSchedule
from roomhook.loadtests.fast_sender.request_cache import RequestCache
from roomhook.loadtests.results.stats import LoadStats, Series
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.transport.attempt import Attempt
from roomhook.simulator.transport.delivery import NO_DELIVERY
from roomhook.simulator.transport.sender import Sender
from roomhook.simulator.util.clock import WallClock
from roomhook.simulator.util.precise_timer import PreciseTimer

__all__ = ["COLUMNS", "FastSender"]

COLUMNS: Final = "check_out,intended_us,lateness_us,latency_us,outcome,status\n"
"""What stands in a line about an attempt: its intended moment since the epoch, and times from there."""

_BATCH: Final = 256
_A_TURN: Final = 512
"""Most callbacks sent in one turn of the event loop, so that responses are read in between."""


class FastSender:
    """Sends *events* through *sender* for a number of users that changes: each brings a *rate*, or one connection.

    With a *rate* (callbacks/s of a user) of 0 the loop is closed. Every attempt becomes a line in
    *attempts*. Everything happens on the running loop. An error of our own is kept in ``error`` and ends the sending.
    """

    def __init__(
        self, sender: Sender, events: Iterator[CallbackEvent], rate: float, attempts: TextIO | None = None
    ) -> None:
        self._attempts = attempts
        self.error: Exception | None = None
        self._sender = sender
        sender.on_complete = self._done
        self._prepared = RequestCache(events, sender.target)
        self._rate = rate
        self._most = sender.connections
        self._limit = 0
        self._stopping = False
        self._ended: list[Attempt] = []
        self._figures = LoadStats()
        self._clock = WallClock()
        self._schedule = RateSchedule(time.monotonic_ns())
        self._alarm = PreciseTimer(self._pump)
        self._idle = asyncio.Event()

    def resize(self, users: int) -> None:
        """Send for so many *users* from now on."""
        if self._stopping:
            return
        if self._rate:
            self._schedule.change(time.monotonic_ns(), users * self._rate)
            self._limit = self._most
        else:
            self._limit = min(users, self._most)
        self._pump()

    async def stop(self) -> None:
        """Send nothing more and wait until all that has left has its outcome."""
        if not self._stopping:
            self._pump()  # what is due and has a connection is not unsent
            self._stopping = True
            if self._rate:
                self._figures.unsent += self._schedule.backlog(time.monotonic_ns())
            self._alarm.close()
        if self._sender.in_flight:
            await self._idle.wait()

    def drain_stats(self) -> LoadStats:
        """What has been counted since the last time."""
        self._count()
        taken, self._figures = self._figures, LoadStats()
        return taken

    def _pump(self) -> None:
        try:
            self._send_due()
        except Exception as error:  # noqa: BLE001 (in a callback of the loop it would go unheard)
            self.error = self.error or error
            self._stopping = True

    def _send_due(self) -> None:
        if self._stopping:
            return
        now = time.monotonic_ns()
        room = min(self._limit - self._sender.in_flight, _A_TURN)
        times = self._due(now, room) if self._rate else [0] * room
        if len(times) == _A_TURN:
            self._alarm.set(now)
        if times:
            self._clock.refresh()
            take, wall_now = self._prepared.take, self._clock.at(now)
            callbacks = [take(wall_now) for _ in times]
            self._sender.start(
                [
                    Attempt(request, due, name, NO_DELIVERY)
                    for due, (request, name) in zip(times, callbacks, strict=True)
                ]
            )

    def _due(self, now: int, most: int) -> list[int]:
        """When the next callbacks were meant to leave, at *most* so many; the alarm is set for the one after them."""
        schedule = self._schedule
        times: list[int] = []
        while len(times) < most:
            due = schedule.due_ns()
            if due is None:
                return times
            if due > now:
                self._alarm.set(due)
                return times
            schedule.take()
            times.append(due)
        return times

    def _done(self, attempts: list[Attempt]) -> None:
        self._ended += attempts
        if len(self._ended) >= _BATCH:
            try:
                self._count()
            except Exception as error:  # noqa: BLE001 (as in _pump)
                self.error = self.error or error
                self._stopping = True
        if self._stopping:
            if not self._sender.in_flight:
                self._idle.set()
            return
        self._pump()

    def _count(self) -> None:
        ended, self._ended = self._ended, []
        figures, wall_ns = self._figures, self._clock.offset_ns
        if ended:
            figures.span((ended[0].done_ns + wall_ns) // 1000, (ended[-1].done_ns + wall_ns) // 1000)
        groups: dict[str, list[Attempt]] = defaultdict(list)
        for shot in ended:
            groups[shot.check_out].append(shot)
        for name, shots in groups.items():
            series = figures.series.get(name) or figures.series.setdefault(name, Series())
            series.requests += len(shots)
            series.latency.record_all([(shot.done_ns - (shot.intended_ns or shot.sent_ns)) // 1000 for shot in shots])
            for shot in shots:
                result = shot.result
                series.answer_bytes += len(result.body)
                second = (shot.done_ns + wall_ns) // 1_000_000_000
                cell = series.seconds.get(second) or series.seconds.setdefault(second, [0, 0])
                cell[0] += 1
                if result.outcome is not DeliveryOutcome.DELIVERED or result.breaches:
                    figures.outcomes[result.outcome.value] += 1
                    latency_us = (shot.done_ns - (shot.intended_ns or shot.sent_ns)) // 1000
                    figures.fail(name, second, latency_us, result.outcome, result.breaches, status=result.status)
                else:
                    figures.outcomes["delivered"] += 1
        if self._attempts is not None:
            self._attempts.writelines(_line(shot, wall_ns) for shot in ended)
        if self._rate:
            figures.lateness.record_all([(shot.sent_ns - shot.intended_ns) // 1000 for shot in ended])


def _line(shot: Attempt, wall_ns: int) -> str:
    intended = shot.intended_ns or shot.sent_ns
    lateness, latency = (shot.sent_ns - intended) // 1000, (shot.done_ns - intended) // 1000
    due = (intended + wall_ns) // 1000
    return f"{shot.check_out},{due},{lateness},{latency},{shot.result.outcome.value},{shot.result.status}\n"
