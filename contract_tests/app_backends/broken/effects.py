"""Broken App backends that acknowledge and then do the wrong thing; each shows to a probe of the rooms only."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote_plus

from starlette.responses import Response

from roomhook.contract_tests.app_backends.broken.registry import breaks
from roomhook.contract_tests.app_backends.reference.backend import (
    IncomingCallback,
    MemberEvent,
    ReferenceBackend,
    RefusedCallback,
)
from roomhook.simulator.protocol.packets import ENTER_COMMAND, LEAVE_COMMAND

__all__: list[str] = []

_WRITE_S: Final = 0.03
"""How long a write to a database takes where the defect lies in what happens meanwhile."""


def _ignoring(requirement: str, method: str) -> None:
    class Backend(ReferenceBackend):
        def leave(self, event: MemberEvent) -> None:
            if event.type != method:
                super().leave(event)

    Backend.__doc__ = f"Acknowledges the check-out method {method} and does nothing."
    breaks(requirement)(Backend)


_ignoring("effect.leave", "Leave")
_ignoring("effect.kicked", "Kicked")
_ignoring("effect.expired", "Expired")


@breaks("effect.all-members")
class _FirstOnly(ReferenceBackend):
    """Takes only the first account of MemberList_Account out of the room."""

    def leave(self, event: MemberEvent) -> None:
        event.member_list_account = event.member_list_account[:1]
        super().leave(event)


@breaks("effect.app-id")
class _ActsFirst(ReferenceBackend):
    """Acts on a callback before it looks whose it is, and then refuses it."""

    async def handle(self, callback: IncomingCallback) -> Response:
        if callback.values("SdkAppid") != [self.sdkappid]:
            with suppress(RefusedCallback):
                event = self.read(callback)
                if event is not None:
                    await self.apply(event)
        return await super().handle(callback)


@breaks("effect.sign")
class _VerifiesLast(ReferenceBackend):
    """Verifies Sign when the event is in the database, and then refuses the callback."""

    async def handle(self, callback: IncomingCallback) -> Response:
        with suppress(RefusedCallback):
            self.check_app_id(callback)
            event = self.read(callback)
            if event is not None:
                await self.apply(event)
        return await super().handle(callback)


@breaks("effect.bad-input")
class _Salvage(ReferenceBackend):
    """Takes the accounts that it can find in a malformed leave packet out of the room, and then refuses it."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        try:
            return super().read(callback)
        except RefusedCallback:
            self._salvage(callback.body)
            raise

    def _salvage(self, body: bytes) -> None:
        room = re.search(rb'"RoomId":\s*"([^"]*)"', body)
        accounts = re.search(rb'"MemberList_Account":\s*\[([^]]*)', body)
        if room and accounts and LEAVE_COMMAND.encode() in body:
            listed = [one.decode(errors="replace") for one in re.findall(rb'"([^"]*)"', accounts[1])]
            self.presence.leave(room[1].decode(errors="replace"), listed, int(self.clock() * 1000) + 1000)


@breaks("effect.duplicate")
class _Toggle(ReferenceBackend):
    """Takes the second copy of a leave for its undoing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: set[tuple[str, str, int]] = set()

    def leave(self, event: MemberEvent) -> None:
        super().leave(event)
        for account in event.member_list_account:
            key = (event.room_id, account, event.event_time)
            if key in self.seen:
                self.presence.enter(event.room_id, [account], event.event_time + 1)
            self.seen.add(key)


@breaks("effect.duplicate-parallel")
class _LostUpdate(ReferenceBackend):
    """Counts each member's sessions, and copies of a leave that come at once all take the last one away."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sessions: Counter[tuple[str, str]] = Counter()
        self.latest: dict[tuple[str, str], int] = {}

    async def apply(self, event: MemberEvent) -> None:
        entering = event.callback_command == ENTER_COMMAND
        keys = [(event.room_id, account) for account in dict.fromkeys(event.member_list_account)]
        current = [key for key in keys if self.latest.get(key, 0) <= event.event_time]
        due = [key for key in current if (self.sessions[key] > 0) != entering]
        if not entering:
            await asyncio.sleep(_WRITE_S)
        for key in due:
            self.sessions[key] += 1 if entering else -1
        self.latest.update(dict.fromkeys(current, event.event_time))

    def members(self, room: str) -> list[str]:
        return sorted(account for (where, account), count in self.sessions.items() if where == room and count)


@breaks("effect.other-room")
class _ByAccount(ReferenceBackend):
    """Takes whoever leaves a room out of the rooms entered later as well."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entered: dict[str, str] = {}

    def enter(self, event: MemberEvent) -> None:
        super().enter(event)
        self.entered |= dict.fromkeys(event.member_list_account, event.room_id)

    def leave(self, event: MemberEvent) -> None:
        super().leave(event)
        for account in event.member_list_account:
            last = self.entered.get(account, event.room_id)
            if last != event.room_id:
                self.presence.leave(last, [account], int(self.clock() * 1000))


@breaks("effect.punctuation")
class _Unquoting(ReferenceBackend):
    """Decodes RoomId as if it came from a form."""

    async def apply(self, event: MemberEvent) -> None:
        event.room_id = unquote_plus(event.room_id)
        await super().apply(event)


@breaks("effect.rejoin")
class _InOrderOfArrival(ReferenceBackend):
    """Goes by the order of arrival and never looks at EventTime."""

    arrivals = 0

    async def apply(self, event: MemberEvent) -> None:
        self.arrivals += 1
        event.event_time = self.arrivals
        await super().apply(event)
