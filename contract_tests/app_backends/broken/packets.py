"""Broken App backends that dislike something which a valid packet may hold."""

from __future__ import annotations

import re
import struct
from typing import Final

from starlette.responses import Response

from roomhook.contract_tests.app_backends.broken.registry import breaks
from roomhook.contract_tests.app_backends.reference.backend import (
    IncomingCallback,
    MemberEvent,
    ReferenceBackend,
    RefusedCallback,
)

__all__: list[str] = []

_SYSTEM_OPERATORS: Final = {"administrator", "@TIM#SYSTEM"}


def _without_type(requirement: str, method: str) -> None:
    class Backend(ReferenceBackend):
        def leave(self, event: MemberEvent) -> None:
            if event.type == method:
                raise RefusedCallback(5, f"Type {method} is not supported")
            super().leave(event)

    Backend.__doc__ = f"Answers FAIL to the check-out method {method}."
    breaks(requirement)(Backend)


_without_type("type.leave", "Leave")
_without_type("type.expired", "Expired")


@breaks("type.kicked")
class _NobodyKicksHimself(ReferenceBackend):
    """Answers FAIL to Kicked unless it names somebody else as the operator."""

    def leave(self, event: MemberEvent) -> None:
        if event.type == "Kicked" and event.operator_account in event.member_list_account:
            raise RefusedCallback(5, "nobody kicks himself")
        super().leave(event)


@breaks("type.unknown")
class _ClosedTypes(ReferenceBackend):
    """Crashes on a Type that its table lacks."""

    _VERBS: Final = {"Leave": "left", "Kicked": "was kicked", "Expired": "dropped out"}

    def leave(self, event: MemberEvent) -> None:
        self.last_line = f"{event.operator_account} {self._VERBS[event.type]}"
        super().leave(event)


@breaks("members.one")
class _ExpectsMore(ReferenceBackend):
    """Unpacks the member list into a first, a second and the rest."""

    def leave(self, event: MemberEvent) -> None:
        if event.member_list_account:
            first, second, *rest = event.member_list_account
            event.member_list_account = [first, second, *rest]
        super().leave(event)


@breaks("members.two")
class _TakesTwoForAPair(ReferenceBackend):
    """Takes a list of two for an account and its role."""

    def leave(self, event: MemberEvent) -> None:
        if len(event.member_list_account) == 2:
            _, role = event.member_list_account
            if role not in {"Owner", "Admin", "Member"}:
                raise RefusedCallback(5, "unknown role")
        super().leave(event)


@breaks("members.twenty")
class _SixteenAtMost(ReferenceBackend):
    """Has room for 16 members in one packet."""

    def leave(self, event: MemberEvent) -> None:
        if len(event.member_list_account) > 16:
            raise RefusedCallback(5, "too many members")
        super().leave(event)


@breaks("members.crowd")
class _OneRoomful(ReferenceBackend):
    """Has room for 256 members in one packet."""

    def leave(self, event: MemberEvent) -> None:
        if len(event.member_list_account) > 256:
            raise RefusedCallback(5, "too many members")
        super().leave(event)


@breaks("packet.longest")
class _OneRead(ReferenceBackend):
    """Reads at most 2,048 bytes of a packet with twenty members."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        event = super().read(callback)
        if event and len(event.member_list_account) == 20 and len(callback.body) > 2048:
            raise RefusedCallback(5, "the body is no JSON document")
        return event


@breaks("count.zero")
class _ZeroIsNothing(ReferenceBackend):
    """Takes a MemberCount of 0 for a missing one."""

    def leave(self, event: MemberEvent) -> None:
        if not event.member_count:
            raise RefusedCallback(5, "MemberCount is missing")
        super().leave(event)


@breaks("count.one")
class _DividesByTheRest(ReferenceBackend):
    """Divides by the number of people besides the first."""

    def leave(self, event: MemberEvent) -> None:
        self.share = 100 / (event.member_count - 1)
        super().leave(event)


@breaks("count.large")
class _ByteSized(ReferenceBackend):
    """Keeps a MemberCount below 1000 in one byte."""

    def leave(self, event: MemberEvent) -> None:
        size = "B" if event.member_count < 1000 else "Q"
        self.packed = struct.pack(f"<{size}", event.member_count)
        super().leave(event)


@breaks("count.huge")
class _SixteenBits(ReferenceBackend):
    """Keeps MemberCount in 16 bits."""

    def leave(self, event: MemberEvent) -> None:
        self.packed = struct.pack("<H", event.member_count)
        super().leave(event)


@breaks("reason.empty")
class _WantsAReason(ReferenceBackend):
    """Takes an empty Reason for a missing one."""

    def leave(self, event: MemberEvent) -> None:
        if not event.reason:
            raise RefusedCallback(5, "Reason is missing")
        super().leave(event)


@breaks("reason.unicode")
class _AsciiLog(ReferenceBackend):
    """Copies the bytes of Reason into a log that takes ASCII only."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        event = super().read(callback)
        found = re.search(rb'"Reason":\s*"(.*?)"', callback.body)
        self.log = found[1].decode("ascii") if found else ""
        return event


@breaks("reason.escapes")
class _CutsStrings(ReferenceBackend):
    """Cuts Reason out of the body with a pattern that knows no escaped quotes."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        event = super().read(callback)
        if event and event.reason and not re.search(rb'"Reason":\s*"[^"]*"\s*[,}]', callback.body):
            raise RefusedCallback(5, "Reason can't be found")
        return event


@breaks("reason.long")
class _Varchar(ReferenceBackend):
    """Has room for a Reason of 255 characters."""

    def leave(self, event: MemberEvent) -> None:
        if len(event.reason) > 255:
            raise RefusedCallback(5, "Reason is too long")
        super().leave(event)


@breaks("reason.absent")
class _ReasonByKey(ReferenceBackend):
    """Crashes on a leave packet without Reason."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        event = super().read(callback)
        if event and event.callback_command.endswith("Leave"):
            self.reason = self.parse(callback.body, dict)["Reason"]
        return event


