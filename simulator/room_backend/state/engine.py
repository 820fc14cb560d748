"""The whole mock Room backend as a pure value: rooms, people and seats; and its state, out and in again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from roomhook.simulator.protocol.room_packets import SEAT_COMMAND, FamilyPacket, Seat, SeatPacket
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code
from roomhook.simulator.room_backend.state.members import MemberService
from roomhook.simulator.room_backend.state.options import EmptySeat
from roomhook.simulator.room_backend.state.room_record import (
    Actor,
    GuestRecord,
    RoomEntry,
    RoomKey,
    RoomMember,
    RoomRecord,
)
from roomhook.simulator.room_backend.state.rooms import CallbackConfig, Key

__all__ = ["BackendState"]


class BackendState(MemberService):
    """Adds seats, and the state as pairs of key and JSON."""

    def take_seat(self, where: RoomKey, account: str, index: int | None, by: Actor) -> int:
        """Seat a member on the seat number *index*, or on the first free one; returns the number."""
        hall = self._with_seats(where)
        self.guest(hall, account)
        if hall.seat_of(account) is not None:
            raise BackendError(Code.ALREADY_SEATED, account)
        number = self._free_seat(hall) if index is None else index
        seat = self._seat(hall, number)
        if seat.is_taken_disabled:
            raise BackendError(Code.SEAT_LOCKED, str(number))
        if seat.member_account:
            raise BackendError(Code.SEAT_TAKEN, str(number))
        self._change(hall, msgspec.structs.replace(seat, member_account=account), by)
        return number

    def leave_seat(self, where: RoomKey, account: str, by: Actor) -> int:
        """Take a member off his seat, by himself or by somebody else; returns the seat's number."""
        hall = self._with_seats(where)
        self.guest(hall, account)
        number = hall.seat_of(account)
        if number is None:
            raise BackendError(Code.NOT_SEATED, account)
        self._change(hall, msgspec.structs.replace(hall.seat(number), member_account=""), by)
        return number

    def change_seat(self, where: RoomKey, index: int, changes: dict[str, bool], by: Actor) -> None:
        """Lock or mute a seat; *changes* are fields of ``Seat``. Who sits on a seat that gets locked keeps it."""
        hall = self._with_seats(where)
        seat = self._seat(hall, index)
        self._change(hall, msgspec.structs.replace(seat, **changes), by)

    def body(self, packet: FamilyPacket) -> bytes:
        """The bytes of a packet; an empty seat has no Member_Account if that is this backend's habit."""
        if isinstance(packet, SeatPacket) and self.habits.empty_seat is EmptySeat.ABSENT:
            document: dict[str, Any] = msgspec.to_builtins(packet)
            for seat in document["SeatList"]:
                if not seat["Member_Account"]:
                    del seat["Member_Account"]
            return msgspec.json.encode(document)
        return super().body(packet)

    def _with_seats(self, where: RoomKey) -> RoomEntry:
        hall = self.hall(where)
        if not hall.record.seats_enabled:
            raise BackendError(Code.NO_PERMISSION, "IsSeatEnabled is false: this room has no seats")
        return hall

    def _seat(self, hall: RoomEntry, index: int) -> Seat:
        if not 0 <= index < hall.record.max_seats:
            raise BackendError(Code.BAD_PARAMETER, f"Index: there are seats 0 to {hall.record.max_seats - 1}")
        return hall.seat(index)

    def _free_seat(self, hall: RoomEntry) -> int:
        for number in range(hall.record.max_seats):
            seat = hall.seat(number)
            if not seat.member_account and not seat.is_taken_disabled:
                return number
        raise BackendError(Code.ALL_SEATS_TAKEN)

    def _change(self, hall: RoomEntry, seat: Seat, by: Actor) -> None:
        hall.seats[seat.index] = seat
        self.touch(Key(*hall.where, "seat", str(seat.index)))
        packet = SeatPacket(
            operator_account=by.operator, room_id=hall.record.room_id, seat_list=(seat,), event_time=by.now
        )
        self.cause(hall, SEAT_COMMAND, packet, by.via, by.now)

    # State

    def state(self, key: Key) -> bytes | None:
        """The JSON that is to be stored under *key*; None if there is nothing any more."""
        if key.kind == "callback":
            config = self.configs.get(key.sdkappid)
            return None if config is None else msgspec.json.encode(config)
        hall = self.halls[key.sdkappid].get(key.room_id)
        if hall is None:
            return None
        if key.kind == "room":
            return msgspec.json.encode(hall.record)
        if key.kind == "member":
            return msgspec.json.encode(hall.guest_record(key.name)) if key.name in hall.room.members else None
        seat = hall.seats.get(int(key.name))
        return None if seat is None else msgspec.json.encode(seat)

    def restore(self, stored: Iterable[tuple[Key, bytes]]) -> None:
        """Put back what was stored; apps that are no longer known are left out."""
        known = [(key, value) for key, value in stored if key.sdkappid in self.halls]
        for key, value in known:
            if key.kind == "callback":
                self.configs[key.sdkappid] = msgspec.json.decode(value, type=CallbackConfig)
            elif key.kind == "room":
                record = msgspec.json.decode(value, type=RoomRecord)
                hall = self.halls[key.sdkappid][key.room_id] = RoomEntry.of(key.sdkappid, record, self.habits.dialect)
                if record.empty_due:
                    self.plan(record.empty_due, hall, "")
        guests = [(msgspec.json.decode(value, type=GuestRecord), key) for key, value in known if key.kind == "member"]
        for guest, key in sorted(guests, key=lambda pair: pair[0].entered):
            self._restore_guest(self.halls[key.sdkappid][key.room_id], key.name, guest)
        for key, value in known:
            if key.kind == "seat":
                seat = msgspec.json.decode(value, type=Seat)
                self.halls[key.sdkappid][key.room_id].seats[seat.index] = seat

    def _restore_guest(self, hall: RoomEntry, account: str, record: GuestRecord) -> None:
        hall.room.members[account] = RoomMember(account, record.client_ip, record.platform, record.name_card)
        hall.entered[account] = record.entered
        self._entered = max(self._entered, record.entered)
        if record.admin:
            hall.room.promote(account)
        if record.due:
            hall.room.lose(account, record.lost)
            hall.due[account] = record.due
            self.plan(record.due, hall, account)
