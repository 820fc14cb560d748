"""Broken App backends that mishandle connections, concurrency, HTTP's forms, commands or repetition."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from roomhook.contract_tests.app_backends.broken.registry import breaks
from roomhook.contract_tests.app_backends.reference.backend import (
    IncomingCallback,
    MemberEvent,
    ReferenceBackend,
    RefusedCallback,
)
from roomhook.contract_tests.app_backends.reference.connection_info import wire
from roomhook.simulator.protocol.packets import ENTER_COMMAND, LEAVE_COMMAND

__all__: list[str] = []

_WRITE_S: Final = 0.01
"""How long a write to a database takes where a defect lies in what happens meanwhile."""


@breaks("http.reuse")
class _TenEach(ReferenceBackend):
    """Answers 503 from the tenth request of a connection on."""

    async def on_callback(self, request: Request) -> Response:
        if wire(request.scope).request >= 10:
            return Response(status_code=503)
        return await super().on_callback(request)


@breaks("http.parallel")
class _SharedRoom(ReferenceBackend):
    """Keeps the current room in one place for all, and finds another callback's there after the write."""

    async def apply(self, event: MemberEvent) -> None:
        self.room = event.room_id
        await asyncio.sleep(_WRITE_S)
        if self.room != event.room_id:
            raise RefusedCallback(7, "no such member in this room")
        await super().apply(event)


@breaks("http.parallel.deadline")
class _BackOff(ReferenceBackend):
    """Backs off for 2.2 s when it finds the table locked by a write for another room."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.locked_for: Counter[str] = Counter()

    async def apply(self, event: MemberEvent) -> None:
        if set(self.locked_for) - {event.room_id}:
            await asyncio.sleep(2.2)
        with self._lock(event.room_id):
            await asyncio.sleep(_WRITE_S)
        await super().apply(event)

    @contextmanager
    def _lock(self, room: str) -> Generator[None, None, None]:
        self.locked_for[room] += 1
        try:
            yield
        finally:
            self.locked_for -= Counter([room])


@breaks("http.burst")
class _RateLimit(ReferenceBackend):
    """Answers FAIL from a room's 61st leave within ten seconds on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.leaves: Counter[tuple[str, int]] = Counter()

    def leave(self, event: MemberEvent) -> None:
        window = event.room_id, int(self.clock()) // 10
        self.leaves[window] += 1
        if self.leaves[window] > 60:
            raise RefusedCallback(7, "too many callbacks for this room")
        super().leave(event)


def _content_types(requirement: str, defect: str, *taken: str) -> None:
    class Backend(ReferenceBackend):
        async def on_callback(self, request: Request) -> Response:
            if request.headers.get("content-type", "") not in taken:
                return Response(status_code=415)
            return await super().on_callback(request)

    Backend.__doc__ = defect
    breaks(requirement)(Backend)


_JSON: Final = ("application/json", "application/json; charset=utf-8")
_content_types("http.no-content-type", "Answers 415 to a callback without a Content-Type.", *_JSON, "text/plain")
_content_types("http.content-type.charset", "Answers 415 to a Content-Type with a charset.", "", _JSON[0], "text/plain")
_content_types("http.content-type.text", "Answers 415 to text/plain.", "", *_JSON)


@breaks("http.method")
class _PutToo(ReferenceBackend):
    """Takes PUT for POST."""

    methods = ("POST", "PUT")


@breaks("http.chunked")
class _LengthRequired(ReferenceBackend):
    """Answers 411 to a request without a Content-Length."""

    async def on_callback(self, request: Request) -> Response:
        if "content-length" not in request.headers:
            return Response(status_code=411)
        return await super().on_callback(request)


@breaks("http.expect")
class _ExpectsNothing(ReferenceBackend):
    """Answers 417 to a request that asks whether to go on."""

    async def on_callback(self, request: Request) -> Response:
        if "expect" in request.headers:
            return Response(status_code=417)
        return await super().on_callback(request)


@breaks("http.slow-body")
class _OneRead(ReferenceBackend):
    """Takes what one read gives for the whole body."""

    async def receive(self, request: Request) -> IncomingCallback:
        whole = request.receive

        async def once() -> Any:
            return {**await whole(), "more_body": False}

        return await super().receive(Request(request.scope, once))


