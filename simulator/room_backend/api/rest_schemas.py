"""Request packets of the documented REST with the documented limits (protocol.md 2, 4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from roomhook.simulator.room_backend.state.error_codes import BackendError, Code
from roomhook.simulator.room_backend.state.rooms import NewRoom

__all__ = [
    "Account",
    "CreateRoom",
    "Empty",
    "KickUserOut",
    "MemberPage",
    "NamedRoom",
    "NewRoomInfo",
    "RoomId",
    "RoomInfoFields",
    "SetCallback",
    "UpdateRoom",
    "changes_of",
    "check_bytes",
    "new_room_of",
]

RoomId = Annotated[str, Meta(min_length=1, max_length=48, description="At most 48 bytes of UTF-8.")]
Account = Annotated[str, Meta(min_length=1, max_length=32, description="At most 32 bytes of UTF-8.")]
_Name = Annotated[str, Meta(max_length=100, description="At most 100 bytes of UTF-8; by default the RoomId.")]
_Custom = Annotated[str, Meta(max_length=500, description="At most 500 bytes of UTF-8.")]
_Reason = Annotated[str, Meta(min_length=1, max_length=1000, description="At most 1000 bytes of UTF-8.")]
_Seconds = Annotated[int, Meta(ge=1_000_000_000, le=9_999_999_999, description="Seconds since the epoch.")]
_People = Annotated[int, Meta(ge=1, le=1_000_000)]
_Seats = Annotated[int, Meta(ge=0, le=1_000)]
_Count = Annotated[int, Meta(ge=1, le=1_000_000)]
_SeatMode = Literal["None", "FreeToTake", "ApplyToTake"]

_LIMITS: Final = {
    "RoomId": 48,
    "RoomName": 100,
    "CustomInfo": 500,
    "Reason": 1000,
    "Owner_Account": 32,
    "MemberList_Account": 32,
    "ScheduleInviteeList_Account": 32,
    "account": 32,
    "accounts": 32,
    "room": 48,
    "operator": 32,
    "reason": 1000,
}
"""Limits in bytes; JSON Schema counts characters."""

_RECORDED_AS: Final = {
    "RoomName": "room_name",
    "MaxMemberCount": "max_members",
    "IsVideoDisabled": "video_off",
    "IsAudioDisabled": "audio_off",
    "IsMessageDisabled": "messages_off",
    "IsScreenSharingDisabled": "screen_off",
    "IsCloudRecordingDisabled": "recording_off",
    "CustomInfo": "custom_info",
    "IsSeatEnabled": "seats_enabled",
    "TakeSeatMode": "seat_mode",
}
"""The fields of ``RoomRecord`` that RoomInfo sets."""


class Empty(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``{}`` of get_callback and delete_callback."""


class SetCallback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Packet of set_callback and update_callback."""

    Url: Annotated[str, Meta(min_length=1, max_length=2083)]
    CallbackCommandList: Annotated[list[str], Meta(max_length=64)]


class RoomInfoFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of RoomInfo that can be set at any time."""

    RoomId: RoomId
    RoomName: _Name | UnsetType = UNSET
    MaxMemberCount: _People | UnsetType = UNSET
    IsVideoDisabled: bool | UnsetType = UNSET
    IsAudioDisabled: bool | UnsetType = UNSET
    IsMessageDisabled: bool | UnsetType = UNSET
    IsScreenSharingDisabled: bool | UnsetType = UNSET
    IsCloudRecordingDisabled: bool | UnsetType = UNSET
    CustomInfo: _Custom | UnsetType = UNSET
    TakeSeatMode: _SeatMode | UnsetType = UNSET


class NewRoomInfo(RoomInfoFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """RoomInfo of create_room: also the fields that can't change later."""

    RoomType: Literal["Conference"]
    Owner_Account: Account | UnsetType = UNSET
    ScheduleStartTime: _Seconds | UnsetType = UNSET
    ScheduleEndTime: _Seconds | UnsetType = UNSET
    IsSeatEnabled: bool | UnsetType = UNSET
    MaxSeatCount: _Seats | UnsetType = UNSET


class CreateRoom(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Packet of create_room."""

    RoomInfo: NewRoomInfo
    ScheduleInviteeList_Account: Annotated[list[Account], Meta(max_length=300)] | UnsetType = UNSET


class UpdateRoom(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Packet of update_room_info."""

    RoomInfo: RoomInfoFields


class NamedRoom(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Packet of destroy_room and get_room_info."""

    RoomId: RoomId


class KickUserOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Packet of kick_user_out."""

    RoomId: RoomId
    MemberList_Account: Annotated[list[Account], Meta(min_length=1, max_length=20)]
    Reason: _Reason


class MemberPage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Packet of get_room_member_list; Next is "" for the first page, then that of the previous response."""

    RoomId: RoomId
    Count: _Count = 50
    Next: str = ""


def new_room_of(packet: CreateRoom, operator: str) -> NewRoom:
    """The room to create; without Owner_Account, *operator* owns it."""
    info = packet.RoomInfo
    settings = {name: value for name, value in changes_of(info).items() if name not in {"room_name", "max_members"}}
    return NewRoom(
        room_id=info.RoomId,
        owner=_or(info.Owner_Account, operator),
        name=_or(info.RoomName, None),
        max_members=_or(info.MaxMemberCount, None),
        max_seats=_or(info.MaxSeatCount, 16 if info.IsSeatEnabled is True else 0),
        starts_s=_or(info.ScheduleStartTime, None),
        ends_s=_or(info.ScheduleEndTime, None),
        invited=tuple(_or(packet.ScheduleInviteeList_Account, ())),
        settings=settings,
    )


def changes_of(info: RoomInfoFields) -> dict[str, Any]:
    """The given fields by their names in ``RoomRecord``."""
    given = ((name, getattr(info, name, UNSET)) for name in _RECORDED_AS)
    return {_RECORDED_AS[name]: value for name, value in given if value is not UNSET}


def check_bytes(packet: Any) -> None:
    """Raise ``BackendError`` (100002) for a text with too many bytes."""
    for name, text in _texts(msgspec.to_builtins(packet)):
        if len(text.encode("utf-8", "surrogatepass")) > _LIMITS.get(name, 1 << 30):
            raise BackendError(Code.BAD_PARAMETER, f"{name}: more than {_LIMITS[name]} bytes of UTF-8")


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, name)


def _or(value: Any, default: Any) -> Any:
    return default if value is UNSET else value
