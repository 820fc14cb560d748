"""A room of the mock Room backend with everything known about it: settings, members with heartbeats, seats."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from roomhook.simulator.protocol.room_packets import CreatedRoom, RoomStatus, RoomType, Seat, TakeSeatMode, UpdatedRoom
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code
from roomhook.simulator.rooms.behaviour import BackendBehaviour
from roomhook.simulator.rooms.room import Member, Room

__all__ = [
    "Actor",
    "MemberRecord",
    "Origin",
    "RoomEntry",
    "RoomKey",
    "RoomMember",
    "RoomRecord",
    "RoomSettings",
    "member_of",
]


class Origin(msgspec.Struct, frozen=True):
    """Where a change came from: ClientIP and OptPlatform of the callbacks that it causes."""

    client_ip: str
    platform: str


class Actor(msgspec.Struct, frozen=True):
    """Who changes something, from where, and when (ms since the epoch)."""

    operator: str
    origin: Origin
    now: int


class RoomKey(NamedTuple):
    """Identifies a room of an app."""

    sdkappid: int
    room_id: str


class RoomMember(Member):
    """A member of a room.

    ``entered`` gives the order of entering over all rooms; ``due`` is when (ms) a lost heartbeat expires (0: not lost).
    """

    name_card: str = ""
    entered: int = 0
    due: int = 0


class RoomSettings(msgspec.Struct, kw_only=True):
    """Settings of a room besides owner and capacity; times in s since the epoch, ``empty_due`` in ms (0: not due)."""

    room_id: str
    room_name: str
    max_seats: int
    created_s: int
    starts_s: int
    ends_s: int
    video_off: bool = False
    audio_off: bool = False
    messages_off: bool = False
    screen_off: bool = False
    recording_off: bool = False
    custom_info: str = ""
    seats_enabled: bool = False
    seat_mode: TakeSeatMode = "None"
    invited: tuple[str, ...] = ()
    empty_due: int = 0


class RoomRecord(RoomSettings, kw_only=True):
    """The stored form of a room."""

    owner: str
    max_members: int


class MemberRecord(msgspec.Struct, kw_only=True):
    """The stored form of a member; ``lost`` and ``due`` in ms (0: the heartbeat is there)."""

    client_ip: str
    platform: str
    name_card: str
    entered: int
    admin: bool = False
    lost: int = 0
    due: int = 0


@dataclass(slots=True)
class RoomEntry:
    """One room of one app: ``room`` holds owner, capacity and members, ``settings`` everything else but the seats."""

    sdkappid: int
    settings: RoomSettings
    room: Room[RoomMember]
    seats: dict[int, Seat] = field(default_factory=dict)

    @property
    def key(self) -> RoomKey:
        """Its app and RoomId."""
        return RoomKey(self.sdkappid, self.settings.room_id)

    @classmethod
    def from_record(cls, sdkappid: int, record: RoomRecord, behaviour: BackendBehaviour) -> RoomEntry:
        """A room without members, as *record* describes it."""
        settings = RoomSettings(**{name: getattr(record, name) for name in RoomSettings.__struct_fields__})
        return cls(sdkappid, settings, Room(record.room_id, record.owner, record.max_members, behaviour))

    def record(self) -> RoomRecord:
        """The stored form of the room."""
        settings = {name: getattr(self.settings, name) for name in RoomSettings.__struct_fields__}
        return RoomRecord(owner=self.room.owner, max_members=self.room.capacity, **settings)

    def member_record(self, account: str) -> MemberRecord:
        """The stored form of a member."""
        member = self.room.members[account]
        return MemberRecord(
            client_ip=member.client_ip,
            platform=member.platform,
            name_card=member.name_card,
            entered=member.entered,
            admin=account in self.room.admins,
            lost=self.room.lost.get(account, 0),
            due=member.due,
        )

    def status(self, now_ms: int) -> RoomStatus:
        """RoomStatus at *now_ms*."""
        return "Running" if self.settings.starts_s * 1000 <= now_ms else "NotStarted"

    def seat_of(self, account: str) -> int | None:
        """The index of the seat that *account* occupies."""
        return next((seat.index for seat in self.seats.values() if seat.member_account == account), None)

    def seat(self, index: int) -> Seat:
        """The seat at *index*; empty and open until something changes it."""
        return self.seats.get(index) or Seat(index=index)

    def created(self, room_type: RoomType, now_ms: int) -> CreatedRoom:
        """RoomInfo of the create callback and of get_room_info."""
        settings = self.settings
        return CreatedRoom(
            room_id=settings.room_id,
            room_name=settings.room_name,
            room_type=room_type,
            owner_account=self.room.owner,
            max_member_count=self.room.capacity,
            max_seat_count=settings.max_seats,
            is_video_disabled=settings.video_off,
            is_audio_disabled=settings.audio_off,
            is_message_disabled=settings.messages_off,
            is_screen_sharing_disabled=settings.screen_off,
            is_cloud_recording_disabled=settings.recording_off,
            custom_info=settings.custom_info,
            schedule_start_time=settings.starts_s,
            schedule_end_time=settings.ends_s,
            room_status=self.status(now_ms),
            is_seat_enabled=settings.seats_enabled,
            take_seat_mode=settings.seat_mode,
            create_time=settings.created_s,
        )

    def updated(self) -> UpdatedRoom:
        """RoomInfo of the update callback."""
        room = self.created("Meeting", 0)
        return UpdatedRoom(**{name: getattr(room, name) for name in UpdatedRoom.__struct_fields__})


def member_of(entry: RoomEntry, account: str) -> RoomMember:
    """The member; raises ``BackendError`` (100005) if *account* is not in the room."""
    found = entry.room.members.get(account)
    if found is None:
        raise BackendError(Code.NOT_A_MEMBER, account)
    return found
