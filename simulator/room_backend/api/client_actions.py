"""What the client SDK would do, as calls under ``/sim/``: people come, go, fall silent and take seats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from roomhook.simulator.room_backend.api.rest_schemas import Account, RoomId, check_bytes
from roomhook.simulator.room_backend.state.engine import BackendState
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code
from roomhook.simulator.room_backend.state.room_record import Actor, Origin, RoomKey, RoomMember
from roomhook.simulator.room_backend.state.rooms import NewRoom

__all__ = [
    "ACTIONS",
    "Action",
    "ChangeSeat",
    "ClientRoom",
    "DestroyRoom",
    "Enter",
    "Kick",
    "Leave",
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
_Index = Annotated[int, Meta(ge=0, le=1000, description="The number of the seat.")]
_Operator = Annotated[
    str, Meta(max_length=32, description="Who does it; by default the one it is done to, or the owner.")
]
_Reason = Annotated[str, Meta(max_length=1000)]
_SdkAppId = Annotated[int, Meta(ge=1, le=9_999_999_999, description="May be left out if there is one app only.")]


class _Asked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What every action says: the room, the app, and whether to wait until its callbacks have their outcome."""

    room: RoomId
    sdkappid: _SdkAppId | None = None
    wait: bool = False


class ClientRoom(_Asked, kw_only=True, forbid_unknown_fields=True):
    """A client creates a room and is its owner."""

    owner: Account
    name: Annotated[str, Meta(max_length=100)] | None = None
    max_members: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    seats: Annotated[int, Meta(ge=0, le=1000, description="How many seats there are; 0: none.")] = 0
    client_ip: _Ip = "127.0.0.1"
    platform: _Platform = "Unknown"


class DestroyRoom(_Asked, kw_only=True, forbid_unknown_fields=True):
    """The owner, or whoever *operator* is, dissolves the room."""

    operator: _Operator = ""


class Enter(_Asked, kw_only=True, forbid_unknown_fields=True):
    """Somebody enters. Who is there already, silent, is back."""

    account: Account
    name_card: Annotated[str, Meta(max_length=100)] = ""
    client_ip: _Ip = "127.0.0.1"
    platform: _Platform = "Unknown"


class Leave(_Asked, kw_only=True, forbid_unknown_fields=True):
    """Somebody leaves by himself."""

    account: Account
    reason: _Reason = ""


class Kick(_Asked, kw_only=True, forbid_unknown_fields=True):
    """The owner if he is there, else the administrator, puts people out; or *operator*, who must be allowed to."""

    accounts: Annotated[list[Account], Meta(min_length=1, max_length=20)]
    reason: Annotated[str, Meta(min_length=1, max_length=1000)] = "kicked"
    operator: _Operator = ""


class OfMember(_Asked, kw_only=True, forbid_unknown_fields=True):
    """Something that concerns one member."""

    account: Account


class TakeSeat(_Asked, kw_only=True, forbid_unknown_fields=True):
    """A member takes a seat, or is put on it; without an index the first that is free."""

    account: Account
    index: _Index | None = None
    operator: _Operator = ""


class LeaveSeat(_Asked, kw_only=True, forbid_unknown_fields=True):
    """A member leaves his seat, or is taken off it."""

    account: Account
    operator: _Operator = ""


class ChangeSeat(_Asked, kw_only=True, forbid_unknown_fields=True):
    """A seat is locked, or its camera or microphone is turned off."""

    index: _Index
    locked: bool | UnsetType = UNSET
    video_off: bool | UnsetType = UNSET
    audio_off: bool | UnsetType = UNSET
    operator: _Operator = ""


class SetAdmin(_Asked, kw_only=True, forbid_unknown_fields=True):
    """A member becomes an admin, or is none any more."""

    account: Account
    admin: bool = True


@dataclass(frozen=True, slots=True)
class Action:
    """One action: its packet, what it does, and a line about it."""

    packet: type[msgspec.Struct]
    handler: Callable[[BackendState, RoomKey, Any, int], dict[str, Any] | None]
    summary: str


class PlannedAction(msgspec.Struct, kw_only=True):
    """An action that is ready to be done."""

    name: str
    where: RoomKey
    packet: Any


def _via(engine: BackendState, where: RoomKey, account: str) -> Origin:
    guest: RoomMember | None = engine.hall(where).room.members.get(account)
    return Origin("127.0.0.1", "Unknown") if guest is None else Origin(guest.client_ip, guest.platform)


def _by(engine: BackendState, where: RoomKey, operator: str, now: int) -> Actor:
    """*operator*, or the owner, with the address of who is there."""
    who = operator or engine.hall(where).room.owner
    return Actor(who, _via(engine, where, who), now)


def _create_room(engine: BackendState, where: RoomKey, packet: ClientRoom, now: int) -> None:
    new = NewRoom(
        room_id=packet.room,
        owner=packet.owner,
        name=packet.name,
        max_members=packet.max_members,
        max_seats=packet.seats,
        settings={"seats_enabled": True, "seat_mode": "FreeToTake"} if packet.seats else {},
    )
    engine.create_room(where.sdkappid, new, Actor(packet.owner, Origin(packet.client_ip, packet.platform), now))


