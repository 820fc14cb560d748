"""The rooms of all apps, made, changed and dissolved, and the callbacks that this causes: pure, time is passed in."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.packets import LEAVE_COMMAND, LeavePacket
from roomhook.simulator.protocol.room_packets import (
    COMMANDS,
    CREATE_COMMAND,
    DESTROY_COMMAND,
    UPDATE_COMMANDS,
    CreatePacket,
    DestroyPacket,
    FamilyPacket,
    UpdatePacket,
)
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code
from roomhook.simulator.room_backend.state.options import BackendOptions, DestroyOrder
from roomhook.simulator.room_backend.state.room_record import Actor, Origin, RoomEntry, RoomKey, RoomRecord
from roomhook.simulator.rooms.room import SYSTEM_ACCOUNT

__all__ = ["CallbackConfig", "Key", "NewRoom", "PendingCallback", "RoomService"]

_SHORTEST_MEETING_S: Final = 300
_USUAL_MEETING_S: Final = 3600
_encode: Final = msgspec.json.Encoder().encode


class Key(NamedTuple):
    """Where a piece of state is stored: its app, its room ("" for the app's own), what it is, and which."""

    sdkappid: int
    room_id: str
    kind: str
    name: str


class PendingCallback(NamedTuple):
    """A callback that is to be sent to *url*; callbacks of one room keep their order."""

    sdkappid: int
    url: str
    room_id: str
    event: CallbackEvent


class CallbackConfig(msgspec.Struct, frozen=True):
    """What set_callback has configured."""

    url: str
    commands: tuple[str, ...]


class NewRoom(msgspec.Struct, frozen=True, kw_only=True):
    """What create_room asks for; None stands for the default."""

    room_id: str
    owner: str
    name: str | None = None
    max_members: int | None = None
    max_seats: int = 0
    starts_s: int | None = None
    ends_s: int | None = None
    invited: tuple[str, ...] = ()
    settings: Mapping[str, Any] = {}


class RoomService:
    """All apps with their rooms. Every change takes the moment *now* in ms since the epoch.

    What a change causes is collected until ``drain``: the callbacks in their order, and the keys of the state that is
    to be stored anew. A refused change raises ``BackendError`` and changes nothing.
    """

    def __init__(self, sdkappids: Iterable[int], habits: BackendOptions) -> None:
        self.habits = habits
        self.configs: dict[int, CallbackConfig] = {}
        self.halls: dict[int, dict[str, RoomEntry]] = {sdkappid: {} for sdkappid in sdkappids}
        self.random = Random(habits.seed)
        self._caused: list[PendingCallback] = []
        self._dirty: dict[Key, None] = {}
        self.agenda: list[tuple[int, int, int, str, str]] = []
        self._serial = 0

    def drain(self) -> tuple[list[PendingCallback], list[Key]]:
        """What has been caused and touched since the last time."""
        caused, dirty = self._caused, list(self._dirty)
        self._caused, self._dirty = [], {}
        return caused, dirty

    # Configuration (protocol.md 2)

    def set_callback(self, sdkappid: int, url: str, commands: Iterable[str]) -> None:
        """Configure the callback of an app that has none."""
        if sdkappid in self.configs:
            raise BackendError(Code.CALLBACK_EXISTS)
        self._configure(sdkappid, url, commands)

    def update_callback(self, sdkappid: int, url: str, commands: Iterable[str]) -> None:
        """Configure anew the callback of an app that has one."""
        self.get_callback(sdkappid)
        self._configure(sdkappid, url, commands)

    def get_callback(self, sdkappid: int) -> CallbackConfig:
        """The callback of an app."""
        config = self.configs.get(sdkappid)
        if config is None:
            raise BackendError(Code.NO_CALLBACK)
        return config

    def delete_callback(self, sdkappid: int) -> None:
        """Forget the callback of an app; no page knows an error for an app without one."""
        if self.configs.pop(sdkappid, None) is not None:
            self.touch(Key(sdkappid, "", "callback", ""))

    def _configure(self, sdkappid: int, url: str, commands: Iterable[str]) -> None:
        listed = tuple(dict.fromkeys(commands))
        strange = [one for one in listed if one not in COMMANDS]
        if strange and not self.habits.lenient:
            raise BackendError(Code.BAD_PARAMETER, f"CallbackCommandList: {strange[0]!r} is no callback of rooms")
        try:
            CallbackUrl.parse(url)
        except ConfigurationError as error:
            raise BackendError(Code.BAD_PARAMETER, f"Url: {error}") from None
        self.configs[sdkappid] = CallbackConfig(url, listed)
        self.touch(Key(sdkappid, "", "callback", ""))

    # Rooms

    def hall(self, where: RoomKey) -> RoomEntry:
        """The room; raises ``BackendError`` (100004) if there is none."""
        found = self.halls[where.sdkappid].get(where.room_id)
        if found is None:
            raise BackendError(Code.NO_ROOM, where.room_id)
        return found

    def create_room(self, sdkappid: int, new: NewRoom, by: Actor) -> RoomEntry:
        """Make a room; nobody is in it yet."""
        if new.room_id in self.halls[sdkappid]:
            raise BackendError(Code.ROOM_EXISTS, new.room_id)
        now = by.now
        now_s = now // 1000
        starts = now_s if new.starts_s is None else new.starts_s
        ends = starts + _USUAL_MEETING_S if new.ends_s is None else new.ends_s
        if ends - starts < _SHORTEST_MEETING_S:
            raise BackendError(Code.BAD_PARAMETER, "ScheduleEndTime: a meeting takes at least 5 minutes")
        record = RoomRecord(
            room_id=new.room_id,
            room_name=new.room_id if new.name is None else new.name,
            owner=new.owner,
            max_members=self.habits.most_members if new.max_members is None else new.max_members,
            max_seats=new.max_seats,
            created_s=now_s,
            starts_s=starts,
            ends_s=ends,
            invited=new.invited,
            **new.settings,
        )
        hall = self.halls[sdkappid][new.room_id] = RoomEntry.of(sdkappid, record, self.habits.dialect)
        hall.room.clock = now
        self.touch(Key(sdkappid, new.room_id, "room", ""))
        packet = CreatePacket(
            operator_account=by.operator,
            room_info=hall.created(self.habits.room_type, now),
            schedule_invitee_list_account=record.invited,
            event_time=now,
        )
        self.cause(hall, CREATE_COMMAND, packet, by.via, now)
        return hall

    def update_room(self, where: RoomKey, changes: Mapping[str, Any], by: Actor) -> None:
        """Change data of a room; *changes* are fields of ``RoomRecord``."""
        hall = self.hall(where)
        for name, value in changes.items():
            setattr(hall.record, name, value)
        hall.room.resize(hall.record.max_members)
        self.touch(Key(*where, "room", ""))
        self._updated(hall, by)

    def _updated(self, hall: RoomEntry, by: Actor) -> None:
        config = self.configs.get(hall.sdkappid)
        listed = config.commands if config else ()
        in_lists, on_its_page = UPDATE_COMMANDS
        command = on_its_page if on_its_page in listed and in_lists not in listed else in_lists
        packet = UpdatePacket(
            callback_command=command,
            operator_account=by.operator,
            room_info=hall.updated(),
            event_time=by.now,
        )
        self.cause(hall, command, packet, by.via, by.now)

    def destroy_room(self, where: RoomKey, by: Actor) -> None:
        """Dissolve a room; who is still inside leaves as the dialect has it."""
        hall = self.hall(where)
        guests = dict(hall.room.members)
        for account in guests:
            self.touch(Key(*where, "member", account))
        for index in hall.seats:
            self.touch(Key(*where, "seat", str(index)))
        packets = hall.room.dissolve(by.operator, "", by.now)
        destroyed = DestroyPacket(operator_account=by.operator, room_id=where.room_id, event_time=by.now)
        if self.habits.destroy_order is DestroyOrder.DESTROY_FIRST:
            self.cause(hall, DESTROY_COMMAND, destroyed, by.via, by.now)
        for packet in packets:
            guest = guests[packet.member_list_account[0]]
            self.cause_leave(hall, packet, Origin(guest.client_ip, guest.platform))
        if self.habits.destroy_order is DestroyOrder.LEAVES_FIRST:
            self.cause(hall, DESTROY_COMMAND, destroyed, by.via, by.now)
        del self.halls[where.sdkappid][where.room_id]
        self.touch(Key(*where, "room", ""))

    def forget_rooms(self) -> None:
        """Drop all rooms without a word: for tests that begin anew."""
        for sdkappid, halls in self.halls.items():
            for room_id, hall in halls.items():
                self.touch(Key(sdkappid, room_id, "room", ""))
                for account in hall.room.members:
                    self.touch(Key(sdkappid, room_id, "member", account))
                for index in hall.seats:
                    self.touch(Key(sdkappid, room_id, "seat", str(index)))
            halls.clear()
        self.agenda.clear()

    # What happens by itself: an empty room here, heartbeats in ``Presence``

    def emptied(self, hall: RoomEntry, now: int) -> None:
        """Note that the last one has gone; the room may be dissolved for that some day."""
        wait = self.habits.auto_destroy_ms
        if wait is not None and not hall.room.members:
            hall.record.empty_due = now + wait
            self.touch(Key(*hall.where, "room", ""))
            self.plan(hall.record.empty_due, hall, "")

    def destroy_empty(self, hall: RoomEntry, now: int) -> None:
        """Dissolve the room that has been empty for too long."""
        if hall.record.empty_due == now and not hall.room.members:
            self.destroy_room(hall.where, Actor(SYSTEM_ACCOUNT, Origin(self.habits.rest_ip, "Unknown"), now))

    def plan(self, due: int, hall: RoomEntry, account: str) -> None:
        """Put into the agenda that something is due (ms) in a room, with *account* or the room as a whole ("")."""
        self._serial += 1
        heapq.heappush(self.agenda, (due, self._serial, hall.sdkappid, hall.record.room_id, account))

    # What is caused

    def cause_leave(self, hall: RoomEntry, packet: LeavePacket, via: Origin) -> None:
        """Collect a leave callback."""
        self.cause(hall, LEAVE_COMMAND, packet, via, packet.event_time)

    def cause(self, hall: RoomEntry, command: str, packet: FamilyPacket, via: Origin, now: int) -> None:
        """Collect a callback, if the app has asked for its command."""
        config = self.configs.get(hall.sdkappid)
        if config is not None and command in config.commands:
            event = CallbackEvent(now, command, via.client_ip, via.platform, self.body(packet))
            self._caused.append(PendingCallback(hall.sdkappid, config.url, hall.record.room_id, event))

    def body(self, packet: FamilyPacket) -> bytes:
        """The bytes of a packet."""
        return _encode(packet)

    def touch(self, key: Key) -> None:
        """Note that a piece of state is to be stored anew."""
        self._dirty[key] = None
