"""A courier for each app and callback URL: keeps the order of each room, retries, and does harm on demand."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final, cast

import msgspec

from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.room_backend.runtime.store import AttemptRow
from roomhook.simulator.room_backend.state.options import BackendOptions
from roomhook.simulator.transport.attempt import Attempt
from roomhook.simulator.transport.sender import Sender
from roomhook.simulator.transport.target import Target

__all__ = ["DeliveryQueue", "Faults", "QueuedCallback"]

_HELD_MS: Final = 500
"""How long a callback that is to be overtaken waits for another one to overtake it."""


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What befalls an app's callbacks: shares (0 to 1) that are dropped, sent twice, overtaken; a delay (ms, from-to).

    ``callbacks`` says for how many of the next callbacks; None: until it is changed.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_ms: tuple[int, int] = (0, 0)
    callbacks: int | None = None


class QueuedCallback:
    """A callback on its way: ``id`` is the store's, ``number`` counts its attempts."""

    __slots__ = ("event", "first_ns", "id", "kind", "number", "room")

    def __init__(self, callback: int, room: str, event: CallbackEvent, number: int = 0, kind: str = "first") -> None:
        self.id = callback
        self.room = room
        self.event = event
        self.number = number
        self.kind = kind
        self.first_ns = 0


class _Posting(Attempt, kw_only=True):
    parcel: QueuedCallback
    request_time: int
    number: int


class DeliveryQueue:
    """Sends the callbacks of one app to one URL, at most ``in_flight`` at once, never two of one room.

    *record* gets every ended attempt, *later* is asked to call back after some ms of the Room backend's clock, *rested*
    is told whenever everything that is not put off has its outcome.
    """

    def __init__(
        self,
        sender: Sender,
        habits: BackendOptions,
        *,
        random: Random,
        record: Callable[[AttemptRow], object],
        later: Callable[[int, Callable[[], object]], object],
        rested: Callable[[], object],
    ) -> None:
        self.faults = Faults()
        self.outstanding = 0
        self.put_off = 0
        self._sender = sender
        sender.on_complete = self._done
        self._target: Target = sender.target
        self._retry = habits.retry
        self._most = habits.in_flight
        self._random = random
        self._record = record
        self._later = later
        self._rested = rested
        self._ready: deque[QueuedCallback] = deque()
        self._lanes: dict[str, deque[QueuedCallback]] = {}
        self._held: QueuedCallback | None = None
        self._in_flight = 0
        self._copies: dict[int, int] = {}
        self._wall_offset_ns = time.time_ns() - time.monotonic_ns()
        self._stopping = False

    @property
    def waiting(self) -> int:
        """Callbacks that have no outcome yet, wherever they are."""
        return self.outstanding + self.put_off

    def hand_over(self, parcel: QueuedCallback) -> None:
        """Take a callback on; the faults decide what becomes of it."""
        faults = self._faults_of_next()
        if faults is None:
            self._queue(parcel)
            return
        chance = self._random.random
        dropped, doubled, overtaken = chance() < faults.drop, chance() < faults.duplicate, chance() < faults.reorder
        delay = self._random.randint(*faults.delay_ms)
        if dropped:
            now_us = time.time_ns() // 1000
            self._record(
                AttemptRow(parcel.id, 1, "dropped", now_us, now_us, now_us // 1_000_000, "dropped", None, "", "dropped")
            )
            return
        if doubled:
            self._copies[parcel.id] = 1
        if overtaken and self._held is None:
            self._held = parcel
            self.put_off += 1
            self._later(_HELD_MS, lambda: self.release(parcel))
        elif delay:
            self.put_off += 1
            self._later(delay, lambda: self._return(parcel))
        else:
            self._queue(parcel)
            self.release(self._held)

    def release(self, parcel: QueuedCallback | None = None) -> None:
        """Send *parcel* (None: whatever there is), which was held back to be overtaken, if it still is."""
        held = self._held
        if held is not None and parcel in {held, None}:
            self._held = None
            self._return(held)

    def stop(self) -> None:
        """Begin nothing more; what is under way still gets its outcome."""
        self._stopping = True
        self.outstanding -= len(self._ready) + sum(map(len, self._lanes.values()))
        self._ready.clear()
        for lane in self._lanes.values():
            lane.clear()
        if not self.outstanding:
            self._rested()

    async def close(self) -> None:
        """Close the connections."""
        await self._sender.close()

    def _faults_of_next(self) -> Faults | None:
        faults = self.faults
        if faults.callbacks is not None:
            left = faults.callbacks - 1
            self.faults = msgspec.structs.replace(faults, callbacks=left) if left > 0 else Faults()
        return None if faults == Faults() else faults

    def _return(self, parcel: QueuedCallback) -> None:
        self.put_off -= 1
        self._queue(parcel)

    def _queue(self, parcel: QueuedCallback) -> None:
        if self._stopping:
            return
        self.outstanding += 1
        lane = self._lanes.get(parcel.room)
        if lane is not None:
            lane.append(parcel)
            return
        self._lanes[parcel.room] = deque()
        if self._in_flight < self._most:
            self._post(parcel)
        else:
            self._ready.append(parcel)

    def _post(self, parcel: QueuedCallback) -> None:
        now_ns = time.monotonic_ns()
        request_time = (now_ns + self._wall_offset_ns) // 1_000_000_000
        request = self._target.request(parcel.event, request_time)
        parcel.number += 1
        posting = _Posting(request, now_ns, parcel=parcel, request_time=request_time, number=parcel.number)
        parcel.first_ns = parcel.first_ns or now_ns
        self._in_flight += 1
        self._sender.start([posting])

    def _done(self, attempts: list[Attempt]) -> None:
        for posting in attempts:
            self._settle(cast("_Posting", posting))

    def _settle(self, posting: _Posting) -> None:
        parcel = posting.parcel
        self._in_flight -= 1
        self.outstanding -= 1
        final = self._final(posting, parcel)
        offset = self._wall_offset_ns
        self._record(
            AttemptRow(
                parcel.id,
                posting.number,
                parcel.kind,
                (posting.sent_ns + offset) // 1000,
                (posting.done_ns + offset) // 1000,
                posting.request_time,
                posting.result.outcome,
                posting.result.status or None,
                " ".join(posting.result.breaches),
                final,
            )
        )
        if final is not None and self._copies.pop(parcel.id, 0) and not self._stopping:
            copy = QueuedCallback(parcel.id, parcel.room, parcel.event, parcel.number, "copy")
            self.outstanding += 1
            self._lanes[parcel.room].appendleft(copy)
        self._next(parcel.room)
        if not self.outstanding:
            self._rested()

    def _next(self, room: str) -> None:
        lane = self._lanes[room]
        if lane:
            self._ready.append(lane.popleft())
        else:
            del self._lanes[room]
        while self._ready and self._in_flight < self._most:
            self._post(self._ready.popleft())

    def _final(self, posting: _Posting, parcel: QueuedCallback) -> str | None:
        """The state in which the callback is now; None if it will be tried again."""
        if posting.result.outcome is DeliveryOutcome.DELIVERED:
            return "delivered"
        if parcel.kind == "copy":
            return None
        since_first_ms = (posting.done_ns - parcel.first_ns) / 1e6
        wait_ms = self._retry.wait_ms(posting.result.outcome, posting.number, since_first_ms)
        if wait_ms is None:
            return "failed"
        if not self._stopping:
            parcel.kind = "retry"
            self.put_off += 1
            self._later(int(wait_ms), lambda: self._return(parcel))
        return None
