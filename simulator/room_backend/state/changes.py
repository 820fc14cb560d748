"""The results of a change of the state: callbacks to send, keys to store, times at which something is due."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final, NamedTuple

from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.room_backend.state.room_record import RoomKey

__all__ = ["Agenda", "ChangeLog", "DueEntry", "PendingCallback", "StateKey"]

_SPARE: Final = 1024
"""Outdated entries that the agenda may hold before they are removed."""


class StateKey(NamedTuple):
    """Identifies a stored piece of state: its app, its room ("" for the app's own), its kind and its name."""

    sdkappid: int
    room_id: str
    kind: str
    name: str


class PendingCallback(NamedTuple):
    """A callback to send to *url*; callbacks of one room keep their order."""

    sdkappid: int
    url: str
    room_id: str
    event: CallbackEvent


class ChangeLog:
    """Collects the callbacks to send, in order, and the keys of the state to store, until ``drain``.

    ``without_url`` holds the apps whose callbacks could not be sent because they have no callback URL.
    """

    def __init__(self) -> None:
        self.without_url: set[int] = set()
        self._callbacks: list[PendingCallback] = []
        self._keys: dict[StateKey, None] = {}

    def add_callback(self, callback: PendingCallback) -> None:
        """Add a callback to send."""
        self._callbacks.append(callback)

    def touch(self, key: StateKey) -> None:
        """Mark a piece of state to be stored."""
        self._keys[key] = None

    def drain(self) -> tuple[list[PendingCallback], list[StateKey]]:
        """Returns everything collected since the last call."""
        callbacks, keys = self._callbacks, list(self._keys)
        self._callbacks, self._keys = [], {}
        return callbacks, keys


class DueEntry(NamedTuple):
    """Something due at ``at_ms`` in a room: the expiry of ``account``, or for "" the end of the empty room."""

    at_ms: int
    serial: int
    room: RoomKey
    account: str


class Agenda:
    """Entries ordered by due time; those for which *is_outdated* is true are skipped."""

    def __init__(self, is_outdated: Callable[[DueEntry], bool]) -> None:
        self._is_outdated = is_outdated
        self._entries: list[DueEntry] = []
        self._serial = 0
        self._kept = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, at_ms: int, room: RoomKey, account: str) -> None:
        """Add an entry; also removes outdated ones, so that the agenda does not grow with every heartbeat."""
        self._serial += 1
        heapq.heappush(self._entries, DueEntry(at_ms, self._serial, room, account))
        if len(self._entries) > 2 * self._kept + _SPARE:
            self._entries = [entry for entry in self._entries if not self._is_outdated(entry)]
            heapq.heapify(self._entries)
            self._kept = len(self._entries)

    def next_due(self) -> int | None:
        """The time (ms) of the next entry."""
        while self._entries and self._is_outdated(self._entries[0]):
            heapq.heappop(self._entries)
        return self._entries[0].at_ms if self._entries else None

    def pop_until(self, now: int) -> DueEntry | None:
        """Take the next entry that is due at *now* (ms), if any."""
        due = self.next_due()
        return heapq.heappop(self._entries) if due is not None and due <= now else None

    def clear(self) -> None:
        """Remove all entries."""
        self._entries.clear()
