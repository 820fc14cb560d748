"""Broken App backends that lose members to company or to a value; each shows to a probe of the rooms only."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any, Final

from starlette.responses import Response

from roomhook.contract_tests.app_backends.broken.registry import breaks
from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, MemberEvent, ReferenceBackend
from roomhook.simulator.protocol.packets import ENTER_COMMAND, LEAVE_COMMAND

__all__: list[str] = []

_WRITE_S: Final = 0.01
"""How long a write to a database takes where the defect lies in what happens meanwhile."""
_QUEUE: Final = 150
_ACCOUNT_COLUMN: Final = 24
_ROOM_COLUMN: Final = 32


class _Documents(ReferenceBackend):
    """Keeps a document a room: account to EventTime and whether inside."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rooms: dict[str, dict[str, tuple[int, bool]]] = {}

    async def apply(self, event: MemberEvent) -> None:
        entering = event.callback_command == ENTER_COMMAND
        document = dict(self.rooms.get(event.room_id, {}))
        if self.awaits(entering):
            await asyncio.sleep(_WRITE_S)
        else:
            document = dict(self.rooms.get(event.room_id, {}))
        for account in event.member_list_account:
            known = document.get(account)
            if known is None or (event.event_time, not entering) > (known[0], not known[1]):
                document[account] = event.event_time, entering
        self.rooms[event.room_id] = document

    def awaits(self, entering: bool) -> bool:
        """Whether others may write between reading and writing."""
        raise NotImplementedError

    def members(self, room: str) -> list[str]:
        return sorted(account for account, (_, inside) in self.rooms.get(room, {}).items() if inside)


@breaks("effect.parallel-leaves")
class _LostLeaves(_Documents):
    """Reads the room, waits, and writes it back with a leave, over what others have written."""

    def awaits(self, entering: bool) -> bool:
        return not entering


@breaks("effect.parallel-enter")
class _LostToEnters(_Documents):
    """Reads the room, waits, and writes it back with an enter, over what others have written."""

    def awaits(self, entering: bool) -> bool:
        return entering


@breaks("effect.burst")
class _FullQueue(ReferenceBackend):
    """Acknowledges a room's leaves beyond 150 and drops them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queued: Counter[str] = Counter()

    def leave(self, event: MemberEvent) -> None:
        self.queued[event.room_id] += 1
        if self.queued[event.room_id] <= _QUEUE:
            super().leave(event)


@breaks("effect.accounts-apart")
class _NarrowAccounts(ReferenceBackend):
    """Cuts accounts to 24 characters."""

    async def apply(self, event: MemberEvent) -> None:
        event.member_list_account = [account[:_ACCOUNT_COLUMN] for account in event.member_list_account]
        await super().apply(event)


@breaks("effect.accounts-apart.signs")
class _Like(ReferenceBackend):
    """Compares accounts by SQL LIKE."""

    def leave(self, event: MemberEvent) -> None:
        patterns = [re.escape(one).replace("_", ".").replace("%", ".*") for one in event.member_list_account]
        alike = re.compile("|".join(patterns))
        event.member_list_account += [one for one in self.members(event.room_id) if alike.fullmatch(one)]
        super().leave(event)


@breaks("effect.accounts-apart.folded")
class _LowerAccounts(ReferenceBackend):
    """Lowers the case of accounts."""

    async def apply(self, event: MemberEvent) -> None:
        event.member_list_account = [account.lower() for account in event.member_list_account]
        await super().apply(event)


class _ChangedRooms(ReferenceBackend):
    """Keeps rooms under another name, the same when they are looked up."""

    def key(self, room: str) -> str:
        """The name for *room*."""
        raise NotImplementedError

    async def apply(self, event: MemberEvent) -> None:
        event.room_id = self.key(event.room_id)
        await super().apply(event)

    def members(self, room: str) -> list[str]:
        return super().members(self.key(room))


@breaks("effect.rooms-apart")
class _NarrowRooms(_ChangedRooms):
    """Cuts RoomIds to 32 characters."""

    def key(self, room: str) -> str:
        return room[:_ROOM_COLUMN]


@breaks("effect.rooms-apart.signs")
class _StrippedRooms(_ChangedRooms):
    """Strips hyphens from RoomIds."""

    def key(self, room: str) -> str:
        return room.replace("-", "")


@breaks("effect.rooms-apart.folded")
class _LowerRooms(_ChangedRooms):
    """Lowers the case of RoomIds."""

    def key(self, room: str) -> str:
        return room.lower()


class _Drops(ReferenceBackend):
    """Acknowledges some leaves and drops them."""

    def drops(self, callback: IncomingCallback) -> bool:
        """Whether *callback* is one of them."""
        raise NotImplementedError

    async def handle(self, callback: IncomingCallback) -> Response:
        if LEAVE_COMMAND.encode() in callback.body and self.drops(callback):
            self.check_url(callback)
            self.read(callback)
            return self.acknowledge()
        return await super().handle(callback)


@breaks("effect.applied")
class _DropsWeb(_Drops):
    """Acknowledges the leaves of people who use a browser, and drops them."""

    def drops(self, callback: IncomingCallback) -> bool:
        return callback.values("OptPlatform") == ["Web"]


@breaks("effect.applied.variants")
class _DropsForms(_Drops):
    """Acknowledges leaves whose Content-Type is not exactly application/json, and drops them."""

    def drops(self, callback: IncomingCallback) -> bool:
        return callback.headers.get("content-type") != "application/json"
