"""The mock Room backend as it runs: engine, clock, store and couriers brought together on one event loop."""

from __future__ import annotations

import asyncio
import heapq
import ssl
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final, TypeVar

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.room_backend.runtime.clock import Clock, VirtualClock
from roomhook.simulator.room_backend.runtime.delivery_queue import DeliveryQueue, Faults, QueuedCallback
from roomhook.simulator.room_backend.runtime.store import AttemptRow, Store
from roomhook.simulator.room_backend.state.engine import BackendState
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code
from roomhook.simulator.room_backend.state.options import AppSettings, BackendOptions
from roomhook.simulator.room_backend.state.rooms import PendingCallback
from roomhook.simulator.transport.sender import Sender
from roomhook.simulator.transport.target import Target

__all__ = ["Service", "parse_apps"]

_MOST_CARRIED: Final = 10_000
"""Callbacks a courier holds in memory; the others wait in the store."""

_FLUSH_ROWS: Final = 256
_FLUSH_S: Final = 0.05
_SLOWEST_TIMER_S: Final = 60.0

_Result = TypeVar("_Result")


class Service:
    """Answers calls and sends what they cause. Use ``start`` and ``stop`` on a running loop, everything else between.

    ``act`` runs a change of the engine, stores it, and only then returns: what it has caused will be sent, whatever
    happens. *tls* is needed for https callback URLs.
    """

    def __init__(
        self,
        apps: Sequence[AppSettings],
        habits: BackendOptions,
        store: Store,
        clock: Clock,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self.apps: Mapping[int, AppSettings] = {app.sdkappid: app for app in apps}
        self.habits = habits
        self.store = store
        self.clock = clock
        self.engine = BackendState(self.apps, habits)
        self.engine.restore(store.state())
        self.faults: dict[int, Faults] = {}
        self._tls = tls
        self._couriers: dict[tuple[int, str], DeliveryQueue] = {}
        self._loaded: dict[tuple[int, str], int] = {}
        self._spilled: set[tuple[int, str]] = set()
        self._later: list[tuple[int, int, Callable[[], object]]] = []
        self._serial = 0
        self._rows: list[AttemptRow] = []
        self._timer: asyncio.TimerHandle | None = None
        self._flusher: asyncio.TimerHandle | None = None
        self._at_rest = asyncio.Event()
        self._advancing = asyncio.Lock()
        self._stopping = self._refilling = False

    async def start(self) -> None:
        """Take up what an earlier run has left."""
        if isinstance(self.clock, VirtualClock):
            self.clock.go_to(self.store.clock_ms() or 0)
        for sdkappid, url in self.store.pending_targets():
            if sdkappid in self.apps:
                self._spilled.add((sdkappid, url))
                self._refill((sdkappid, url))
        self._tick()

    async def stop(self, grace_s: float) -> int:
        """Send on for at most *grace_s*, then record the rest; returns how many callbacks are still pending."""
        if self._timer is not None:
            self._timer.cancel()
        await self.settle(grace_s)
        self._stopping = True
        for courier in self._couriers.values():
            courier.stop()
        await self.settle(self.habits.deadline_ms / 1000)
        for courier in self._couriers.values():
            await courier.close()
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
        left = self.store.pending_count()
        self.store.close()
        return left

    def act(self, change: Callable[[BackendState, int], _Result]) -> _Result:
        """Let *change* (engine, now in ms) happen, store what it has changed and send what it has caused."""
        now = self.clock.now_ms()
        if not self.clock.virtual:
            self.engine.run_due(now)
        try:
            return change(self.engine, now)
        finally:
            self._dispatch()

    def use_faults(self, sdkappid: int, faults: Faults) -> None:
        """Let these befall the app's callbacks from now on."""
        self.faults[sdkappid] = faults
        for (owner, _), courier in self._couriers.items():
            if owner == sdkappid:
                courier.faults = faults

    @property
    def waiting(self) -> int:
        """Callbacks that are neither delivered nor given up."""
        return self.store.pending_count() if self._spilled else self._carried

    async def settle(self, timeout_s: float) -> bool:
        """Wait until nothing is on its way that is not put off on the clock; False if that took too long."""
        for courier in self._couriers.values():
            courier.release()
        try:
            async with asyncio.timeout(timeout_s):
                while self._busy:
                    self._at_rest.clear()
                    await self._at_rest.wait()
        except TimeoutError:
            return False
        finally:
            self.flush()
        return True

    async def advance(self, ms: int, *, wait: bool, timeout_s: float) -> bool:
        """Let the virtual clock go on by *ms*, making happen all that is due on the way, each at its own moment.

        With *wait*, every callback has its outcome when this returns; False if that took longer than *timeout_s*.
        Raises ``BackendError`` for a real clock.
        """
        clock = self.clock
        if not isinstance(clock, VirtualClock):
            raise BackendError(Code.CONFLICT, "the clock is real; start with --clock virtual")
        async with self._advancing:
            target = clock.now_ms() + ms
            settled = not wait or await self.settle(timeout_s)
            while (due := self._next_due()) is not None and due <= target:
                clock.go_to(due)
                self._run_due(due)
                settled = (not wait or await self.settle(timeout_s)) and settled
            clock.go_to(target)
            self.store.commit((), (), clock.now_ms())
        return settled

    # What is due

    def _next_due(self) -> int | None:
        moments = [self._later[0][0]] if self._later else []
        due = self.engine.next_due()
        return min([*moments, due]) if due is not None else min(moments, default=None)

    def _run_due(self, now: int) -> None:
        self.engine.run_due(now)
        self._dispatch()
        while self._later and self._later[0][0] <= now:
            heapq.heappop(self._later)[2]()

    def _call_later(self, ms: int, call: Callable[[], object]) -> None:
        self._serial += 1
        heapq.heappush(self._later, (self.clock.now_ms() + ms, self._serial, call))
        self._set_timer()

    def _tick(self) -> None:
        self._timer = None
        if not self._stopping and not self.clock.virtual:
            self._run_due(self.clock.now_ms())
            self._set_timer()

    def _set_timer(self) -> None:
        """On the real clock, wake up when something is due."""
        if self.clock.virtual or self._stopping:
            return
        due = self._next_due()
        if due is None:
            return
        wait_s = min(_SLOWEST_TIMER_S, max(0.0, (due - self.clock.now_ms()) / 1000))
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + wait_s:
                return
            self._timer.cancel()
        self._timer = loop.call_later(wait_s, self._tick)

    # What is sent

    def _dispatch(self) -> None:
        caused, keys = self.engine.drain()
        if not caused and not keys:
            return
        changed = [(key, self.engine.state(key)) for key in keys]
        ids = self.store.commit(changed, caused, self.clock.now_ms() if self.clock.virtual else None)
        for callback, one in zip(ids, caused, strict=True):
            self._send(callback, one)
        self._set_timer()

    def _send(self, callback: int, one: PendingCallback) -> None:
        key = one.sdkappid, one.url
        courier = self._courier(key)
        if key in self._spilled:
            return
        if courier.waiting >= _MOST_CARRIED:
            self._spilled.add(key)
            return
        self._loaded[key] = callback
        courier.hand_over(QueuedCallback(callback, one.room_id, one.event))

    def _refill(self, key: tuple[int, str]) -> None:
        """Take callbacks that had to wait in the store."""
        courier = self._courier(key)
        rows = self.store.pending(*key, self._loaded.get(key, 0), _MOST_CARRIED // 2)
        if len(rows) < _MOST_CARRIED // 2:
            self._spilled.discard(key)
        for row in rows:
            self._loaded[key] = row.id
            courier.hand_over(
                QueuedCallback(row.id, row.room, row.event, row.attempts, "retry" if row.attempts else "first")
            )

    def _refill_all(self) -> None:
        self._refilling = False
        for key in tuple(self._spilled):
            if not self._stopping and self._courier(key).waiting < _MOST_CARRIED // 2:
                self._refill(key)
        self._rested()

    def _courier(self, key: tuple[int, str]) -> DeliveryQueue:
        found = self._couriers.get(key)
        if found is None:
            sdkappid, text = key
            url = CallbackUrl.parse(text)
            tls = self._tls() if url.scheme == "https" else None
            target = Target(url, sdkappid, self.apps[sdkappid].token, tls=tls)
            sender = Sender(target, deadline_ms=self.habits.deadline_ms, connections=self.habits.in_flight)
            found = DeliveryQueue(
                sender,
                self.habits,
                random=Random(f"{self.habits.seed} {sdkappid} faults"),
                record=self._record,
                later=self._call_later,
                rested=self._rested,
            )
            current = (one.faults for (owner, _), one in self._couriers.items() if owner == sdkappid)
            found.faults = next(current, self.faults.get(sdkappid, Faults()))
            self._couriers[key] = found
        return found

    def _record(self, row: AttemptRow) -> None:
        self._rows.append(row)
        if len(self._rows) >= _FLUSH_ROWS:
            self.flush()
        elif self._flusher is None:
            self._flusher = asyncio.get_running_loop().call_later(_FLUSH_S, self.flush)
        if self._spilled and not self._refilling and not self._stopping:
            self._refilling = True
            asyncio.get_running_loop().call_soon(self._refill_all)

    def flush(self) -> None:
        """Write down what has ended."""
        if self._flusher is not None:
            self._flusher.cancel()
            self._flusher = None
        rows, self._rows = self._rows, []
        if rows:
            self.store.write_attempts(rows)

    @property
    def _carried(self) -> int:
        return sum(courier.waiting for courier in self._couriers.values())

    @property
    def _busy(self) -> bool:
        full = any(courier.waiting >= _MOST_CARRIED // 2 for courier in self._couriers.values())
        more_to_come = bool(self._spilled) and not full and not self._stopping
        return more_to_come or any(courier.outstanding for courier in self._couriers.values())

    def _rested(self) -> None:
        if not self._busy:
            self._at_rest.set()


def parse_apps(sdkappids: Sequence[int], keys: Sequence[str], tokens: Sequence[str]) -> list[AppSettings]:
    """The apps of the command line; *keys* and *tokens* are ``VALUE`` for the only app, or ``SDKAPPID=VALUE``.

    Raises ``ConfigurationError`` for a value whose app is not told.
    """
    if len(set(sdkappids)) != len(sdkappids):
        raise ConfigurationError("an SDKAppID stands there twice; give each --sdkappid once")
    chosen = _by_app(sdkappids, keys, "--secret-key"), _by_app(sdkappids, tokens, "--token")
    return [AppSettings(sdkappid=one, secret_key=chosen[0].get(one), token=chosen[1].get(one)) for one in sdkappids]


def _by_app(sdkappids: Sequence[int], values: Sequence[str], option: str) -> dict[int, str]:
    found: dict[int, str] = {}
    for value in values:
        name, equals, rest = value.partition("=")
        app = next((one for one in sdkappids if str(one) == name), None) if equals else None
        if app is None and len(sdkappids) == 1:
            app, rest = sdkappids[0], value
        if app is None:
            raise ConfigurationError(f"{option} does not say whose it is; with several apps write {sdkappids[0]}=VALUE")
        if not rest:
            raise ConfigurationError(f"{option} is empty; leave it out, or give the one that the console shows")
        found[app] = rest
    return found
