"""The members of rooms: enter, leave, kick, and permissions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from roomhook.simulator.protocol.packets import ENTER_COMMAND
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code
from roomhook.simulator.room_backend.state.heartbeats import HeartbeatService
from roomhook.simulator.room_backend.state.room_record import (
    Actor,
    MemberRecord,
    Origin,
    RoomEntry,
    RoomKey,
    RoomMember,
    member_of,
)
from roomhook.simulator.room_backend.state.rooms import RoomService
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


class MemberService:
    """The members of *rooms*."""

    def __init__(self, rooms: RoomService, heartbeats: HeartbeatService) -> None:
        self._rooms = rooms
        self._heartbeats = heartbeats
        self._entered = 0

    def enter(self, key: RoomKey, account: str, origin: Origin, now: int, name_card: str = "") -> None:
        """Let *account* in; a member with a lost heartbeat recovers."""
        entry = self._rooms.entry(key)
        if account in entry.room.lost:
            self._heartbeats.recover(key, account, now)
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
        self._rooms.note_removed(entry, (account,), now)
        self._rooms.cause_leave(entry, packet, origin or Origin(member.client_ip, member.platform))

    def kick(self, key: RoomKey, accounts: Sequence[str], reason: str, actor: Actor) -> None:
        """Remove 1 to 20 members, all of them or none."""
        entry = self._rooms.entry(key)
        try:
            packets = entry.room.kick(accounts, actor.operator, reason, actor.now)
        except RefusedError as error:
            raise _refused(error) from None
        self._rooms.note_removed(entry, accounts, actor.now)
        for packet in packets:
            self._rooms.cause_leave(entry, packet, actor.origin)

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


def _refused(error: RefusedError) -> BackendError:
    return BackendError(_CODES[error.refusal], str(error))
