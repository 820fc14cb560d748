"""The seats of rooms: members take and leave them, and seats are locked or muted."""

from __future__ import annotations

import msgspec

from roomhook.simulator.protocol.room_packets import SEAT_COMMAND, Seat, SeatPacket
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code
from roomhook.simulator.room_backend.state.room_record import Actor, RoomEntry, RoomKey, member_of
from roomhook.simulator.room_backend.state.rooms import RoomService

__all__ = ["SeatService"]


class SeatService:
    """The seats of *rooms*."""

    def __init__(self, rooms: RoomService) -> None:
        self._rooms = rooms

    def take_seat(self, key: RoomKey, account: str, index: int | None, actor: Actor) -> int:
        """Seat a member at *index*, or on the first free seat; returns the index."""
        entry = self._with_seats(key)
        member_of(entry, account)
        if entry.seat_of(account) is not None:
            raise BackendError(Code.ALREADY_SEATED, account)
        chosen = _free_seat(entry) if index is None else index
        seat = _seat(entry, chosen)
        if seat.is_taken_disabled:
            raise BackendError(Code.SEAT_LOCKED, str(chosen))
        if seat.member_account:
            raise BackendError(Code.SEAT_TAKEN, str(chosen))
        self._change(entry, msgspec.structs.replace(seat, member_account=account), actor)
        return chosen

    def leave_seat(self, key: RoomKey, account: str, actor: Actor) -> int:
        """Free the seat of a member; returns its index."""
        entry = self._with_seats(key)
        member_of(entry, account)
        index = entry.seat_of(account)
        if index is None:
            raise BackendError(Code.NOT_SEATED, account)
        self._change(entry, msgspec.structs.replace(entry.seat(index), member_account=""), actor)
        return index

    def change_seat(self, key: RoomKey, index: int, changes: dict[str, bool], actor: Actor) -> None:
        """Lock or mute a seat; *changes* are fields of ``Seat``. A member on a seat that gets locked keeps it."""
        entry = self._with_seats(key)
        self._change(entry, msgspec.structs.replace(_seat(entry, index), **changes), actor)

    def _with_seats(self, key: RoomKey) -> RoomEntry:
        entry = self._rooms.entry(key)
        if not entry.settings.seats_enabled:
            raise BackendError(Code.NO_PERMISSION, "IsSeatEnabled is false: this room has no seats")
        return entry

    def _change(self, entry: RoomEntry, seat: Seat, actor: Actor) -> None:
        entry.seats[seat.index] = seat
        self._rooms.touch(entry.key, "seat", str(seat.index))
        packet = SeatPacket(
            operator_account=actor.operator,
            room_id=entry.settings.room_id,
            seat_list=(seat,),
            event_time=actor.now,
        )
        self._rooms.cause(entry, SEAT_COMMAND, packet, actor.origin, actor.now)


def _seat(entry: RoomEntry, index: int) -> Seat:
    if not 0 <= index < entry.settings.max_seats:
        raise BackendError(Code.BAD_PARAMETER, f"Index: the seats are 0 to {entry.settings.max_seats - 1}")
    return entry.seat(index)


def _free_seat(entry: RoomEntry) -> int:
    for index in range(entry.settings.max_seats):
        seat = entry.seat(index)
        if not seat.member_account and not seat.is_taken_disabled:
            return index
    raise BackendError(Code.ALL_SEATS_TAKEN)
