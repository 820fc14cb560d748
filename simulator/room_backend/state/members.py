"""The members of rooms: enter, leave, kick, lost heartbeats and their expiry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

import msgspec

from roomhook.simulator.protocol.packets import ENTER_COMMAND
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code
from roomhook.simulator.room_backend.state.room_record import (
    Actor,
    MemberRecord,
    Origin,
    RoomEntry,
    RoomKey,
    RoomMember,
)
from roomhook.simulator.room_backend.state.rooms import RoomService
from roomhook.simulator.rooms.room import Refusal, RefusedError

__all__ = ["MemberService", "member_of"]

_CODES: Final[Mapping[Refusal, Code]] = {
    Refusal.GONE: Code.NO_ROOM,
    Refusal.FULL: Code.ROOM_FULL,
    Refusal.ALREADY_IN: Code.CONFLICT,
    Refusal.NOT_A_MEMBER: Code.NOT_A_MEMBER,
    Refusal.NOT_LOST: Code.CONFLICT,
    Refusal.NO_PERMISSION: Code.NO_PERMISSION,
    Refusal.BAD_KICK: Code.BAD_PARAMETER,
}


class MemberService:
    """The members of *rooms*.

    Heartbeats arrive by themselves until ``lose_heartbeat`` or ``heartbeat`` is called: from then on each ``heartbeat``
    restarts the time until expiry, and ``recover`` ends it. *random* draws that time.
    """

    def __init__(self, rooms: RoomService, random: Random) -> None:
        self._rooms = rooms
        self._random = random
        self._entered = 0

    def enter(self, key: RoomKey, account: str, origin: Origin, now: int, name_card: str = "") -> None:
        """Let *account* in; a member with a lost heartbeat recovers."""
        entry = self._rooms.entry(key)
        if account in entry.room.lost:
            self.recover(key, account, now)
            return
        member = RoomMember(account, origin.client_ip, origin.platform, name_card, self._entered + 1)
        try:
            packet = entry.room.enter(member, now)
        except RefusedError as error:
            raise _refused(error) from None
        self._entered += 1
        if entry.settings.empty_due:
            entry.settings.empty_due = 0
            self._rooms.touch(key)
        self._rooms.touch(key, "member", account)
        self._rooms.cause(entry, ENTER_COMMAND, packet, origin, packet.event_time)

    def leave(self, key: RoomKey, account: str, reason: str, origin: Origin | None, now: int) -> None:
        """*account* leaves; *origin* defaults to the address and platform with which they entered."""
        entry = self._rooms.entry(key)
        member = member_of(entry, account)
        packet = entry.room.leave(account, reason, now)
        self._removed(entry, (account,), now)
        self._rooms.cause_leave(entry, packet, origin or Origin(member.client_ip, member.platform))

    def kick(self, key: RoomKey, accounts: Sequence[str], reason: str, actor: Actor) -> None:
        """Remove 1 to 20 members, all of them or none."""
        entry = self._rooms.entry(key)
        try:
            packets = entry.room.kick(accounts, actor.operator, reason, actor.now)
        except RefusedError as error:
            raise _refused(error) from None
        self._removed(entry, accounts, actor.now)
        for packet in packets:
            self._rooms.cause_leave(entry, packet, actor.origin)

    def heartbeat(self, key: RoomKey, account: str, now: int) -> None:
        """A heartbeat arrives; the time until expiry starts again."""
        entry = self._rooms.entry(key)
        member_of(entry, account)
        entry.room.recover(account, now)
        self.lose_heartbeat(key, account, now)

    def lose_heartbeat(self, key: RoomKey, account: str, now: int) -> None:
        """The heartbeat stops; the member expires after 90 to 110 s (option)."""
        entry = self._rooms.entry(key)
        member = member_of(entry, account)
        if account not in entry.room.lost:
            entry.room.lose(account, now)
            member.due = now + self._random.randint(*self._rooms.options.behaviour.heartbeat_ms)
            self._rooms.agenda.add(member.due, key, account)
            self._rooms.touch(key, "member", account)

    def recover(self, key: RoomKey, account: str, now: int) -> None:
        """The heartbeat is back and continues by itself."""
        entry = self._rooms.entry(key)
        member_of(entry, account).due = 0
        entry.room.recover(account, now)
        self._rooms.touch(key, "member", account)

    def set_admin(self, key: RoomKey, account: str, *, admin: bool) -> None:
        """Make a member an admin, who may kick, or an ordinary member again."""
        entry = self._rooms.entry(key)
        member_of(entry, account)
        if admin:
            entry.room.promote(account)
        else:
            entry.room.admins -= {account}
        self._rooms.touch(key, "member", account)

    def set_owner(self, key: RoomKey, account: str, actor: Actor) -> None:
        """Make a member the owner, which causes the update callback."""
        entry = self._rooms.entry(key)
        member_of(entry, account)
        entry.room.hand_over(account)
        self._rooms.touch(key)
        self._rooms.cause_update(entry, actor)

    def expire(self, entry: RoomEntry, account: str, now: int) -> None:
        """Remove a member whose heartbeat has been lost for too long."""
        member = entry.room.members[account]
        packet = entry.room.expire(account, self._rooms.options.expired_reason, now)
        self._removed(entry, (account,), now)
        self._rooms.cause_leave(entry, packet, Origin(member.client_ip, member.platform))

    def restore(self, entry: RoomEntry, account: str, record: MemberRecord) -> None:
        """Put a stored member back; members of a room come in the order of ``entered``."""
        entry.room.members[account] = RoomMember(
            account, record.client_ip, record.platform, record.name_card, record.entered, record.due
        )
        self._entered = max(self._entered, record.entered)
        if record.admin:
            entry.room.promote(account)
        if record.due:
            entry.room.lose(account, record.lost)
            self._rooms.agenda.add(record.due, entry.key, account)

    def _removed(self, entry: RoomEntry, accounts: Sequence[str], now: int) -> None:
        """Free the seats of removed members; an empty room may be due."""
        for account in accounts:
            self._rooms.touch(entry.key, "member", account)
            index = entry.seat_of(account) if entry.seats else None
            if index is not None:
                entry.seats[index] = msgspec.structs.replace(entry.seats[index], member_account="")
                self._rooms.touch(entry.key, "seat", str(index))
        self._rooms.note_empty(entry, now)


def member_of(entry: RoomEntry, account: str) -> RoomMember:
    """The member; raises ``BackendError`` (100005) if *account* is not in the room."""
    found = entry.room.members.get(account)
    if found is None:
        raise BackendError(Code.NOT_A_MEMBER, account)
    return found


def _refused(error: RefusedError) -> BackendError:
    return BackendError(_CODES[error.refusal], str(error))
