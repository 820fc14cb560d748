"""Who is in the rooms of the mock Room backend: enter, leave, kick, heartbeats that stop, and what is due when."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from roomhook.simulator.protocol.packets import ENTER_COMMAND
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code
from roomhook.simulator.room_backend.state.room_record import Actor, Origin, RoomEntry, RoomKey, RoomMember
from roomhook.simulator.room_backend.state.rooms import Key, RoomService
from roomhook.simulator.rooms.room import Refusal, RefusedError

__all__ = ["MemberService"]

_CODES: Final[Mapping[Refusal, Code]] = {
    Refusal.GONE: Code.NO_ROOM,
    Refusal.FULL: Code.ROOM_FULL,
    Refusal.ALREADY_IN: Code.CONFLICT,
    Refusal.NOT_A_MEMBER: Code.NOT_A_MEMBER,
    Refusal.NOT_LOST: Code.CONFLICT,
    Refusal.NO_PERMISSION: Code.NO_PERMISSION,
    Refusal.BAD_KICK: Code.BAD_PARAMETER,
}
_SPARE: Final = 1024
"""Outdated entries that the agenda may hold before it is cleared of them."""


class MemberService(RoomService):
    """Adds people to the rooms.

    A member's heart beats by itself until ``lose_heartbeat`` or ``heartbeat`` is called: from then on the silence
    counts, each ``heartbeat`` starts it anew, and ``recover`` ends it. What is due at a moment happens in ``run_due``.
    """

    _entered = 0

    def enter(self, where: RoomKey, account: str, via: Origin, now: int, name_card: str = "") -> None:
        """Let *account* in; somebody who is there and whose heartbeat is missing just comes back."""
        hall = self.hall(where)
        if account in hall.room.lost:
            self.recover(where, account, now)
            return
        try:
            packet = hall.room.enter(RoomMember(account, via.client_ip, via.platform, name_card), now)
        except RefusedError as error:
            raise _refused(error) from None
        self._entered += 1
        hall.entered[account] = self._entered
        if hall.record.empty_due:
            hall.record.empty_due = 0
            self.touch(Key(*where, "room", ""))
        self.touch(Key(*where, "member", account))
        self.cause(hall, ENTER_COMMAND, packet, via, packet.event_time)

    def leave(self, where: RoomKey, account: str, reason: str, via: Origin | None, now: int) -> None:
        """*account* goes by himself."""
        hall = self.hall(where)
        guest = self.guest(hall, account)
        packet = hall.room.leave(account, reason, now)
        self._gone(hall, (account,), now)
        self.cause_leave(hall, packet, via or Origin(guest.client_ip, guest.platform))

    def kick(self, where: RoomKey, accounts: Sequence[str], reason: str, by: Actor) -> None:
        """1 to 20 members are put out, all of them or none."""
        hall = self.hall(where)
        try:
            packets = hall.room.kick(accounts, by.operator, reason, by.now)
        except RefusedError as error:
            raise _refused(error) from None
        self._gone(hall, accounts, by.now)
        for packet in packets:
            self.cause_leave(hall, packet, by.via)

    def heartbeat(self, where: RoomKey, account: str, now: int) -> None:
        """A heartbeat has come; from now on silence counts."""
        hall = self.hall(where)
        self.guest(hall, account)
        hall.room.recover(account, now)
        self.lose_heartbeat(where, account, now)

    def lose_heartbeat(self, where: RoomKey, account: str, now: int) -> None:
        """The heartbeat stops; the member is out when it has been missing for too long (90 to 110 s)."""
        hall = self.hall(where)
        self.guest(hall, account)
        if account not in hall.room.lost:
            hall.room.lose(account, now)
            hall.due[account] = now + self.random.randint(*self.habits.dialect.heartbeat_ms)
            self.plan(hall.due[account], hall, account)
            self.touch(Key(*where, "member", account))

    def recover(self, where: RoomKey, account: str, now: int) -> None:
        """The heartbeat is back, and beats by itself."""
        hall = self.hall(where)
        self.guest(hall, account)
        hall.room.recover(account, now)
        hall.due.pop(account, None)
        self.touch(Key(*where, "member", account))

    def set_admin(self, where: RoomKey, account: str, *, admin: bool) -> None:
        """Make a member an admin, who may kick, or take that from him."""
        hall = self.hall(where)
        self.guest(hall, account)
        if admin:
            hall.room.promote(account)
        else:
            hall.room.admins -= {account}
        self.touch(Key(*where, "member", account))

    def set_owner(self, where: RoomKey, account: str, by: Actor) -> None:
        """Hand the room over to a member; the update callback tells of it."""
        hall = self.hall(where)
        self.guest(hall, account)
        hall.room.hand_over(account)
        hall.record.owner = account
        self.touch(Key(*where, "room", ""))
        self._updated(hall, by)

    def next_due(self) -> int | None:
        """When (ms) something is due next."""
        while self.agenda and self._outdated(self.agenda[0]):
            heapq.heappop(self.agenda)
        return self.agenda[0][0] if self.agenda else None

    def run_due(self, now: int) -> None:
        """Make happen what is due until *now*, each at its own moment."""
        while (due := self.next_due()) is not None and due <= now:
            _, _, sdkappid, room_id, account = heapq.heappop(self.agenda)
            hall = self.halls[sdkappid][room_id]
            if account:
                self._expire(hall, account, due)
            else:
                self.destroy_empty(hall, due)

    def guest(self, hall: RoomEntry, account: str) -> RoomMember:
        """The member; raises ``BackendError`` (100005) if he is not in the room."""
        found = hall.room.members.get(account)
        if found is None:
            raise BackendError(Code.NOT_A_MEMBER, account)
        return found

    def plan(self, due: int, hall: RoomEntry, account: str) -> None:
        """As in ``RoomService``; also removes outdated entries, so the agenda does not grow with every heartbeat."""
        super().plan(due, hall, account)
        if len(self.agenda) > 2 * self._planned + _SPARE:
            self.agenda = [entry for entry in self.agenda if not self._outdated(entry)]
            heapq.heapify(self.agenda)
            self._planned = len(self.agenda)

    _planned = 0

    def _outdated(self, entry: tuple[int, int, int, str, str]) -> bool:
        due, _, sdkappid, room_id, account = entry
        hall = self.halls[sdkappid].get(room_id)
        return hall is None or (hall.due.get(account) if account else hall.record.empty_due) != due

    def _expire(self, hall: RoomEntry, account: str, now: int) -> None:
        guest = hall.room.members[account]
        packet = hall.room.expire(account, self.habits.expired_reason, now)
        self._gone(hall, (account,), now)
        self.cause_leave(hall, packet, Origin(guest.client_ip, guest.platform))

    def _gone(self, hall: RoomEntry, accounts: Sequence[str], now: int) -> None:
        """What else changes when people go: their heartbeats, their seats, perhaps the room."""
        for account in accounts:
            hall.due.pop(account, None)
            hall.entered.pop(account, None)
            self.touch(Key(*hall.where, "member", account))
            index = hall.seat_of(account) if hall.seats else None
            if index is not None:
                hall.seats[index] = msgspec.structs.replace(hall.seats[index], member_account="")
                self.touch(Key(*hall.where, "seat", str(index)))
        self.emptied(hall, now)


def _refused(error: RefusedError) -> BackendError:
    return BackendError(_CODES[error.refusal], str(error))
