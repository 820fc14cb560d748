"""Delivers the callbacks of one app to one URL: keeps the order within each room, retries, and injects faults."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.room_backend.runtime.faults import FaultInjector
from roomhook.simulator.room_backend.runtime.store import AttemptRow
from roomhook.simulator.transport.attempt import Attempt
from roomhook.simulator.transport.retry_policy import RetryPolicy
from roomhook.simulator.transport.sender import Sender
from roomhook.simulator.transport.target import Target

__all__ = ["DeliveryAttempt", "DeliveryQueue", "QueuedCallback"]

_HELD_MS: Final = 500
"""How long a callback waits to be overtaken."""


class QueuedCallback:
    """A callback to deliver: ``id`` in the store, ``attempts`` so far, ``copies`` to send after it is settled."""

    __slots__ = ("attempts", "copies", "event", "first_ns", "id", "kind", "room")

    def __init__(self, callback: int, room: str, event: CallbackEvent, attempts: int = 0, kind: str = "first") -> None:
        self.id = callback
        self.room = room
        self.event = event
        self.attempts = attempts
        self.kind = kind
        self.first_ns = 0
        self.copies = 0


class DeliveryAttempt(Attempt, kw_only=True):
    """One attempt of a callback, numbered from 1; ``wall_ns`` is the wall clock's time at ``posted_ns``."""

    callback: QueuedCallback
    wall_ns: int
    posted_ns: int

    def row(self, final: str | None) -> AttemptRow:
        """The attempt as it is stored; *final* is the state that its callback is in now."""
        offset = self.wall_ns - self.posted_ns
        return AttemptRow(
            self.callback.id,
            self.number,
            self.kind,
            (self.sent_ns + offset) // 1000,
            (self.done_ns + offset) // 1000,
            self.request_time,
            self.result.outcome,
            self.result.status or None,
            " ".join(self.result.breaches),
            final,
        )


class DeliveryQueue:
    """Sends the callbacks of one app to one URL over *sender*, never two of one room at once.

    *on_attempt* gets the stored form of every ended attempt, with the attempt itself unless a fault dropped it;
    *call_later* runs a function after some ms of the Room backend's clock; *on_idle* is called whenever all callbacks
    that are not postponed have their outcome.
    """

    def __init__(
        self,
        sender: Sender,
        retry: RetryPolicy,
        faults: FaultInjector,
        *,
        on_attempt: Callable[[AttemptRow, DeliveryAttempt | None], object],
        call_later: Callable[[int, Callable[[], object]], object],
        on_idle: Callable[[], object],
    ) -> None:
        self.faults = faults
        self.outstanding = 0
        self.postponed = 0
        self._sender = sender
        sender.on_complete = self._completed
        self.retry = retry
        self._on_attempt = on_attempt
        self._call_later = call_later
        self._on_idle = on_idle
        self._ready: deque[QueuedCallback] = deque()
        self._rooms: dict[str, deque[QueuedCallback]] = {}
        self._held: QueuedCallback | None = None
        self._stopping = False

    @property
    def waiting(self) -> int:
        """The number of callbacks without a final outcome."""
        return self.outstanding + self.postponed

    def add(self, callback: QueuedCallback) -> None:
        """Deliver *callback*, with the faults drawn for it."""
        fate = self.faults.draw()
        if fate.dropped:
            now_us = time.time_ns() // 1000
            row = AttemptRow(
                callback.id, 1, "dropped", now_us, now_us, now_us // 1_000_000, "dropped", None, "", "dropped"
            )
            self._on_attempt(row, None)
            return
        callback.copies = int(fate.duplicated)
        if fate.overtaken and self._held is None:
            self._held = callback
            self.postponed += 1
            self._call_later(_HELD_MS, lambda: self.release(callback))
        elif fate.delay_ms:
            self.postponed += 1
            self._call_later(fate.delay_ms, lambda: self._resume(callback))
        else:
            self._queue(callback)
            self.release()

    def release(self, callback: QueuedCallback | None = None) -> None:
        """Send the callback that waits to be overtaken (only *callback*, if given)."""
        held = self._held
        if held is not None and callback in {held, None}:
            self._held = None
            self._resume(held)

    def stop(self) -> None:
        """Start no more attempts; those in flight still get their outcome."""
        self._stopping = True
        self.outstanding -= len(self._ready) + sum(map(len, self._rooms.values()))
        self._ready.clear()
        for waiting in self._rooms.values():
            waiting.clear()
        if not self.outstanding:
            self._on_idle()

    def retarget(self, target: Target) -> None:
        """Send the next callbacks as *target* says: the same URL, another token."""
        self._sender.target = target

    async def close(self) -> None:
        """Close the connections."""
        await self._sender.close()

    def _resume(self, callback: QueuedCallback) -> None:
        self.postponed -= 1
        self._queue(callback)

    def _queue(self, callback: QueuedCallback) -> None:
        if self._stopping:
            return
        self.outstanding += 1
        waiting = self._rooms.get(callback.room)
        if waiting is not None:
            waiting.append(callback)
            return
        self._rooms[callback.room] = deque()
        if self._sender.in_flight < self._sender.connections:
            self._post(callback)
        else:
            self._ready.append(callback)

    def _post(self, callback: QueuedCallback) -> None:
        now_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        request_time = wall_ns // 1_000_000_000
        callback.attempts += 1
        callback.first_ns = callback.first_ns or now_ns
        attempt = DeliveryAttempt(
            self._sender.target.request(callback.event, request_time),
            now_ns,
            callback=callback,
            kind=callback.kind,
            request_time=request_time,
            number=callback.attempts,
            wall_ns=wall_ns,
            posted_ns=now_ns,
        )
        self._sender.start([attempt])

    def _completed(self, attempts: list[Attempt]) -> None:
        for attempt in attempts:
            self._settle(cast("DeliveryAttempt", attempt))

    def _settle(self, attempt: DeliveryAttempt) -> None:
        callback = attempt.callback
        self.outstanding -= 1
        final = self._final_state(attempt)
        self._on_attempt(attempt.row(final), attempt)
        if final is not None and callback.copies and not self._stopping:
            callback.copies = 0
            copy = QueuedCallback(callback.id, callback.room, callback.event, callback.attempts, "copy")
            self.outstanding += 1
            self._rooms[callback.room].appendleft(copy)
        self._start_next(callback.room)
        if not self.outstanding:
            self._on_idle()

    def _start_next(self, room: str) -> None:
        waiting = self._rooms[room]
        if waiting:
            self._ready.append(waiting.popleft())
        else:
            del self._rooms[room]
        while self._ready and self._sender.in_flight < self._sender.connections:
            self._post(self._ready.popleft())

    def _final_state(self, attempt: DeliveryAttempt) -> str | None:
        """The final state of the callback, or None if it is sent again."""
        callback = attempt.callback
        if attempt.result.outcome is DeliveryOutcome.DELIVERED:
            return "delivered"
        if callback.kind == "copy":
            return None
        since_first_ms = (attempt.done_ns - callback.first_ns) / 1e6
        wait_ms = self.retry.wait_ms(attempt.result.outcome, attempt.number, since_first_ms)
        if wait_ms is None:
            return "failed"
        if not self._stopping:
            callback.kind = "retry"
            self.postponed += 1
            self._call_later(int(wait_ms), lambda: self._resume(callback))
        return None