@breaks("reason.nul")
class _NoNul(ReferenceBackend):
    """Crashes on a NUL in Reason, as PostgreSQL's text does."""

    def leave(self, event: MemberEvent) -> None:
        if "\0" in event.reason:
            raise ValueError("a string can't hold NUL (0x00) characters")
        super().leave(event)


@breaks("id.user-max")
class _UserIdOf31(ReferenceBackend):
    """Has room for UserIDs of 31 bytes."""

    def leave(self, event: MemberEvent) -> None:
        if any(len(account.encode()) > 31 for account in event.member_list_account):
            raise RefusedCallback(5, "UserID is too long")
        super().leave(event)


@breaks("id.room-max")
class _RoomIdOf47(ReferenceBackend):
    """Has room for RoomIds of 47 bytes."""

    def leave(self, event: MemberEvent) -> None:
        if len(event.room_id.encode()) > 47:
            raise RefusedCallback(5, "RoomId is too long")
        super().leave(event)


@breaks("id.system")
class _PlainOperators(ReferenceBackend):
    """Takes only letters and digits in Operator_Account."""

    def leave(self, event: MemberEvent) -> None:
        if re.search("[^A-Za-z0-9]", event.operator_account):
            raise RefusedCallback(5, "Operator_Account is no UserID")
        super().leave(event)


@breaks("id.unicode")
class _AsciiRooms(ReferenceBackend):
    """Uses RoomId in ASCII file names."""

    def leave(self, event: MemberEvent) -> None:
        self.file_name = event.room_id.encode("ascii")
        super().leave(event)


@breaks("id.punctuation")
class _CarefulRooms(ReferenceBackend):
    """Takes only letters, digits, emoji, full stops and hyphens in RoomId."""

    def leave(self, event: MemberEvent) -> None:
        if re.search(r"[^\w.\-\U00010000-\U0010ffff]", event.room_id):
            raise RefusedCallback(5, "RoomId is not one of ours")
        super().leave(event)


@breaks("id.numeric")
class _Doubles(ReferenceBackend):
    """Takes all-digit accounts through a double and finds no such member."""

    def leave(self, event: MemberEvent) -> None:
        for account in event.member_list_account:
            if account.isdecimal() and str(int(float(account))) != account:
                raise RefusedCallback(5, "no such member")
        super().leave(event)


@breaks("operator.other")
class _OnlySelf(ReferenceBackend):
    """Lets nobody but the member himself, or the system, take a member out."""

    def leave(self, event: MemberEvent) -> None:
        if event.operator_account not in {*event.member_list_account, *_SYSTEM_OPERATORS}:
            raise RefusedCallback(5, "the operator is not the member")
        super().leave(event)


@breaks("operator.empty")
class _Initial(ReferenceBackend):
    """Crashes on the first letter of an empty operator."""

    def leave(self, event: MemberEvent) -> None:
        if event.type == "Expired":
            self.initial = event.operator_account[0]
        super().leave(event)


@breaks("time.now")
class _Settles(ReferenceBackend):
    """Refuses events of the present second, to let them settle first."""

    def leave(self, event: MemberEvent) -> None:
        if abs(self.clock() - event.event_time / 1000) < 1:
            raise RefusedCallback(5, "too fresh, send it again later")
        super().leave(event)


@breaks("time.old")
class _FiveMinutes(ReferenceBackend):
    """Refuses events of more than five minutes ago as replays."""

    def leave(self, event: MemberEvent) -> None:
        if self.clock() - event.event_time / 1000 > 300:
            raise RefusedCallback(5, "EventTime is too old")
        super().leave(event)


@breaks("time.ahead")
class _NoFuture(ReferenceBackend):
    """Refuses events from a second or more ahead of its clock."""

    def leave(self, event: MemberEvent) -> None:
        if event.event_time / 1000 - self.clock() > 1:
            raise RefusedCallback(5, "EventTime is in the future")
        super().leave(event)


@breaks("packet.extra-field")
class _Closed(ReferenceBackend):
    """Refuses fields that the page does not list."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        event = super().read(callback)
        listed = {*MemberEvent.__struct_encode_fields__}
        if event and not listed.issuperset(self.parse(callback.body, dict)):
            raise RefusedCallback(5, "unknown field")
        return event


@breaks("packet.large")
class _NarrowLog(ReferenceBackend):
    """Logs packets in a column of 8 KiB, but for those so large that it logs their size alone."""

    _COLUMN: Final = 8 << 10
    _LIMIT: Final = 128 << 10

    async def handle(self, callback: IncomingCallback) -> Response:
        response = await super().handle(callback)
        taken = b'"OK"' in bytes(response.body)
        return Response(status_code=500) if taken and self._COLUMN < len(callback.body) < self._LIMIT else response


@breaks("packet.key-order")
class _Sequence(ReferenceBackend):
    """Expects CallbackCommand to open the packet."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        event = super().read(callback)
        if not re.match(rb'\s*{\s*"CallbackCommand"', callback.body):
            raise RefusedCallback(5, "CallbackCommand must come first")
        return event


@breaks("packet.whitespace")
class _Compact(ReferenceBackend):
    """Finds fields only where no white space surrounds them."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        event = super().read(callback)
        if event and b'{"' not in callback.body:
            raise RefusedCallback(5, "the packet does not start")
        return event