def _destroy_room(engine: BackendState, where: RoomKey, packet: DestroyRoom, now: int) -> None:
    engine.destroy_room(where, _by(engine, where, packet.operator, now))


def _enter(engine: BackendState, where: RoomKey, packet: Enter, now: int) -> None:
    engine.enter(where, packet.account, Origin(packet.client_ip, packet.platform), now, packet.name_card)


def _leave(engine: BackendState, where: RoomKey, packet: Leave, now: int) -> None:
    engine.leave(where, packet.account, packet.reason, None, now)


def _kick(engine: BackendState, where: RoomKey, packet: Kick, now: int) -> None:
    room = engine.hall(where).room
    operator = packet.operator or (room.owner if room.owner in room.members else engine.habits.dialect.administrator)
    engine.kick(where, packet.accounts, packet.reason, _by(engine, where, operator, now))


def _heartbeat(engine: BackendState, where: RoomKey, packet: OfMember, now: int) -> None:
    engine.heartbeat(where, packet.account, now)


def _lose_heartbeat(engine: BackendState, where: RoomKey, packet: OfMember, now: int) -> None:
    engine.lose_heartbeat(where, packet.account, now)


def _recover(engine: BackendState, where: RoomKey, packet: OfMember, now: int) -> None:
    engine.recover(where, packet.account, now)


def _take_seat(engine: BackendState, where: RoomKey, packet: TakeSeat, now: int) -> dict[str, Any]:
    by = _by(engine, where, packet.operator or packet.account, now)
    return {"index": engine.take_seat(where, packet.account, packet.index, by)}


def _leave_seat(engine: BackendState, where: RoomKey, packet: LeaveSeat, now: int) -> dict[str, Any]:
    by = _by(engine, where, packet.operator or packet.account, now)
    return {"index": engine.leave_seat(where, packet.account, by)}


def _change_seat(engine: BackendState, where: RoomKey, packet: ChangeSeat, now: int) -> None:
    asked = {
        "is_taken_disabled": packet.locked,
        "is_video_disabled": packet.video_off,
        "is_audio_disabled": packet.audio_off,
    }
    changes = {name: value for name, value in asked.items() if isinstance(value, bool)}
    engine.change_seat(where, packet.index, changes, _by(engine, where, packet.operator, now))


def _set_admin(engine: BackendState, where: RoomKey, packet: SetAdmin, _: int) -> None:
    engine.set_admin(where, packet.account, admin=packet.admin)


def _set_owner(engine: BackendState, where: RoomKey, packet: OfMember, now: int) -> None:
    engine.set_owner(where, packet.account, _by(engine, where, "", now))


ACTIONS: Final[dict[str, Action]] = {
    "create-room": Action(ClientRoom, _create_room, "A client creates a room."),
    "destroy-room": Action(DestroyRoom, _destroy_room, "A client dissolves a room."),
    "enter": Action(Enter, _enter, "Somebody enters a room."),
    "leave": Action(Leave, _leave, "Somebody leaves by himself."),
    "kick": Action(Kick, _kick, "A client kicks members out."),
    "heartbeat": Action(OfMember, _heartbeat, "A heartbeat comes; from now on silence counts."),
    "lose-heartbeat": Action(OfMember, _lose_heartbeat, "A member's heartbeat stops."),
    "recover": Action(OfMember, _recover, "A member's heartbeat is back, and beats by itself."),
    "take-seat": Action(TakeSeat, _take_seat, "A member takes a seat."),
    "leave-seat": Action(LeaveSeat, _leave_seat, "A member leaves his seat."),
    "change-seat": Action(ChangeSeat, _change_seat, "A seat is locked or muted."),
    "set-admin": Action(SetAdmin, _set_admin, "A member becomes an admin, or is none any more."),
    "set-owner": Action(OfMember, _set_owner, "The room is handed over to a member."),
}
"""What can be done under ``/sim/``, by the name that stands in the URL."""


def decoded(name: str, document: Any, only_app: int | None) -> PlannedAction:
    """The action *name* with its packet; *only_app* is the app of packets that name none.

    Raises ``BackendError`` for a packet that is not as described.
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
        raise BackendError(Code.NO_SDKAPPID, "there are several apps: say sdkappid")
    return PlannedAction(name=name, where=RoomKey(sdkappid, packet.room), packet=packet)


def act(engine: BackendState, planned: PlannedAction, now: int) -> dict[str, Any]:
    """Do what was planned; returns what there is to tell."""
    if planned.where.sdkappid not in engine.halls:
        raise BackendError(Code.BAD_SDKAPPID, f"{planned.where.sdkappid} is none of ours")
    return ACTIONS[planned.name].handler(engine, planned.where, planned.packet, now) or {}
