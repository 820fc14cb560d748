"""Actions of client apps as calls under ``/sim/``: members enter, leave, lose their heartbeat and take seats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from roomhook.simulator.room_backend.api.rest_schemas import Account, RoomId, check_bytes
from roomhook.simulator.room_backend.state.engine import BackendState
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code
from roomhook.simulator.room_backend.state.room_record import Actor, Origin, RoomKey
from roomhook.simulator.room_backend.state.rooms import NewRoom

__all__ = [
    "ACTIONS",
    "Action",
    "ChangeSeat",
    "ClientRoom",
    "DestroyRoom",
    "EnterRoom",
    "Kick",
    "LeaveRoom",
    "LeaveSeat",
    "OfMember",
    "PlannedAction",
    "SetAdmin",
    "TakeSeat",
    "act",
    "decoded",
]

_Ip = Annotated[str, Meta(min_length=1, max_length=45, description="ClientIP, e.g. 203.0.113.7")]
_Platform = Annotated[str, Meta(min_length=1, max_length=32, description="OptPlatform, e.g. iOS")]
_Index = Annotated[int, Meta(ge=0, le=1000, description="Index of the seat.")]
_Operator = Annotated[str, Meta(max_length=32, description="Who acts; by default the account concerned, or the owner.")]
_Reason = Annotated[str, Meta(max_length=1000)]
_SdkAppId = Annotated[int, Meta(ge=1, le=9_999_999_999, description="May be omitted if there is only one app.")]


class _RoomAction(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields of every action: the room, the app, and whether to wait until its callbacks have their outcome."""

    room: RoomId
    sdkappid: _SdkAppId | None = None
    wait: bool = False


class ClientRoom(_RoomAction, kw_only=True, forbid_unknown_fields=True):
    """A client creates a room and becomes its owner."""

    owner: Account
    name: Annotated[str, Meta(max_length=100)] | None = None
    max_members: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    seats: Annotated[int, Meta(ge=0, le=1000, description="Number of seats; 0: none.")] = 0
    client_ip: _Ip = "127.0.0.1"
    platform: _Platform = "Unknown"


class DestroyRoom(_RoomAction, kw_only=True, forbid_unknown_fields=True):
    """The owner, or *operator*, destroys the room."""

    operator: _Operator = ""


class EnterRoom(_RoomAction, kw_only=True, forbid_unknown_fields=True):
    """A member enters; one with a lost heartbeat recovers."""

    account: Account
    name_card: Annotated[str, Meta(max_length=100)] = ""
    client_ip: _Ip = "127.0.0.1"
    platform: _Platform = "Unknown"


class LeaveRoom(_RoomAction, kw_only=True, forbid_unknown_fields=True):
    """A member leaves."""

    account: Account
    reason: _Reason = ""


class Kick(_RoomAction, kw_only=True, forbid_unknown_fields=True):
    """The owner if present, else the administrator, kicks members; or *operator*, who needs the permission."""

    accounts: Annotated[list[Account], Meta(min_length=1, max_length=20)]
    reason: Annotated[str, Meta(min_length=1, max_length=1000)] = "kicked"
    operator: _Operator = ""


class OfMember(_RoomAction, kw_only=True, forbid_unknown_fields=True):
    """An action that concerns one member."""

    account: Account


class TakeSeat(_RoomAction, kw_only=True, forbid_unknown_fields=True):
    """A member takes a seat, or is put on it; without an index, the first free one."""

    account: Account
    index: _Index | None = None
    operator: _Operator = ""


class LeaveSeat(_RoomAction, kw_only=True, forbid_unknown_fields=True):
    """A member leaves their seat, or is taken off it."""

    account: Account
    operator: _Operator = ""


class ChangeSeat(_RoomAction, kw_only=True, forbid_unknown_fields=True):
    """A seat is locked, or its camera or microphone is turned off."""

    index: _Index
    locked: bool | UnsetType = UNSET
    video_off: bool | UnsetType = UNSET
    audio_off: bool | UnsetType = UNSET
    operator: _Operator = ""


class SetAdmin(_RoomAction, kw_only=True, forbid_unknown_fields=True):
    """A member becomes an admin, or stops being one."""

    account: Account
    admin: bool = True


@dataclass(frozen=True, slots=True)
class Action:
    """One action: its packet, its function, and a line about it."""

    packet: type[msgspec.Struct]
    handler: Callable[[BackendState, RoomKey, Any, int], dict[str, Any] | None]
    summary: str


class PlannedAction(msgspec.Struct, kw_only=True):
    """An action with its decoded packet, ready to run."""

    name: str
    key: RoomKey
    packet: Any


def _origin(state: BackendState, key: RoomKey, account: str) -> Origin:
    member = state.rooms.entry(key).room.members.get(account)
    return Origin("127.0.0.1", "Unknown") if member is None else Origin(member.client_ip, member.platform)


def _actor(state: BackendState, key: RoomKey, operator: str, now: int) -> Actor:
    """*operator*, or the owner, with their address if they are in the room."""
    account = operator or state.rooms.entry(key).room.owner
    return Actor(account, _origin(state, key, account), now)


def _create_room(state: BackendState, key: RoomKey, packet: ClientRoom, now: int) -> None:
    new = NewRoom(
        room_id=packet.room,
        owner=packet.owner,
        name=packet.name,
        max_members=packet.max_members,
        max_seats=packet.seats,
        settings={"seats_enabled": True, "seat_mode": "FreeToTake"} if packet.seats else {},
    )
    state.rooms.create_room(key.sdkappid, new, Actor(packet.owner, Origin(packet.client_ip, packet.platform), now))


