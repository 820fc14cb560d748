"""All unfinished callbacks: one delivery queue for each app and URL; what does not fit in memory waits in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from random import Random
from typing import Final, NamedTuple

from roomhook.simulator.room_backend.runtime.delivery_queue import DeliveryAttempt, DeliveryQueue, QueuedCallback
from roomhook.simulator.room_backend.runtime.faults import FaultInjector, Faults
from roomhook.simulator.room_backend.runtime.outcome_writer import OutcomeWriter
from roomhook.simulator.room_backend.runtime.store import AttemptRow, Store
from roomhook.simulator.room_backend.state.options import BackendOptions
from roomhook.simulator.transport.retry_policy import RetryPolicy
from roomhook.simulator.transport.sender import Sender
from roomhook.simulator.transport.target import Target

__all__ = ["Deliveries", "DeliveryTarget", "OnAttempt"]

_MOST_QUEUED: Final = 10_000
"""Callbacks a queue holds in memory; the others wait in the store."""

OnAttempt = Callable[[AttemptRow, DeliveryAttempt | None], object]
"""Called with every ended attempt; without the attempt itself if a fault dropped the callback."""


class DeliveryTarget(NamedTuple):
    """Where callbacks go: an app's callback URL."""

    sdkappid: int
    url: str


class Deliveries:
    """Delivers the callbacks of all apps, each to its URL, and stores how every attempt ended.

    ``listeners`` are called with every ended attempt; ``retry`` is the policy that applies now. *target_of* says how to
    reach a URL; *is_current*, whether an app still sends to it: the connections to others are closed once nothing waits
    for them.
    """

    def __init__(
        self,
        options: BackendOptions,
        store: Store,
        *,
        call_later: Callable[[int, Callable[[], object]], object],
        is_current: Callable[[DeliveryTarget], bool],
        target_of: Callable[[DeliveryTarget], Target],
    ) -> None:
        self.writer = OutcomeWriter(store)
        self.listeners: list[OnAttempt] = []
        self._options = options
        self.retry = options.retry
        self._call_later = call_later
        self._is_current = is_current
        self._target_of = target_of
        self._queues: dict[DeliveryTarget, DeliveryQueue] = {}
        self._overflow = _Overflow(store)
        self._faults: dict[int, Faults] = {}
        self._idle = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    def resume(self, apps: Container[int]) -> None:
        """Continue with what an earlier run did not deliver for *apps* (SDKAppIDs)."""
        for sdkappid, url in self._overflow.store.pending_targets():
            if sdkappid in apps:
                target = DeliveryTarget(sdkappid, url)
                self._overflow.targets.add(target)
                self._refill(target)

    def send(self, target: DeliveryTarget, callback: QueuedCallback) -> None:
        """Deliver the stored *callback* to *target*, or leave it in the store while the queue is full."""
        queue = self._queue(target)
        if target in self._overflow.targets:
            return
        if queue.waiting >= _MOST_QUEUED:
            self._overflow.targets.add(target)
            return
        self._overflow.loaded[target] = callback.id
        queue.add(callback)

    def use_faults(self, sdkappid: int, faults: Faults) -> None:
        """Apply *faults* to the app's callbacks from now on."""
        self._faults[sdkappid] = faults
        for target, queue in self._queues.items():
            if target.sdkappid == sdkappid:
                queue.faults.faults = faults

    def faults(self, sdkappid: int) -> Faults:
        """The faults that apply to the app's next callback."""
        current = (queue.faults.faults for target, queue in self._queues.items() if target.sdkappid == sdkappid)
        return next(current, self._faults.get(sdkappid, Faults()))

    def use_retry(self, policy: RetryPolicy) -> None:
        """Retry undelivered callbacks by *policy* from now on."""
        self.retry = policy
        for queue in self._queues.values():
            queue.retry = policy

    def renew_targets(self, sdkappid: int) -> None:
        """Use the app's current token for its next callbacks."""
        for target, queue in self._queues.items():
            if target.sdkappid == sdkappid:
                queue.retarget(self._target_of(target))

    @property
    def waiting(self) -> int:
        """The number of callbacks without a final outcome."""
        if self._overflow.targets:
            return self._overflow.store.pending_count()
        return sum(queue.waiting for queue in self._queues.values())

    async def settle(self, timeout_s: float) -> bool:
        """Wait until every callback that is not postponed has its outcome; False after *timeout_s*."""
        for queue in self._queues.values():
            queue.release()
        try:
            async with asyncio.timeout(timeout_s):
                while self._busy:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            return False
        finally:
            self.writer.flush()
        return True

    async def stop(self, grace_s: float) -> None:
        """Deliver for at most *grace_s* more, then let only attempts in flight end."""
        await self.settle(grace_s)
        self._overflow.stopping = True
        for queue in self._queues.values():
            queue.stop()
        await self.settle(self._options.deadline_ms / 1000)
        for queue in self._queues.values():
            await queue.close()
        self.writer.close()

    def close_unused(self) -> None:
        """Close, soon, the connections to URLs that are no longer configured and that nothing waits for."""
        if any(not self._is_current(target) for target in self._queues):
            task = asyncio.get_running_loop().create_task(self._close_unused())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _close_unused(self) -> None:
        for target, queue in list(self._queues.items()):
            unused = not self._is_current(target) and not queue.waiting and target not in self._overflow.targets
            if unused and self.writer.flush():
                self._faults[target.sdkappid] = queue.faults.faults
                del self._queues[target]
                self._overflow.loaded.pop(target, None)
                await queue.close()

    def _queue(self, target: DeliveryTarget) -> DeliveryQueue:
        found = self._queues.get(target)
        if found is not None:
            return found
        sender = Sender(
            self._target_of(target),
            deadline_ms=self._options.deadline_ms,
            connections=self._options.in_flight,
        )
        random = Random(f"{self._options.seed} {target.sdkappid} faults")
        found = self._queues[target] = DeliveryQueue(
            sender,
            self.retry,
            FaultInjector(random, self.faults(target.sdkappid)),
            on_attempt=self._ended,
            call_later=self._call_later,
            on_idle=self._note_idle,
        )
        return found

    def _ended(self, row: AttemptRow, attempt: DeliveryAttempt | None) -> None:
        self.writer.add(row)
        for listener in self.listeners:
            listener(row, attempt)
        if self._overflow.targets and not self._overflow.refilling and not self._overflow.stopping:
            self._overflow.refilling = True
            asyncio.get_running_loop().call_soon(self._refill_all)

    def _refill(self, target: DeliveryTarget) -> None:
        """Load the next callbacks of *target* from the store."""
        queue = self._queue(target)
        rows = self._overflow.store.pending(*target, self._overflow.loaded.get(target, 0), _MOST_QUEUED // 2)
        if len(rows) < _MOST_QUEUED // 2:
            self._overflow.targets.discard(target)
        for row in rows:
            self._overflow.loaded[target] = row.id
            kind = "retry" if row.attempts else "first"
            queue.add(QueuedCallback(row.id, row.room, row.event, row.attempts, kind))

    def _refill_all(self) -> None:
        self._overflow.refilling = False
        for target in tuple(self._overflow.targets):
            if not self._overflow.stopping and self._queue(target).waiting < _MOST_QUEUED // 2:
                self._refill(target)
        self._note_idle()

    @property
    def _busy(self) -> bool:
        full = any(queue.waiting >= _MOST_QUEUED // 2 for queue in self._queues.values())
        more_to_come = bool(self._overflow.targets) and not full and not self._overflow.stopping
        return more_to_come or any(queue.outstanding for queue in self._queues.values())

    def _note_idle(self) -> None:
        if not self._busy:
            self._idle.set()
            self.close_unused()


class _Overflow:
    """Targets with callbacks that wait in *store*, and the last callback loaded for each target."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.targets: set[DeliveryTarget] = set()
        self.loaded: dict[DeliveryTarget, int] = {}
        self.refilling = False
        self.stopping = False
