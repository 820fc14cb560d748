"""Broken App backends that acknowledge and then do the wrong thing; each shows to a probe of the rooms only."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from starlette.responses import Response

from roomhook.contract_tests.backends.reference import Callback, Event, ReferenceBackend
from roomhook.contract_tests.backends.registry import breaks
from roomhook.simulator.packets import LEAVE_COMMAND

__all__: list[str] = []


def _ignoring(requirement: str, method: str) -> None:
    class Backend(ReferenceBackend):
        def leave(self, event: Event) -> None:
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

    def leave(self, event: Event) -> None:
        event.member_list_account = event.member_list_account[:1]
        super().leave(event)


@breaks("effect.app-id")
class _ActsFirst(ReferenceBackend):
    """Acts on a callback before it looks whose it is, and then refuses it."""

    async def handle(self, callback: Callback) -> Response:
        if callback.values("SdkAppid") != [self.sdkappid]:
            event = self.read(callback)
            if event is not None:
                await self.apply(event)
        return await super().handle(callback)


@breaks("effect.bad-input")
class _Salvage(ReferenceBackend):
    """Takes the accounts that it can find in a malformed leave packet out of the room, and then refuses it."""

    async def handle(self, callback: Callback) -> Response:
        response = await super().handle(callback)
        room = re.search(rb'"RoomId":"([^"]*)"', callback.body)
        accounts = re.search(rb'"MemberList_Account":\[([^]]*)', callback.body)
        if b"FAIL" in response.body and LEAVE_COMMAND.encode() in callback.body and room and accounts:
            listed = [one.decode(errors="replace") for one in re.findall(rb'"([^"]*)"', accounts[1])]
            self.presence.leave(room[1].decode(errors="replace"), listed, int(self.clock() * 1000) + 1000)
        return response
