"""The heartbeats of members: arrivals, losses, recoveries and expiries."""

from __future__ import annotations

from random import Random

from roomhook.simulator.room_backend.state.room_record import Origin, RoomEntry, RoomKey, member_of
from roomhook.simulator.room_backend.state.rooms import RoomService

__all__ = ["HeartbeatService"]


class HeartbeatService:
    """The heartbeats of the members of *rooms*.

    Heartbeats are automatic until ``lose`` or ``beat`` is called. From then on each ``beat`` restarts the time until
    expiry, and ``recover`` makes them automatic again. *random* draws that time.
    """

    def __init__(self, rooms: RoomService, random: Random) -> None:
        self._rooms = rooms
        self._random = random

    def beat(self, key: RoomKey, account: str, now: int) -> None:
        """A heartbeat arrives; the time until expiry starts again."""
        entry = self._rooms.entry(key)
        member_of(entry, account)
        entry.room.recover(account, now)
        self.lose(key, account, now)

    def lose(self, key: RoomKey, account: str, now: int) -> None:
        """The heartbeat stops; the member expires after 90 to 110 s (option)."""
        entry = self._rooms.entry(key)
        member = member_of(entry, account)
        if account not in entry.room.lost:
            entry.room.lose(account, now)
            member.due = now + self._random.randint(*self._rooms.options.behaviour.heartbeat_ms)
            self._rooms.agenda.add(member.due, key, account)
            self._rooms.touch(key, "member", account)

    def recover(self, key: RoomKey, account: str, now: int) -> None:
        """The heartbeat is back and automatic again."""
        entry = self._rooms.entry(key)
        member_of(entry, account).due = 0
        entry.room.recover(account, now)
        self._rooms.touch(key, "member", account)

    def expire(self, entry: RoomEntry, account: str, now: int) -> None:
        """Remove a member whose heartbeat has been lost for too long."""
        member = entry.room.members[account]
        packet = entry.room.expire(account, self._rooms.options.expired_reason, now)
        self._rooms.note_removed(entry, (account,), now)
        self._rooms.cause_leave(entry, packet, Origin(member.client_ip, member.platform))
