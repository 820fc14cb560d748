"""A room and its members: enter, leave, kick, heartbeat, owner, dissolution; and the packets each change causes."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from roomhook.simulator.protocol.packets import CheckOutMethod, EnterPacket, LeavePacket
from roomhook.simulator.rooms.behaviour import BackendBehaviour, BulkKick, CountMoment, Dissolution, ExpiredOperator

__all__ = [
    "KICK_LIMIT",
    "REASON_LIMIT",
    "SYSTEM_ACCOUNT",
    "Member",
    "Refusal",
    "RefusedError",
    "Room",
]

KICK_LIMIT: Final = 20
"""Members in one kick (protocol.md 4, REST-KICK)."""

REASON_LIMIT: Final = 1000
"""Bytes of a kick's Reason (protocol.md 4, REST-KICK)."""

SYSTEM_ACCOUNT: Final = "@TIM#SYSTEM"
"""The operator of automatic events, from a captured packet of a sibling callback (protocol.md 3.7)."""


class Member(msgspec.Struct, gc=False):
    """Someone in a room; address and platform (OptPlatform) stay with the account."""

    account: str
    client_ip: str
    platform: str


class _HasAccount(Protocol):
    """An object with an account."""

    account: str


M = TypeVar("M", bound=_HasAccount)

_NOBODY_LOST: Final[dict[str, int]] = {}  # shared by rooms without lost heartbeats; never changed


class Refusal(StrEnum):
    """The rules of a room that a change can break."""

    GONE = "the room is dissolved"
    FULL = "the room is full"
    ALREADY_IN = "is in the room already"
    NOT_A_MEMBER = "is not in the room"
    NOT_LOST = "has not been silent for long enough"
    NO_PERMISSION = "may not do this"
    BAD_KICK = "a kick takes 1 to 20 members, each once, and a Reason of 1 to 1000 bytes"


class RefusedError(ValueError):
    """A change breaks a rule of the room, which does not change. ``refusal`` says which rule."""

    def __init__(self, refusal: Refusal, account: str = "") -> None:
        super().__init__(f"{account} {refusal}".lstrip())
        self.refusal = refusal


