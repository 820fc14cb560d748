"""The rooms of all apps: create, update and destroy them, configure callbacks, and collect the callbacks caused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from roomhook.errors import ConfigurationError
from roomhook.simulator.http_server.http_guard import is_loopback_name
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
    SeatPacket,
    UpdatePacket,
)
from roomhook.simulator.room_backend.state.changes import Agenda, ChangeLog, DueEntry, PendingCallback, StateKey
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code
from roomhook.simulator.room_backend.state.options import BackendOptions, DestroyOrder, EmptySeat
from roomhook.simulator.room_backend.state.room_record import Actor, Origin, RoomEntry, RoomKey, RoomRecord
from roomhook.simulator.rooms.room import SYSTEM_ACCOUNT

__all__ = ["CallbackConfig", "NewRoom", "RoomService"]

_SHORTEST_MEETING_S: Final = 300
_USUAL_MEETING_S: Final = 3600
_encode: Final = msgspec.json.Encoder().encode


class CallbackConfig(msgspec.Struct, frozen=True):
    """The callback of an app as set_callback configured it."""

    url: str
    commands: tuple[str, ...]


class NewRoom(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a room to create; None stands for the default."""

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
    """All apps with their rooms and callback configurations. Changes take the time *now* in ms since the epoch.

    ``changes`` collects what each change causes, ``agenda`` what is due later. A refused change raises
    ``BackendError`` and changes nothing.
    """

    def __init__(self, sdkappids: Iterable[int], options: BackendOptions) -> None:
        self.options = options
        self.configs: dict[int, CallbackConfig] = {}
        self.by_app: dict[int, dict[str, RoomEntry]] = {sdkappid: {} for sdkappid in sdkappids}
        self.changes = ChangeLog()
        self.agenda = Agenda(self._is_outdated)

    # Callback configuration (protocol.md 2)

    def set_callback(self, sdkappid: int, url: str, commands: Iterable[str]) -> None:
        """Configure the callback of an app that has none."""
        if sdkappid in self.configs:
            raise BackendError(Code.CALLBACK_EXISTS)
        self._configure(sdkappid, url, commands)

    def update_callback(self, sdkappid: int, url: str, commands: Iterable[str]) -> None:
        """Replace the callback configuration of an app that has one."""
        self.get_callback(sdkappid)
        self._configure(sdkappid, url, commands)

    def replace_callback(self, sdkappid: int, url: str, commands: Iterable[str]) -> None:
        """Configure the callback of an app, whether or not it has one."""
        self._configure(sdkappid, url, commands)

    def get_callback(self, sdkappid: int) -> CallbackConfig:
        """The callback configuration of an app."""
        config = self.configs.get(sdkappid)
        if config is None:
            raise BackendError(Code.NO_CALLBACK)
        return config

    def delete_callback(self, sdkappid: int) -> None:
        """Remove the callback of an app; no page documents an error for an app without one."""
        if self.configs.pop(sdkappid, None) is not None:
            self.changes.touch(StateKey(sdkappid, "", "callback", ""))

    def _configure(self, sdkappid: int, url: str, commands: Iterable[str]) -> None:
        listed = tuple(dict.fromkeys(commands))
        unknown = [command for command in listed if command not in COMMANDS]
        if unknown and not self.options.lenient:
            raise BackendError(Code.BAD_PARAMETER, f"CallbackCommandList: {unknown[0]!r} is not a room callback")
        self.check_callback_url(url)
        self.configs[sdkappid] = CallbackConfig(url, listed)
        self.changes.touch(StateKey(sdkappid, "", "callback", ""))

    def check_callback_url(self, url: str) -> None:
        """Raise ``BackendError`` for a URL that is malformed, or whose host is not allowed."""
        try:
            host = CallbackUrl.parse(url).host
        except ConfigurationError as error:
            raise BackendError(Code.BAD_PARAMETER, f"Url: {error}") from None
        allowed = self.options.callback_hosts
        if allowed is not None and not is_loopback_name(host) and host.lower() not in {one.lower() for one in allowed}:
            raise BackendError(
                Code.BAD_PARAMETER, f"Url: {host} is not this machine; start serve with --allow-host {host}"
            )

    # Rooms

    def entry(self, key: RoomKey) -> RoomEntry:
        """The room; raises ``BackendError`` (100004) if it does not exist."""
        found = self.by_app[key.sdkappid].get(key.room_id)
        if found is None:
            raise BackendError(Code.NO_ROOM, key.room_id)
        return found

    def create_room(self, sdkappid: int, new: NewRoom, actor: Actor) -> RoomEntry:
        """Create a room without members."""
        if new.room_id in self.by_app[sdkappid]:
            raise BackendError(Code.ROOM_EXISTS, new.room_id)
        now = actor.now
        now_s = now // 1000
        starts = now_s if new.starts_s is None else new.starts_s
        ends = starts + _USUAL_MEETING_S if new.ends_s is None else new.ends_s
        if ends - starts < _SHORTEST_MEETING_S:
            raise BackendError(Code.BAD_PARAMETER, "ScheduleEndTime: a meeting takes at least 5 minutes")
        record = RoomRecord(
            room_id=new.room_id,
            room_name=new.room_id if new.name is None else new.name,
            owner=new.owner,
            max_members=self.options.most_members if new.max_members is None else new.max_members,
            max_seats=new.max_seats,
            created_s=now_s,
            starts_s=starts,
            ends_s=ends,
            invited=new.invited,
            **new.settings,
        )
        entry = RoomEntry.from_record(sdkappid, record, self.options.behaviour)
        self.by_app[sdkappid][new.room_id] = entry
        entry.room.clock = now
        self.touch(entry.key)
        packet = CreatePacket(
            operator_account=actor.operator,
            room_info=entry.created(self.options.room_type, now),
            schedule_invitee_list_account=record.invited,
            event_time=now,
        )
        self.cause(entry, CREATE_COMMAND, packet, actor.origin, now)
        return entry

    def update_room(self, key: RoomKey, changes: Mapping[str, Any], actor: Actor) -> None:
        """Change settings of a room; *changes* are fields of ``RoomRecord`` except the owner."""
        entry = self.entry(key)
        for name, value in changes.items():
            if name == "max_members":
                entry.room.resize(value)
            else:
                setattr(entry.settings, name, value)
        self.touch(key)
        self.cause_update(entry, actor)

    def destroy_room(self, key: RoomKey, actor: Actor) -> None:
        """Destroy a room; the members inside leave as the options say."""
        entry = self.entry(key)
        members = dict(entry.room.members)
        self._touch_all(entry)
        packets = entry.room.dissolve(actor.operator, "", actor.now)
        destroyed = DestroyPacket(operator_account=actor.operator, room_id=key.room_id, event_time=actor.now)
        if self.options.destroy_order is DestroyOrder.DESTROY_FIRST:
            self.cause(entry, DESTROY_COMMAND, destroyed, actor.origin, actor.now)
        for packet in packets:
            member = members[packet.member_list_account[0]]
            self.cause_leave(entry, packet, Origin(member.client_ip, member.platform))
        if self.options.destroy_order is DestroyOrder.LEAVES_FIRST:
            self.cause(entry, DESTROY_COMMAND, destroyed, actor.origin, actor.now)
        del self.by_app[key.sdkappid][key.room_id]

    def forget_rooms(self) -> None:
        """Drop all rooms without callbacks, for the next test."""
        for entries in self.by_app.values():
            for entry in entries.values():
                self._touch_all(entry)
            entries.clear()
        self.agenda.clear()

    def note_removed(self, entry: RoomEntry, accounts: Sequence[str], now: int) -> None:
        """Free the seats of removed members; an empty room may be due."""
        for account in accounts:
            self.touch(entry.key, "member", account)
            index = entry.seat_of(account) if entry.seats else None
            if index is not None:
                entry.seats[index] = msgspec.structs.replace(entry.seats[index], member_account="")
                self.touch(entry.key, "seat", str(index))
        self.note_empty(entry, now)

    def note_empty(self, entry: RoomEntry, now: int) -> None:
        """Plan the end of *entry* if its last member left and empty rooms are destroyed."""
        wait = self.options.auto_destroy_ms
        if wait is not None and not entry.room.members:
            entry.settings.empty_due = now + wait
            self.touch(entry.key)
            self.agenda.add(entry.settings.empty_due, entry.key, "")

    def destroy_empty(self, entry: RoomEntry, now: int) -> None:
        """Destroy a room that has been empty for too long."""
        if entry.settings.empty_due == now and not entry.room.members:
            self.destroy_room(entry.key, Actor(SYSTEM_ACCOUNT, Origin(self.options.rest_ip, "Unknown"), now))

    def _is_outdated(self, due: DueEntry) -> bool:
        entry = self.by_app[due.room.sdkappid].get(due.room.room_id)
        if entry is None:
            return True
        if not due.account:
            return entry.settings.empty_due != due.at_ms
        member = entry.room.members.get(due.account)
        return member is None or member.due != due.at_ms

    # Changes

    def cause_update(self, entry: RoomEntry, actor: Actor) -> None:
        """Collect the update callback under the command that the app listed."""
        config = self.configs.get(entry.sdkappid)
        listed = config.commands if config else ()
        in_lists, on_its_page = UPDATE_COMMANDS
        command = on_its_page if on_its_page in listed and in_lists not in listed else in_lists
        packet = UpdatePacket(
            callback_command=command,
            operator_account=actor.operator,
            room_info=entry.updated(),
            event_time=actor.now,
        )
        self.cause(entry, command, packet, actor.origin, actor.now)

    def cause_leave(self, entry: RoomEntry, packet: LeavePacket, origin: Origin) -> None:
        """Collect a leave callback."""
        self.cause(entry, LEAVE_COMMAND, packet, origin, packet.event_time)

    def cause(self, entry: RoomEntry, command: str, packet: FamilyPacket, origin: Origin, now: int) -> None:
        """Collect a callback if the app listed its command."""
        config = self.configs.get(entry.sdkappid)
        if config is None:
            self.changes.without_url.add(entry.sdkappid)
        elif command in config.commands:
            event = CallbackEvent(now, command, origin.client_ip, origin.platform, self._encoded(packet))
            self.changes.add_callback(PendingCallback(entry.sdkappid, config.url, entry.settings.room_id, event))

    def touch(self, key: RoomKey, kind: str = "room", name: str = "") -> None:
        """Mark a room, or the member or seat *name* in it, to be stored."""
        self.changes.touch(StateKey(key.sdkappid, key.room_id, kind, name))

    def _touch_all(self, entry: RoomEntry) -> None:
        for account in entry.room.members:
            self.touch(entry.key, "member", account)
        for index in entry.seats:
            self.touch(entry.key, "seat", str(index))
        self.touch(entry.key)

    def _encoded(self, packet: FamilyPacket) -> bytes:
        if isinstance(packet, SeatPacket) and self.options.empty_seat is EmptySeat.ABSENT:
            document: dict[str, Any] = msgspec.to_builtins(packet)
            for seat in document["SeatList"]:
                if not seat["Member_Account"]:
                    del seat["Member_Account"]
            return _encode(document)
        return _encode(packet)