def _destroy_room(state: BackendState, key: RoomKey, packet: DestroyRoom, now: int) -> None:
    state.rooms.destroy_room(key, _actor(state, key, packet.operator, now))


def _enter(state: BackendState, key: RoomKey, packet: EnterRoom, now: int) -> None:
    state.members.enter(key, packet.account, Origin(packet.client_ip, packet.platform), now, packet.name_card)


def _leave(state: BackendState, key: RoomKey, packet: LeaveRoom, now: int) -> None:
    state.members.leave(key, packet.account, packet.reason, None, now)


def _kick(state: BackendState, key: RoomKey, packet: Kick, now: int) -> None:
    room = state.rooms.entry(key).room
    administrator = state.rooms.options.behaviour.administrator
    operator = packet.operator or (room.owner if room.owner in room.members else administrator)
    state.members.kick(key, packet.accounts, packet.reason, _actor(state, key, operator, now))


def _heartbeat(state: BackendState, key: RoomKey, packet: OfMember, now: int) -> None:
    state.heartbeats.beat(key, packet.account, now)


def _lose_heartbeat(state: BackendState, key: RoomKey, packet: OfMember, now: int) -> None:
    state.heartbeats.lose(key, packet.account, now)


def _recover(state: BackendState, key: RoomKey, packet: OfMember, now: int) -> None:
    state.heartbeats.recover(key, packet.account, now)


def _take_seat(state: BackendState, key: RoomKey, packet: TakeSeat, now: int) -> dict[str, Any]:
    actor = _actor(state, key, packet.operator or packet.account, now)
    return {"index": state.seats.take_seat(key, packet.account, packet.index, actor)}


def _leave_seat(state: BackendState, key: RoomKey, packet: LeaveSeat, now: int) -> dict[str, Any]:
    actor = _actor(state, key, packet.operator or packet.account, now)
    return {"index": state.seats.leave_seat(key, packet.account, actor)}


def _change_seat(state: BackendState, key: RoomKey, packet: ChangeSeat, now: int) -> None:
    given = {
        "is_taken_disabled": packet.locked,
        "is_video_disabled": packet.video_off,
        "is_audio_disabled": packet.audio_off,
    }
    changes = {name: value for name, value in given.items() if isinstance(value, bool)}
    state.seats.change_seat(key, packet.index, changes, _actor(state, key, packet.operator, now))


def _set_admin(state: BackendState, key: RoomKey, packet: SetAdmin, _: int) -> None:
    state.members.set_admin(key, packet.account, admin=packet.admin)


def _set_owner(state: BackendState, key: RoomKey, packet: OfMember, now: int) -> None:
    state.members.set_owner(key, packet.account, _actor(state, key, "", now))


ACTIONS: Final[dict[str, Action]] = {
    "create-room": Action(ClientRoom, _create_room, "A client creates a room."),
    "destroy-room": Action(DestroyRoom, _destroy_room, "A client destroys a room."),
    "enter": Action(EnterRoom, _enter, "A member enters a room."),
    "leave": Action(LeaveRoom, _leave, "A member leaves."),
    "kick": Action(Kick, _kick, "A client kicks members out."),
    "heartbeat": Action(OfMember, _heartbeat, "A heartbeat arrives; the time until expiry starts again."),
    "lose-heartbeat": Action(OfMember, _lose_heartbeat, "A member's heartbeat stops."),
    "recover": Action(OfMember, _recover, "A member's heartbeat is back and continues by itself."),
    "take-seat": Action(TakeSeat, _take_seat, "A member takes a seat."),
    "leave-seat": Action(LeaveSeat, _leave_seat, "A member leaves their seat."),
    "change-seat": Action(ChangeSeat, _change_seat, "A seat is locked or muted."),
    "set-admin": Action(SetAdmin, _set_admin, "A member becomes an admin, or stops being one."),
    "set-owner": Action(OfMember, _set_owner, "A member becomes the owner."),
}
"""The actions under ``/sim/`` by their name in the URL."""


def decoded(name: str, document: Any, only_app: int | None) -> PlannedAction:
    """The action *name* with its packet; *only_app* is the app of packets that name none.

    Raises ``BackendError`` for a packet that does not match its schema.
    """
    action = ACTIONS[name]
    try:
        packet: Any = (
            msgspec.json.decode(document, type=action.packet)
            if isinstance(document, bytes)
            else msgspec.convert(document, action.packet)
        )
    except msgspec.ValidationError as error:
        raise BackendError(Code.BAD_PARAMETER, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BackendError(Code.BAD_JSON, str(error) or "nested too deeply") from None
    check_bytes(packet)
    sdkappid = packet.sdkappid or only_app
    if sdkappid is None:
        raise BackendError(Code.NO_SDKAPPID, "there are several apps: add sdkappid")
    return PlannedAction(name=name, key=RoomKey(sdkappid, packet.room), packet=packet)


def act(state: BackendState, planned: PlannedAction, now: int) -> dict[str, Any]:
    """Run *planned*; returns its result."""
    if planned.key.sdkappid not in state.rooms.by_app:
        raise BackendError(Code.BAD_SDKAPPID, f"{planned.key.sdkappid} is not served here")
    return ACTIONS[planned.name].handler(state, planned.key, planned.packet, now) or {}
