"""Broken App backends that lose members to an unusual order, time or list; each shows to a probe of the rooms only."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from itertools import takewhile
from typing import Any, Final

from roomhook.contract_tests.app_backends.broken.registry import breaks
from roomhook.contract_tests.app_backends.reference.backend import (
    IncomingCallback,
    MemberEvent,
    ReferenceBackend,
    RefusedCallback,
)

__all__: list[str] = []

_LONGEST_LIST: Final = 15


@breaks("effect.second-leave")
class _OncePerAccount(ReferenceBackend):
    """Recognises repeats by room and accounts alone, so that who came back never leaves again."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: set[tuple[str, ...]] = set()

    def leave(self, event: MemberEvent) -> None:
        key = (event.room_id, *event.member_list_account)
        if key not in self.seen:
            self.seen.add(key)
            super().leave(event)


@breaks("effect.late-enter")
class _NoTombstones(ReferenceBackend):
    """Deletes the row of who leaves, and with it the time of the leave."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entered: dict[tuple[str, str], int] = {}

    def enter(self, event: MemberEvent) -> None:
        for account in event.member_list_account:
            key = (event.room_id, account)
            self.entered[key] = max(event.event_time, self.entered.get(key, 0))

    def leave(self, event: MemberEvent) -> None:
        for account in event.member_list_account:
            key = (event.room_id, account)
            if self.entered.get(key, event.event_time) <= event.event_time:
                self.entered.pop(key, None)

    def members(self, room: str) -> list[str]:
        return sorted(account for where, account in self.entered if where == room)


@breaks("effect.same-second")
class _Seconds(ReferenceBackend):
    """Cuts EventTime to seconds."""

    async def apply(self, event: MemberEvent) -> None:
        event.event_time = event.event_time // 1000 * 1000
        await super().apply(event)


@breaks("effect.same-time")
class _TimeIsTheKey(ReferenceBackend):
    """Takes RoomId and EventTime for the key of a leave, and a second leave with the same for a repeat."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.times: set[tuple[str, int]] = set()

    def leave(self, event: MemberEvent) -> None:
        key = event.room_id, event.event_time
        if key not in self.times:
            self.times.add(key)
            super().leave(event)


@breaks("effect.reconnect")
class _Sessions(ReferenceBackend):
    """Counts each member's sessions, and a reconnect begins another."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sessions: Counter[tuple[str, str]] = Counter()
        self.left: dict[tuple[str, str], int] = {}

    def enter(self, event: MemberEvent) -> None:
        for account in event.member_list_account:
            if event.event_time > self.left.get((event.room_id, account), 0):
                self.sessions[event.room_id, account] += 1

    def leave(self, event: MemberEvent) -> None:
        for account in event.member_list_account:
            key = (event.room_id, account)
            if event.event_time > self.left.get(key, 0):
                self.left[key] = event.event_time
                self.sessions[key] = max(0, self.sessions[key] - 1)

    def members(self, room: str) -> list[str]:
        return sorted(account for (where, account), count in self.sessions.items() if where == room and count)


@breaks("effect.repeated-account")
class _Toggles(ReferenceBackend):
    """Lets an account back in when it comes to it again in the same list."""

    def leave(self, event: MemberEvent) -> None:
        super().leave(event)
        again = [account for account, count in Counter(event.member_list_account).items() if count > 1]
        self.presence.enter(event.room_id, again, event.event_time + 1)


@breaks("effect.unknown-account")
class _StopsAtStrangers(ReferenceBackend):
    """Stops a list of accounts at the first that is not in the room."""

    def leave(self, event: MemberEvent) -> None:
        if len(event.member_list_account) > 1:
            inside = set(self.members(event.room_id))
            event.member_list_account = list(takewhile(inside.__contains__, event.member_list_account))
        super().leave(event)


@breaks("effect.kick-twenty")
class _FirstFifteen(ReferenceBackend):
    """Removes the first fifteen accounts of a list."""

    def leave(self, event: MemberEvent) -> None:
        event.member_list_account = event.member_list_account[:_LONGEST_LIST]
        super().leave(event)


@breaks("effect.count")
class _EmptiesAtZero(ReferenceBackend):
    """Empties the room when MemberCount is 0."""

    def leave(self, event: MemberEvent) -> None:
        if event.member_count == 0:
            event.member_list_account += self.members(event.room_id)
        super().leave(event)


@breaks("effect.two-rooms")
class _LeavesEverywhere(ReferenceBackend):
    """Takes whoever leaves one room out of all the rooms that they are in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rooms: dict[str, set[str]] = {}

    def enter(self, event: MemberEvent) -> None:
        super().enter(event)
        for account in event.member_list_account:
            self.rooms.setdefault(account, set()).add(event.room_id)

    def leave(self, event: MemberEvent) -> None:
        super().leave(event)
        for account in event.member_list_account:
            for room in self.rooms.get(account, ()):
                self.presence.leave(room, [account], event.event_time)


@breaks("effect.combined")
class _ReasonsForKicks(ReferenceBackend):
    """Takes nobody out who was kicked without a Reason."""

    def leave(self, event: MemberEvent) -> None:
        if event.type != "Kicked" or event.reason:
            super().leave(event)


@breaks("effect.command")
class _EveryListLeaves(ReferenceBackend):
    """Takes every command that lists members, and is no enter, for a leave."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        event = super().read(callback)
        if event is None:
            with suppress(RefusedCallback):
                event = self.parse(callback.body.replace(b'"RoomId"', b'"Type":"Leave","RoomId"', 1), MemberEvent)
        return event
