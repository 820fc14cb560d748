"""The whole state of the mock Room backend as a pure value: rooms, members and seats; stored and restored as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import msgspec

from roomhook.simulator.protocol.room_packets import Seat
from roomhook.simulator.room_backend.state.changes import PendingCallback, StateKey
from roomhook.simulator.room_backend.state.heartbeats import HeartbeatService
from roomhook.simulator.room_backend.state.members import MemberService
from roomhook.simulator.room_backend.state.options import BackendOptions
from roomhook.simulator.room_backend.state.room_record import MemberRecord, RoomEntry, RoomRecord
from roomhook.simulator.room_backend.state.rooms import CallbackConfig, RoomService
from roomhook.simulator.room_backend.state.seats import SeatService

__all__ = ["BackendState"]


class BackendState:
    """``rooms``, ``heartbeats``, ``members`` and ``seats`` of all apps, what is due in them, and their stored form."""

    def __init__(self, sdkappids: Iterable[int], options: BackendOptions) -> None:
        self.rooms = RoomService(sdkappids, options)
        self.heartbeats = HeartbeatService(self.rooms, Random(options.seed))
        self.members = MemberService(self.rooms, self.heartbeats)
        self.seats = SeatService(self.rooms)

    def drain(self) -> tuple[list[PendingCallback], list[StateKey]]:
        """The callbacks to send and the keys to store since the last call."""
        return self.rooms.changes.drain()

    def next_due(self) -> int | None:
        """When (ms) something is due next."""
        return self.rooms.agenda.next_due()

    def run_due(self, now: int) -> None:
        """Run everything due until *now*, each at its own time."""
        while (due := self.rooms.agenda.pop_until(now)) is not None:
            entry = self.rooms.entry(due.room)
            if due.account:
                self.heartbeats.expire(entry, due.account, due.at_ms)
            else:
                self.rooms.destroy_empty(entry, due.at_ms)

    def stored_value(self, key: StateKey) -> bytes | None:
        """The JSON to store under *key*; None if the piece no longer exists."""
        if key.kind == "callback":
            config = self.rooms.configs.get(key.sdkappid)
            return None if config is None else msgspec.json.encode(config)
        entry = self.rooms.by_app[key.sdkappid].get(key.room_id)
        if entry is None:
            return None
        if key.kind == "room":
            return msgspec.json.encode(entry.record())
        if key.kind == "member":
            return msgspec.json.encode(entry.member_record(key.name)) if key.name in entry.room.members else None
        seat = entry.seats.get(int(key.name))
        return None if seat is None else msgspec.json.encode(seat)

    def restore(self, stored: Iterable[tuple[StateKey, bytes]]) -> None:
        """Load what was stored; apps that are no longer served are ignored."""
        known = [(key, value) for key, value in stored if key.sdkappid in self.rooms.by_app]
        for key, value in known:
            if key.kind == "callback":
                self.rooms.configs[key.sdkappid] = msgspec.json.decode(value, type=CallbackConfig)
            elif key.kind == "room":
                self._restore_room(key, msgspec.json.decode(value, type=RoomRecord))
        members = [(msgspec.json.decode(value, type=MemberRecord), key) for key, value in known if key.kind == "member"]
        for record, key in sorted(members, key=lambda pair: pair[0].entered):
            self.members.restore(self._entry(key), key.name, record)
        for key, value in known:
            if key.kind == "seat":
                seat = msgspec.json.decode(value, type=Seat)
                self._entry(key).seats[seat.index] = seat

    def roll_back(self, keys: Iterable[StateKey], stored: Iterable[tuple[StateKey, bytes]]) -> None:
        """Return the rooms and callback configurations of *keys* to what is *stored* of them."""
        self.drain()
        for key in keys:
            if key.room_id:
                self.rooms.by_app[key.sdkappid].pop(key.room_id, None)
            else:
                self.rooms.configs.pop(key.sdkappid, None)
        self.restore(stored)

    def _restore_room(self, key: StateKey, record: RoomRecord) -> None:
        entry = RoomEntry.from_record(key.sdkappid, record, self.rooms.options.behaviour)
        self.rooms.by_app[key.sdkappid][key.room_id] = entry
        if record.empty_due:
            self.rooms.agenda.add(record.empty_due, entry.key, "")

    def _entry(self, key: StateKey) -> RoomEntry:
        return self.rooms.by_app[key.sdkappid][key.room_id]
