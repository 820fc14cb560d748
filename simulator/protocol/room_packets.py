"""The packets of the other callbacks of the Room family: create, destroy, update and seat (protocol.md 3.3 to 3.6)."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from roomhook.simulator.protocol.packets import ENTER_COMMAND, LEAVE_COMMAND, WIRE_NAMES, EnterPacket, LeavePacket

__all__ = [
    "COMMANDS",
    "CREATE_COMMAND",
    "DESTROY_COMMAND",
    "SEAT_COMMAND",
    "UPDATE_COMMANDS",
    "CreatePacket",
    "CreatedRoom",
    "DestroyPacket",
    "FamilyPacket",
    "RoomStatus",
    "RoomType",
    "Seat",
    "SeatPacket",
    "TakeSeatMode",
    "UpdateCommand",
    "UpdatePacket",
    "UpdatedRoom",
]

UpdateCommand = Literal["Room.CallbackUpdateRoomInfo", "Room.CallbackAfterUpdateRoomInfo"]

CREATE_COMMAND: Final = "Room.CallbackAfterCreateRoom"
DESTROY_COMMAND: Final = "Room.CallbackAfterDestroyRoom"
SEAT_COMMAND: Final = "Mic.CallbackAfterSeatInfoChanged"
UPDATE_COMMANDS: Final[tuple[UpdateCommand, UpdateCommand]] = (
    "Room.CallbackUpdateRoomInfo",
    "Room.CallbackAfterUpdateRoomInfo",
)
"""Both spellings: as the lists and the configuration have it, and as the event's own page has it (protocol.md 2)."""

COMMANDS: Final = (
    CREATE_COMMAND,
    DESTROY_COMMAND,
    *UPDATE_COMMANDS,
    ENTER_COMMAND,
    LEAVE_COMMAND,
    SEAT_COMMAND,
)
"""The whole family, as CallbackCommandList names it."""

RoomStatus = Literal["None", "NotStarted", "Running"]
RoomType = Literal["Meeting", "Conference"]
TakeSeatMode = Literal["None", "FreeToTake", "ApplyToTake"]

_NAMES: Final = {
    **WIRE_NAMES,
    "room_info": "RoomInfo",
    "room_name": "RoomName",
    "room_type": "RoomType",
    "owner_account": "Owner_Account",
    "max_member_count": "MaxMemberCount",
    "max_seat_count": "MaxSeatCount",
    "is_video_disabled": "IsVideoDisabled",
    "is_audio_disabled": "IsAudioDisabled",
    "is_message_disabled": "IsMessageDisabled",
    "is_screen_sharing_disabled": "IsScreenSharingDisabled",
    "is_cloud_recording_disabled": "IsCloudRecordingDisabled",
    "custom_info": "CustomInfo",
    "schedule_start_time": "ScheduleStartTime",
    "schedule_end_time": "ScheduleEndTime",
    "room_status": "RoomStatus",
    "is_seat_enabled": "IsSeatEnabled",
    "take_seat_mode": "TakeSeatMode",
    "create_time": "CreateTime",
    "schedule_invitee_list_account": "ScheduleInviteeList_Account",
    "seat_list": "SeatList",
    "index": "Index",
    "member_account": "Member_Account",
    "is_taken_disabled": "IsTakenDisabled",
}


class CreatedRoom(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_NAMES):
    """A room in the create callback; its times are in s since the epoch."""

    room_id: str
    room_name: str
    room_type: RoomType
    owner_account: str
    max_member_count: int
    max_seat_count: int
    is_video_disabled: bool
    is_audio_disabled: bool
    is_message_disabled: bool
    is_screen_sharing_disabled: bool
    is_cloud_recording_disabled: bool
    custom_info: str
    schedule_start_time: int
    schedule_end_time: int
    room_status: RoomStatus
    is_seat_enabled: bool
    take_seat_mode: TakeSeatMode
    create_time: int


class CreatePacket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_NAMES):
    """The request packet of Room.CallbackAfterCreateRoom; ``event_time`` is in ms, the room's times are in s."""

    callback_command: Literal["Room.CallbackAfterCreateRoom"] = CREATE_COMMAND
    operator_account: str
    room_info: CreatedRoom
    schedule_invitee_list_account: tuple[str, ...]
    event_time: int


class DestroyPacket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_NAMES):
    """The request packet of Room.CallbackAfterDestroyRoom."""

    callback_command: Literal["Room.CallbackAfterDestroyRoom"] = DESTROY_COMMAND
    operator_account: str
    room_id: str
    event_time: int


class UpdatedRoom(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_NAMES):
    """A room in the update callback: the fields of the sample, with their current values."""

    room_id: str
    room_name: str
    owner_account: str
    take_seat_mode: TakeSeatMode
    max_member_count: int
    is_video_disabled: bool
    is_audio_disabled: bool
    is_message_disabled: bool
    is_screen_sharing_disabled: bool
    is_cloud_recording_disabled: bool
    custom_info: str


class UpdatePacket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_NAMES):
    """The request packet of the update callback, in either spelling of its command."""

    callback_command: UpdateCommand
    operator_account: str
    room_info: UpdatedRoom
    event_time: int


class Seat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_NAMES):
    """A seat; ``member_account`` is empty if it is free, ``is_taken_disabled`` means locked."""

    index: int
    member_account: str = ""
    is_taken_disabled: bool = False
    is_video_disabled: bool = False
    is_audio_disabled: bool = False


class SeatPacket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_NAMES):
    """The request packet of Mic.CallbackAfterSeatInfoChanged."""

    callback_command: Literal["Mic.CallbackAfterSeatInfoChanged"] = SEAT_COMMAND
    operator_account: str
    room_id: str
    seat_list: tuple[Seat, ...]
    event_time: int


FamilyPacket = CreatePacket | DestroyPacket | UpdatePacket | SeatPacket | EnterPacket | LeavePacket