class Room(Generic[M]):
    """One room. Every method takes the time ``now`` in ms since the epoch; it never runs backwards within a room.

    ``members`` is in the order of entering; ``lost`` has the time (ms) since which a member's heartbeat is missing. The
    owner may be absent. MemberCount in each packet is the number of people in the room (protocol.md 3.1).
    """

    __slots__ = (
        "_counted",
        "_places",
        "admins",
        "behaviour",
        "capacity",
        "clock",
        "closing",
        "lost",
        "members",
        "owner",
        "room_id",
    )

    def __init__(self, room_id: str, owner: str, capacity: int, behaviour: BackendBehaviour) -> None:
        self.room_id = room_id
        self.owner = owner
        self.capacity = capacity
        self.behaviour = behaviour
        self.members: dict[str, M] = {}
        self.admins: frozenset[str] = frozenset()
        self.lost = _NOBODY_LOST
        self.clock = 0
        self.closing = False
        self._places = capacity
        self._counted = 1 if behaviour.member_count is CountMoment.BEFORE else 0

    def enter(self, member: M, now: int) -> EnterPacket:
        """*member* enters."""
        self.let_in(member)
        return self.entered(member.account, self._tick(now))

    def let_in(self, member: M) -> None:
        """Let *member* in without a packet; ``entered`` makes it."""
        members, account = self.members, member.account
        if account in members or len(members) >= self._places:
            raise RefusedError(*self._why_not(account))
        members[account] = member

    def entered(self, account: str, now: int) -> EnterPacket:
        """The packet about the last member to enter, at *now*, which must not be before the last event."""
        return EnterPacket(
            operator_account=account,
            room_id=self.room_id,
            member_count=len(self.members),
            member_list_account=(account,),
            event_time=now,
        )

    def check_out(self, method: CheckOutMethod, account: str, operator: str, reason: str, now: int) -> LeavePacket:
        """Remove the member by *method* at *now*, which must not be before the last event.

        The methods below add the rules of each check-out method.
        """
        members = self.members
        try:
            del members[account]
        except KeyError:
            raise RefusedError(Refusal.NOT_A_MEMBER, account) from None
        if self.lost:
            self.lost.pop(account, None)
        if account in self.admins:
            self.admins -= {account}
        return LeavePacket(
            operator_account=operator,
            room_id=self.room_id,
            member_count=len(members) + self._counted,
            type=method,
            member_list_account=(account,),
            reason=reason,
            event_time=now,
        )

    def leave(self, account: str, reason: str, now: int) -> LeavePacket:
        """The member leaves."""
        return self.check_out("Leave", account, account, reason, self._tick(now))

    def kick(self, accounts: Sequence[str], operator: str, reason: str, now: int) -> tuple[LeavePacket, ...]:
        """*operator* (the owner, an admin, or the administrator for REST) removes 1 to 20 members."""
        if not 1 <= len(set(accounts)) == len(accounts) <= KICK_LIMIT or not 1 <= len(reason.encode()) <= REASON_LIMIT:
            raise RefusedError(Refusal.BAD_KICK)
        self._must_be_allowed(operator, accounts)
        for account in accounts:
            self._must_be_in(account)
        now = self._tick(now)
        packets = [self.check_out("Kicked", account, operator, reason, now) for account in accounts]
        if self.behaviour.bulk_kick is BulkKick.EACH:
            return tuple(packets)
        count = packets[0].member_count if self._counted else packets[-1].member_count
        return (msgspec.structs.replace(packets[0], member_list_account=tuple(accounts), member_count=count),)

    def lose(self, account: str, now: int) -> None:
        """The member's heartbeat stops; the member counts as present until the expiry."""
        self._must_be_in(account)
        if not self.lost:
            self.lost = {}
        self.lost.setdefault(account, self._tick(now))

    def recover(self, account: str, now: int) -> None:
        """The member's heartbeat is back in time; there is no packet."""
        self._must_be_in(account)
        self._tick(now)
        if self.lost:
            self.lost.pop(account, None)

    def expire(self, account: str, reason: str, now: int) -> LeavePacket:
        """The member was silent for too long and is removed."""
        self._must_be_in(account)
        if now - self.lost.get(account, now) < self.behaviour.heartbeat_ms[0]:
            raise RefusedError(Refusal.NOT_LOST, account)
        return self.check_out("Expired", account, self._expired_operator(account), reason, self._tick(now))

    def promote(self, account: str) -> None:
        """Make the member an admin, who may kick."""
        self._must_be_in(account)
        self.admins |= {account}

    def hand_over(self, account: str) -> None:
        """Make the member the owner."""
        self._must_be_in(account)
        self.owner = account

    def resize(self, capacity: int) -> None:
        """Change the capacity; members stay even if there are more."""
        self.capacity = capacity
        if not self.closing:
            self._places = capacity

    def close(self) -> None:
        """Start to dissolve: nobody can enter any more, and ``evict`` empties the room."""
        self.closing = True
        self._places = 0

    def evict(self, account: str, operator: str, reason: str, now: int) -> LeavePacket | None:
        """Remove the member from the closing room; None if a dissolution sends no packets."""
        match self.behaviour.dissolution:
            case Dissolution.LEAVE:
                return self.check_out("Leave", account, account, reason, self._tick(now))
            case Dissolution.KICKED:
                return self.check_out("Kicked", account, operator, reason, self._tick(now))
            case Dissolution.NONE:
                self.check_out("Leave", account, account, reason, self._tick(now))
                return None

    def dissolve(self, operator: str, reason: str, now: int) -> tuple[LeavePacket, ...]:
        """Close the room and remove all members at once."""
        self.close()
        packets = [self.evict(account, operator, reason, now) for account in list(self.members)]
        return tuple(packet for packet in packets if packet is not None)

    def _tick(self, now: int) -> int:
        """*now*, or the last time if *now* is earlier."""
        self.clock = max(self.clock, now)
        return self.clock

    def _why_not(self, account: str) -> tuple[Refusal, str]:
        if self.closing:
            return Refusal.GONE, ""
        return (Refusal.ALREADY_IN, account) if account in self.members else (Refusal.FULL, "")

    def _expired_operator(self, account: str) -> str:
        match self.behaviour.expired_operator:
            case ExpiredOperator.MEMBER:
                return account
            case ExpiredOperator.EMPTY:
                return ""
            case ExpiredOperator.SYSTEM:
                return SYSTEM_ACCOUNT

    def _must_be_in(self, account: str) -> None:
        if account not in self.members:
            raise RefusedError(Refusal.NOT_A_MEMBER, account)

    def _must_be_allowed(self, operator: str, accounts: Sequence[str]) -> None:
        if operator == self.behaviour.administrator:
            return
        is_owner = operator == self.owner
        may_kick = operator in self.members and (is_owner or (operator in self.admins and self.owner not in accounts))
        if not may_kick or operator in accounts:
            raise RefusedError(Refusal.NO_PERMISSION, operator)
