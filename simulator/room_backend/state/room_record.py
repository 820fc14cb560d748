"""A room of the mock Room backend with all that is known about it: its data, its people's heartbeats, its seats."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from roomhook.simulator.protocol.room_packets import CreatedRoom, RoomStatus, RoomType, Seat, TakeSeatMode, UpdatedRoom
from roomhook.simulator.rooms.behaviour import BackendBehaviour
from roomhook.simulator.rooms.room import Member, Room

__all__ = ["Actor", "GuestRecord", "Origin", "RoomEntry", "RoomKey", "RoomMember", "RoomRecord"]


class Origin(msgspec.Struct, frozen=True):
    """Where a change came from: ClientIP and OptPlatform of the callbacks that it causes."""

    client_ip: str
    platform: str


class Actor(msgspec.Struct, frozen=True):
    """Who changes something, from where, and when (ms since the epoch)."""

    operator: str
    via: Origin
    now: int


class RoomKey(NamedTuple):
    """Which room of which app."""

    sdkappid: int
    room_id: str


class RoomMember(Member):
    """Somebody in a room, as get_room_member_list tells of him."""

    name_card: str = ""


class RoomRecord(msgspec.Struct, kw_only=True, omit_defaults=False):
    """What is stored about a room; times are in seconds since the epoch, ``empty_due`` in ms (0: not due)."""

    room_id: str
    room_name: str
    owner: str
    max_members: int
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


class GuestRecord(msgspec.Struct, kw_only=True):
    """What is stored about somebody in a room: ``lost`` and ``due`` in ms (0: the heart beats), ``entered`` orders."""

    client_ip: str
    platform: str
    name_card: str
    entered: int
    admin: bool = False
    lost: int = 0
    due: int = 0


@dataclass(slots=True)
class RoomEntry:
    """One room of one app. ``due`` holds when (ms) the heartbeats that are missing will have been so for too long."""

    sdkappid: int
    record: RoomRecord
    room: Room[RoomMember]
    seats: dict[int, Seat] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    entered: dict[str, int] = field(default_factory=dict)

    @property
    def where(self) -> RoomKey:
        """Which room it is."""
        return RoomKey(self.sdkappid, self.record.room_id)

    @classmethod
    def of(cls, sdkappid: int, record: RoomRecord, dialect: BackendBehaviour) -> RoomEntry:
        """A room without people, as *record* has it."""
        return cls(sdkappid, record, Room(record.room_id, record.owner, record.max_members, dialect))

    def status(self, now_ms: int) -> RoomStatus:
        """RoomStatus at *now_ms*."""
        return "Running" if self.record.starts_s * 1000 <= now_ms else "NotStarted"

    def seat_of(self, account: str) -> int | None:
        """The number of the seat on which *account* sits."""
        return next((seat.index for seat in self.seats.values() if seat.member_account == account), None)

    def seat(self, index: int) -> Seat:
        """The seat number *index*, empty and open unless something has happened to it."""
        return self.seats.get(index) or Seat(index=index)

    def created(self, room_type: RoomType, now_ms: int) -> CreatedRoom:
        """The room as the create callback and get_room_info tell of it."""
        record = self.record
        return CreatedRoom(
            room_id=record.room_id,
            room_name=record.room_name,
            room_type=room_type,
            owner_account=self.room.owner,
            max_member_count=record.max_members,
            max_seat_count=record.max_seats,
            is_video_disabled=record.video_off,
            is_audio_disabled=record.audio_off,
            is_message_disabled=record.messages_off,
            is_screen_sharing_disabled=record.screen_off,
            is_cloud_recording_disabled=record.recording_off,
            custom_info=record.custom_info,
            schedule_start_time=record.starts_s,
            schedule_end_time=record.ends_s,
            room_status=self.status(now_ms),
            is_seat_enabled=record.seats_enabled,
            take_seat_mode=record.seat_mode,
            create_time=record.created_s,
        )

    def updated(self) -> UpdatedRoom:
        """The room as the update callback tells of it."""
        record = self.record
        return UpdatedRoom(
            room_id=record.room_id,
            room_name=record.room_name,
            owner_account=self.room.owner,
            take_seat_mode=record.seat_mode,
            max_member_count=record.max_members,
            is_video_disabled=record.video_off,
            is_audio_disabled=record.audio_off,
            is_message_disabled=record.messages_off,
            is_screen_sharing_disabled=record.screen_off,
            is_cloud_recording_disabled=record.recording_off,
            custom_info=record.custom_info,
        )

    def guest_record(self, account: str) -> GuestRecord:
        """What is to be stored about a member."""
        guest = self.room.members[account]
        return GuestRecord(
            client_ip=guest.client_ip,
            platform=guest.platform,
            name_card=guest.name_card,
            entered=self.entered[account],
            admin=account in self.room.admins,
            lost=self.room.lost.get(account, 0),
            due=self.due.get(account, 0),
        )
