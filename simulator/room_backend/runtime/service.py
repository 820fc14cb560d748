"""The running mock Room backend: state, clock, store and deliveries on one event loop."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.room_backend.runtime.activity import CallListener, CommitListener
from roomhook.simulator.room_backend.runtime.clock import Clock, VirtualClock
from roomhook.simulator.room_backend.runtime.deliveries import Deliveries, DeliveryTarget
from roomhook.simulator.room_backend.runtime.delivery_queue import QueuedCallback
from roomhook.simulator.room_backend.runtime.due_timer import DueTimer
from roomhook.simulator.room_backend.runtime.store import Store
from roomhook.simulator.room_backend.state.changes import PendingCallback, StateKey
from roomhook.simulator.room_backend.state.engine import BackendState
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code
from roomhook.simulator.room_backend.state.options import AppSettings, BackendOptions
from roomhook.simulator.transport.target import Target

__all__ = ["Service", "parse_apps"]

_Result = TypeVar("_Result")


class Service:
    """Changes rooms and sends the callbacks. Call ``start`` and ``stop`` on a running loop, everything else between.

    ``act`` runs a change of the state, stores it, and only then returns: its callbacks will be sent, whatever happens.
    A change that can't be stored is undone. The listeners get every call and stored change, ``warn`` gets warnings.
    *tls* makes the context of https callback URLs. Raises ``ConfigurationError`` for a store that can't be read.
    """

    def __init__(
        self,
        apps: Sequence[AppSettings],
        options: BackendOptions,
        store: Store,
        clock: Clock,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self.apps = {app.sdkappid: app for app in apps}
        self.options = options
        self.store = store
        self.clock = clock
        self.state = BackendState(self.apps, options)
        try:
            self.state.restore(store.state())
        except (msgspec.MsgspecError, sqlite3.Error, LookupError, ValueError, TypeError) as error:
            store.close()
            raise ConfigurationError(f"the state can't be read ({error!r}); choose another --state") from None
        self._timer = DueTimer(clock, self.state.next_due, self._run_state)
        self.deliveries = Deliveries(
            options,
            store,
            call_later=self._timer.call_later,
            is_current=self._is_current,
            target_of=partial(_target_of, self.apps, tls),
        )
        self.call_listeners: list[CallListener] = []
        self.commit_listeners: list[CommitListener] = []
        self.warn: Callable[[str], object] = lambda _: None
        self._advancing = asyncio.Lock()
        self._warned: set[int] = set()

    async def start(self) -> None:
        """Continue where an earlier run stopped, and store settings that were changed since."""
        if isinstance(self.clock, VirtualClock):
            self.clock.go_to(self.store.clock_ms() or 0)
        self.deliveries.resume(self.apps)
        self._commit()
        self._timer.set()

    async def stop(self, grace_s: float) -> int:
        """Send for at most *grace_s* more, then store the rest; returns the number of callbacks without outcome."""
        self._timer.stop()
        await self.deliveries.stop(grace_s)
        left = self.store.pending_count()
        self.store.close()
        return left

    def act(self, change: Callable[[BackendState, int], _Result]) -> _Result:
        """Run *change* (state, now in ms), store what it changed and send its callbacks.

        Raises ``BackendError``: that of *change*, or 100001 if the change can't be stored and was undone.
        """
        now = self.clock.now_ms()
        if not self.clock.virtual:
            self.state.run_due(now)
        try:
            return change(self.state, now)
        finally:
            self._commit()

    def send_now(self, callback: PendingCallback) -> int:
        """Store and send a callback that no change of the state causes; returns its id.

        Raises ``BackendError`` (100001) if it can't be stored.
        """
        (number,) = self._store((), [callback])
        for listener in self.commit_listeners:
            listener([(number, callback)])
        self._send(number, callback)
        return number

    @property
    def waiting(self) -> int:
        """The number of callbacks without a final outcome."""
        return self.deliveries.waiting

    async def settle(self, timeout_s: float) -> bool:
        """Wait until every callback that is not postponed has its outcome; False after *timeout_s*."""
        return await self.deliveries.settle(timeout_s)

    def next_due(self) -> int | None:
        """When (ms) an expiry, a retry or the like is due next."""
        return self._timer.next_due()

    async def advance(self, ms: int, *, wait: bool, timeout_s: float) -> bool:
        """Advance the virtual clock by *ms*; everything due on the way happens at its own time.

        With *wait*, every callback has its outcome when this returns; False if that took longer than *timeout_s*.
        Raises ``BackendError`` for a real clock, or if a change can't be stored.
        """
        clock = self._virtual_clock()
        async with self._advancing:
            target = clock.now_ms() + ms
            settled = not wait or await self.settle(timeout_s)
            while (due := self._timer.next_due()) is not None and due <= target:
                self._advance_to(clock, due, lambda: self._timer.run(clock.now_ms()))
                settled = (not wait or await self.settle(timeout_s)) and settled
            self._advance_to(clock, target, lambda: self._store((), ()))
        return settled

    def check_virtual(self) -> None:
        """Raise ``BackendError`` if the clock is real."""
        self._virtual_clock()

    def _virtual_clock(self) -> VirtualClock:
        if not isinstance(self.clock, VirtualClock):
            raise BackendError(Code.CONFLICT, "the clock is real; start with --clock virtual")
        return self.clock

    def _advance_to(self, clock: VirtualClock, time_ms: int, then: Callable[[], object]) -> None:
        """Set the clock to *time_ms* and call *then*; undone if that can't be stored."""
        before = clock.now_ms()
        clock.go_to(time_ms)
        try:
            then()
        except BackendError:
            clock.undo(before)
            raise

    def _run_state(self, now: int) -> None:
        self.state.run_due(now)
        self._commit()

    def _commit(self) -> None:
        """Store what changed and send the callbacks; undoes the change if it can't be stored."""
        callbacks, keys = self.state.drain()
        if self.state.rooms.changes.without_url:
            self._warn_without_url()
        if not callbacks and not keys:
            return
        try:
            ids = self._store([(key, self.state.stored_value(key)) for key in keys], callbacks)
        except BackendError:
            self.state.roll_back(keys, self.store.state_of({(key.sdkappid, key.room_id) for key in keys}))
            raise
        numbered = list(zip(ids, callbacks, strict=True))
        for listener in self.commit_listeners:
            listener(numbered)
        for callback, one in numbered:
            self._send(callback, one)
        for key in keys:
            if key.kind == "callback":
                self.deliveries.close_unused()
                break
        self._timer.set()

    def _store(
        self, changed: Sequence[tuple[StateKey, bytes | None]], callbacks: Sequence[PendingCallback]
    ) -> list[int]:
        try:
            return self.store.commit(changed, callbacks, self.clock.now_ms() if self.clock.virtual else None)
        except sqlite3.Error as error:
            raise BackendError(Code.INTERNAL, f"the state can't be stored ({error}); nothing has changed") from None

    def _send(self, callback: int, pending: PendingCallback) -> None:
        queued = QueuedCallback(callback, pending.room_id, pending.event)
        self.deliveries.send(DeliveryTarget(pending.sdkappid, pending.url), queued)

    def set_token(self, sdkappid: int, token: str | None) -> None:
        """Sign the app's callbacks with *token* from now on; None: do not sign them."""
        self.apps[sdkappid] = dataclasses.replace(self.apps[sdkappid], token=token)
        self.deliveries.renew_targets(sdkappid)

    def _warn_without_url(self) -> None:
        """Warn, once for each app, that it has no callback URL."""
        without = self.state.rooms.changes.without_url
        for sdkappid in without - self._warned:
            self.warn(
                f"no callback URL for SDKAppID {sdkappid}: its callbacks are not sent;"
                " call set_callback, or start with --callback URL"
            )
        self._warned |= without
        without.clear()

    def _is_current(self, target: DeliveryTarget) -> bool:
        config = self.state.rooms.configs.get(target.sdkappid)
        return config is not None and config.url == target.url


def _target_of(apps: Mapping[int, AppSettings], tls: Callable[[], ssl.SSLContext], target: DeliveryTarget) -> Target:
    url = CallbackUrl.parse(target.url)
    context = tls() if url.scheme == "https" else None
    return Target(url, target.sdkappid, apps[target.sdkappid].token, tls=context)


def parse_apps(sdkappids: Sequence[int], keys: Sequence[str], tokens: Sequence[str]) -> list[AppSettings]:
    """The apps of the command line; *keys* and *tokens* are ``VALUE`` for the only app, or ``SDKAPPID=VALUE``.

    Raises ``ConfigurationError`` for a value that does not say which app it is for.
    """
    if len(set(sdkappids)) != len(sdkappids):
        raise ConfigurationError("an SDKAppID is given twice; give each --sdkappid once")
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
            raise ConfigurationError(f"{option} does not name its app; with several apps write {sdkappids[0]}=VALUE")
        if not rest:
            raise ConfigurationError(f"{option} is empty; leave it out, or copy its value from the console")
        found[app] = rest
    return found
