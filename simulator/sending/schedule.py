"""Schedule of deliveries: the stream at its pace, and deliveries that wait for a retry or a delay.

Items are taken from the stream only when there is room, so memory stays bounded however slow the target is.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice, repeat
from random import Random
from typing import Final

from roomhook.simulator.sending.network_faults import NetworkFaults, ScheduledSend
from roomhook.simulator.sending.pacing import Pacing
from roomhook.simulator.transport.delivery import Delivery

__all__ = ["Due", "Schedule"]

_MOST_WAITING: Final = 50_000
"""Most callbacks that wait for a retry or a delay; above it, the stream pauses."""

Due = tuple[Delivery, str, int]
"""A delivery, the kind of attempt (first, retry or copy), and its intended time (ns; 0: none)."""


class Schedule:
    """Returns *deliveries* when they are due; without *pace*, everything is due at once.

    What is more than *max_late_ns* late is dropped. ``taken`` counts the items of the stream. ``error`` is the error
    that ended the stream, which then is ``exhausted``.
    """

    def __init__(
        self,
        deliveries: Iterable[Delivery],
        pace: Pacing | None,
        faults: NetworkFaults,
        random: Random,
        max_late_ns: float = float("inf"),
    ) -> None:
        self.taken = 0
        self.exhausted = False
        self.error: Exception | None = None
        self._pace = pace
        self._faultless = faults.none
        self._may_copy = faults.duplicate > 0
        self._max_late_ns = max_late_ns
        self._deliveries = iter(deliveries)
        self._steps = self._in_order() if faults.none else faults.apply(self._deliveries, random)
        self._next: tuple[int, ScheduledSend[Delivery]] | None = None
        self._waiting: list[tuple[int, int, Delivery, str]] = []
        self._serial = 0
        self._start_ns = 0

    @property
    def waiting(self) -> int:
        """Number of deliveries that wait for a retry or a delay."""
        return len(self._waiting)

    @property
    def only_firsts(self) -> bool:
        """Whether no delivery had more than one attempt so far."""
        return not self._may_copy and not self._serial

    def start(self, now_ns: int) -> None:
        """Start the pace at *now_ns*."""
        self._start_ns = now_ns

    def stop(self) -> None:
        """Make nothing more due."""
        self.exhausted = True
        self._next = None
        self._waiting.clear()

    def put_off(self, delivery: Delivery, kind: str, until_ns: int) -> None:
        """Make *delivery* due (again) at *until_ns*."""
        self._serial += 1
        heapq.heappush(self._waiting, (until_ns, self._serial, delivery, kind))

    def due(self, now_ns: int, most: int) -> list[Due]:
        """Up to *most* deliveries that are due."""
        if self._pace is None and self._faultless and not self._waiting:
            return [(one, "first", 0) for one in self._take(most)]
        found: list[Due] = []
        while len(found) < most:
            one = self._next_waiting(now_ns) or self._next_of_stream(now_ns)
            if one is None:
                break
            found.append(one)
        return found

    def next_ns(self) -> int | None:
        """Time of the next delivery, if known."""
        times = [self._waiting[0][0]] if self._waiting else []
        if self._next is not None:
            times.append(self._next[0])
        return min(times, default=None)

    def _in_order(self) -> Iterator[ScheduledSend[Delivery]]:
        return zip(self._deliveries, repeat(False), repeat(0.0), strict=False)

    def _take(self, most: int) -> list[Delivery]:
        """The next *most* of the stream, all due now; building them together is cheaper."""
        block: list[Delivery] = []
        if not self.exhausted:
            try:
                block.extend(islice(self._deliveries, most))
            except Exception as error:  # noqa: BLE001 (what came before is still sent; the dispatcher raises it then)
                self.error = error
            self.exhausted = len(block) < most
            self.taken += len(block)
        return block

    def _next_waiting(self, now_ns: int) -> Due | None:
        if not self._waiting or self._waiting[0][0] > now_ns:
            return None
        intended_ns, _, delivery, kind = heapq.heappop(self._waiting)
        return delivery, kind, 0 if self._pace is None else intended_ns

    def _next_of_stream(self, now_ns: int) -> Due | None:
        while (upcoming := self._next or self._step(now_ns)) is not None:
            intended_ns, (delivery, copy, delay_ms) = upcoming
            if intended_ns > now_ns:
                self._next = upcoming
                break
            self._next = None
            kind = "copy" if copy else "first"
            if delay_ms:
                self.put_off(delivery, kind, intended_ns + int(delay_ms * 1e6))
                if (delayed := self._next_waiting(now_ns)) is not None:
                    return delayed
            elif now_ns - intended_ns <= self._max_late_ns:
                return delivery, kind, 0 if self._pace is None else intended_ns
        return None

    def _step(self, now_ns: int) -> tuple[int, ScheduledSend[Delivery]] | None:
        """The next of the stream and its time, or None if there is none or no room to delay it."""
        if self.exhausted or len(self._waiting) >= _MOST_WAITING:
            return None
        try:
            step = next(self._steps, None)
        except Exception as error:  # noqa: BLE001 (as in _take)
            self.error, step = error, None
        if step is None:
            self.exhausted = True
            return None
        self.taken += not step[1]
        return (now_ns if self._pace is None else self._start_ns + self._pace.offset_ns(step[0].event)), step