@breaks("http.split-head")
class _HeadAtOnce(ReferenceBackend):
    """Answers 400 to a head that did not arrive in one read."""

    async def on_callback(self, request: Request) -> Response:
        if wire(request.scope).head_reads > 1:
            return Response(status_code=400)
        return await super().on_callback(request)


@breaks("http.idle")
class _Stale(ReferenceBackend):
    """Answers 408 to a request on a connection that was idle for half a second."""

    async def on_callback(self, request: Request) -> Response:
        known = wire(request.scope)
        if known.request > 1 and known.idle_s > 0.5:
            return Response(status_code=408)
        return await super().on_callback(request)


@breaks("http.half-request")
class _LeakyPool(ReferenceBackend):
    """Loses a database connection for each client that hangs up mid-body; a leave needs one.

    The pool of three is full again after five leaves in a row, and after three leaves have found it empty: counted, not
    timed, so that a busy machine, which notices late that a client is gone, changes nothing.
    """

    free = 3
    left = 0
    refused = 0

    async def receive(self, request: Request) -> IncomingCallback:
        try:
            return await super().receive(request)
        except ClientDisconnect:
            self.free, self.left = max(0, self.free - 1), 0
            raise

    def leave(self, event: MemberEvent) -> None:
        if self.free > 0:
            self.left += 1
            if self.left == 5:
                self._refill()
            super().leave(event)
            return
        self.refused += 1
        if self.refused == 3:
            self._refill()
        raise RefusedCallback(7, "no database connection is free")

    def _refill(self) -> None:
        self.free, self.left, self.refused = 3, 0, 0


@breaks("command.unknown")
class _ByTable(ReferenceBackend):
    """Crashes on a command that its table lacks."""

    _TABLE: Final = {
        ENTER_COMMAND: "enter",
        LEAVE_COMMAND: "leave",
        "Room.CallbackAfterCreateRoom": "create",
        "Room.CallbackAfterDestroyRoom": "destroy",
        "Room.CallbackAfterUpdateRoomInfo": "update",
        "Room.CallbackUpdateRoomInfo": "update",
        "Mic.CallbackAfterSeatInfoChanged": "seats",
    }

    def check_command(self, callback: IncomingCallback, command: str) -> None:
        super().check_command(callback, command)
        self.verb = self._TABLE[command]


@breaks("command.sibling")
class _RoomOnTop(ReferenceBackend):
    """Crashes on commands that keep RoomId under RoomInfo."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        event = super().read(callback)
        if event is None:
            self.room = self.parse(callback.body, dict)["RoomId"]
        return event


@breaks("command.alive")
class _KeepsTheTransaction(ReferenceBackend):
    """Fails the next two leaves on new connections after a change of a room has failed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.aborted_on = 0
        self.failing = 0

    async def on_callback(self, request: Request) -> Response:
        connection = wire(request.scope).connection
        command = request.query_params.get("CallbackCommand")
        response = await super().on_callback(request)
        if command == "Room.CallbackUpdateRoomInfo":
            self.aborted_on, self.failing = connection, 2
        elif command == LEAVE_COMMAND and self.failing and connection > self.aborted_on:
            self.failing -= 1
            return self.refuse(RefusedCallback(500, "the transaction is aborted"))
        return response


@breaks("command.mismatch")
class _BodyOnly(ReferenceBackend):
    """Never compares the command in the URL with the packet's."""

    def check_command(self, callback: IncomingCallback, command: str) -> None:
        """Goes by the packet alone."""


@breaks("duplicate.ack")
class _Unique(ReferenceBackend):
    """Answers FAIL to a callback that it has had before."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.had: set[bytes] = set()

    async def handle(self, callback: IncomingCallback) -> Response:
        if callback.body in self.had:
            return self.refuse(RefusedCallback(8, "duplicate entry"))
        response = await super().handle(callback)
        self.had.add(callback.body)
        return response


@breaks("duplicate.parallel")
class _AlreadyAtIt(ReferenceBackend):
    """Answers FAIL to a callback while it is dealing with an equal one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.at_work: set[bytes] = set()

    async def handle(self, callback: IncomingCallback) -> Response:
        if callback.body in self.at_work:
            return self.refuse(RefusedCallback(8, "already being dealt with"))
        self.at_work.add(callback.body)
        try:
            await asyncio.sleep(_WRITE_S)
            return await super().handle(callback)
        finally:
            self.at_work.discard(callback.body)
