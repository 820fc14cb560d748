"""Broken App backends that acknowledge in a wrong form, too late, or not at all."""

from __future__ import annotations

import asyncio
import codecs
import gzip
import json
from collections import Counter
from typing import Any

from starlette.responses import Response

from roomhook.contract_tests.app_backends.broken.registry import breaks
from roomhook.contract_tests.app_backends.reference.backend import (
    IncomingCallback,
    MemberEvent,
    ReferenceBackend,
    RefusedCallback,
)
from roomhook.simulator.protocol.packets import LEAVE_COMMAND

__all__: list[str] = []


def _answering(**changes: Any) -> Response:
    """The usual acknowledgement with some of its members changed."""
    packet = {"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, **changes}
    return Response(json.dumps(packet), media_type="application/json")


@breaks("ack.status")
class _Created(ReferenceBackend):
    """Answers 201 Created, as for a stored resource."""

    def acknowledge(self) -> Response:
        response = super().acknowledge()
        response.status_code = 201
        return response


@breaks("ack.complete")
class _Incomplete(ReferenceBackend):
    """Announces 16 bytes more than it sends, and closes the connection."""

    def acknowledge(self) -> Response:
        body = bytes(super().acknowledge().body)
        return Response(body, headers={"content-length": str(len(body) + 16)}, media_type="application/json")


@breaks("ack.json")
class _PlainOk(ReferenceBackend):
    """Answers the two letters OK instead of a JSON object."""

    def acknowledge(self) -> Response:
        return Response("OK", media_type="application/json")


@breaks("ack.action-status")
class _LowerCase(ReferenceBackend):
    """Writes ActionStatus in lower case."""

    def acknowledge(self) -> Response:
        return _answering(ActionStatus="ok")


@breaks("ack.error-code")
class _CodeAsString(ReferenceBackend):
    """Writes ErrorCode as a string."""

    def acknowledge(self) -> Response:
        return _answering(ErrorCode="0")


@breaks("ack.error-info")
class _NullInfo(ReferenceBackend):
    """Writes null for an empty ErrorInfo."""

    def acknowledge(self) -> Response:
        return _answering(ErrorInfo=None)


@breaks("ack.ok")
class _Unknown(ReferenceBackend):
    """Answers FAIL when a member leaves whom it has not seen enter."""

    def leave(self, event: MemberEvent) -> None:
        inside = self.presence.members(event.room_id)
        if not set(event.member_list_account) <= set(inside):
            raise RefusedCallback(404, "no such member in this room")
        super().leave(event)


@breaks("ack.deadline")
class _Hanging(ReferenceBackend):
    """Works for 2.5 s before it answers."""

    async def handle(self, callback: IncomingCallback) -> Response:
        await asyncio.sleep(2.5)
        return await super().handle(callback)


@breaks("ack.consistent")
class _StatusAsCode(ReferenceBackend):
    """Repeats the HTTP status as ErrorCode of an OK."""

    def acknowledge(self) -> Response:
        return _answering(ErrorCode=200)


@breaks("ack.content-type")
class _Html(ReferenceBackend):
    """Labels its JSON text/html."""

    def acknowledge(self) -> Response:
        return Response(super().acknowledge().body, media_type="text/html")


@breaks("ack.bom")
class _SavedWithAMark(ReferenceBackend):
    """Begins its answer with a byte order mark, as a PHP file that was saved with one does."""

    def acknowledge(self) -> Response:
        return Response(codecs.BOM_UTF8 + bytes(super().acknowledge().body), media_type="application/json")


@breaks("ack.coding")
class _Zipped(ReferenceBackend):
    """Compresses its answer without being asked to."""

    def acknowledge(self) -> Response:
        body = gzip.compress(bytes(super().acknowledge().body))
        return Response(body, headers={"Content-Encoding": "gzip"}, media_type="application/json")


@breaks("ack.margin")
class _OneQueryEach(ReferenceBackend):
    """Looks up each of the first twenty members with a query of its own, 60 ms each."""

    async def apply(self, event: MemberEvent) -> None:
        await asyncio.sleep(0.06 * len(event.member_list_account[1:20]))
        await super().apply(event)


@breaks("ack.steady")
class _StallsOnce(ReferenceBackend):
    """Takes 2.3 s over the fifth leave of those whose RoomIds begin alike."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.leaves: Counter[str] = Counter()

    async def apply(self, event: MemberEvent) -> None:
        await super().apply(event)
        run = event.room_id[:7]
        self.leaves[run] += event.callback_command == LEAVE_COMMAND
        if self.leaves[run] == 5:
            self.leaves[run] += 1
            await asyncio.sleep(2.3)


@breaks("ack.cold-start")
class _OpensItsPoolLate(ReferenceBackend):
    """Opens its database pool in its first request, which takes 2.3 s."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ready = False

    async def handle(self, callback: IncomingCallback) -> Response:
        if not self.ready:
            self.ready = True
            await asyncio.sleep(2.3)
        return await super().handle(callback)


@breaks("ack.extra")
class _RequestId(ReferenceBackend):
    """Adds a RequestId of its own to the answer."""

    def acknowledge(self) -> Response:
        return _answering(RequestId="b7f1c0de")


@breaks("ack.family", also=("ack.action-status", "ack.error-code", "ack.error-info"))
class _EngineEvents(ReferenceBackend):
    """Answers as a receiver of TRTC engine events does."""

    def acknowledge(self) -> Response:
        return Response('{"code":0}', media_type="application/json")
