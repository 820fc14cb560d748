"""The reference App backend: Starlette and SQLite, a method a step, clean against every requirement."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from roomhook.contract_tests.app_backends.reference.room_members import RoomMembers
from roomhook.contract_tests.app_backends.reference.signature import verify_sign
from roomhook.simulator.protocol.packets import (
    ENTER_COMMAND,
    LEAVE_COMMAND,
    OK_RESPONSE,
    WIRE_NAMES,
    ResponsePacket,
    encode,
)

__all__ = ["Command", "IncomingCallback", "MemberEvent", "ReferenceBackend", "RefusedCallback"]

_Kind = TypeVar("_Kind")
_MAX_INTEGER: Final = 2**63 - 1  # SQLite's largest


class RefusedCallback(Exception):  # noqa: N818 (it is an answer and no error)
    """Why a callback is refused; travels to the Room backend as ErrorCode and ErrorInfo."""

    def __init__(self, code: int, info: str) -> None:
        super().__init__(info)
        self.code = code
        self.info = info


@dataclass(frozen=True, slots=True)
class IncomingCallback:
    """One callback as it arrived: the raw query, its parameters decoded and in order, the headers, the raw body."""

    query: str
    parameters: tuple[tuple[str, str], ...]
    headers: Headers
    body: bytes

    def values(self, name: str) -> list[str]:
        """Every value of the URL parameter *name*, which is spelled exactly so."""
        return [value for key, value in self.parameters if key == name]


class Command(msgspec.Struct, rename=WIRE_NAMES):
    """What every packet of the family holds."""

    callback_command: str


class MemberEvent(msgspec.Struct, rename=WIRE_NAMES):
    """An enter or leave packet, as a receiver reads it: open to new fields and Types, and to a missing Reason."""

    callback_command: str
    room_id: str
    member_count: int
    type: str
    member_list_account: list[str]
    event_time: Annotated[int, msgspec.Meta(ge=0, le=_MAX_INTEGER)]
    operator_account: str = ""
    reason: str = ""


class ReferenceBackend:
    """An App backend for one SDKAppID; ``app`` is its ASGI application.

    ``POST /`` takes callbacks and ``GET /rooms/{RoomId}`` tells the members of a room as a JSON list. *token* turns the
    check of Sign and RequestTime on; *clock* tells the time in s since the epoch.
    """

    methods: tuple[str, ...] = ("POST",)

    def __init__(self, sdkappid: str, token: str | None = None, clock: Callable[[], float] = time.time) -> None:
        self.sdkappid = sdkappid
        self.token = token
        self.clock = clock
        self.presence = RoomMembers()
        self.app = Starlette(
            routes=[
                Route("/", self.on_callback, methods=self.methods),
                Route("/rooms/{room_id:path}", self._on_probe, methods=["GET"]),
            ]
        )

    def close(self) -> None:
        """Let go of the database."""
        self.presence.close()

    async def on_callback(self, request: Request) -> Response:
        """Answer one HTTP request."""
        try:
            return await self.handle(await self.receive(request))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is left to read it

    async def receive(self, request: Request) -> IncomingCallback:
        """Read *request* to its end; raises ``ClientDisconnect`` if its sender hangs up before."""
        query = request.scope["query_string"].decode("latin-1")
        parameters = tuple(parse_qsl(query, keep_blank_values=True))
        return IncomingCallback(query, parameters, request.headers, await request.body())

    async def handle(self, callback: IncomingCallback) -> Response:
        """Take one callback from its URL to its answer."""
        try:
            self.check_url(callback)
            event = self.read(callback)
            if event is not None:
                await self.apply(event)
        except RefusedCallback as refusal:
            return self.refuse(refusal)
        return self.acknowledge()

    def check_url(self, callback: IncomingCallback) -> None:
        """Refuse a callback that is not meant for this app, or does not come from the Room backend."""
        self.check_app_id(callback)
        if self.token is not None:
            self.check_sign(callback, self.token)

    def check_app_id(self, callback: IncomingCallback) -> None:
        """The URL must name our SDKAppID, once and digit for digit (page, Notes)."""
        if callback.values("SdkAppid") != [self.sdkappid]:
            raise RefusedCallback(1, "SdkAppid is not the one of this app")

    def check_sign(self, callback: IncomingCallback, token: str) -> None:
        """Sign must be sha256(Token + RequestTime), and RequestTime fresh (protocol.md 1.5)."""
        try:
            verify_sign(callback.query, token, clock=self.clock)
        except ValueError as error:
            raise RefusedCallback(2, str(error)) from None

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        """The enter or leave event in the body, or None for a command that this backend has nothing to do for."""
        command = self.parse(callback.body, Command).callback_command
        self.check_command(callback, command)
        if command not in {ENTER_COMMAND, LEAVE_COMMAND}:
            return None
        return self.parse(callback.body, MemberEvent)

    def check_command(self, callback: IncomingCallback, command: str) -> None:
        """The URL must name the *command* of the packet."""
        if callback.values("CallbackCommand") != [command]:
            raise RefusedCallback(4, "CallbackCommand differs between the URL and the packet")

    def parse(self, body: bytes, kind: type[_Kind]) -> _Kind:
        """The packet in *body* as a *kind*."""
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.ValidationError as error:
            raise RefusedCallback(3, f"the body is no packet of this callback: {error}") from None
        except (ValueError, RecursionError):
            raise RefusedCallback(3, "the body is no JSON document") from None

    async def apply(self, event: MemberEvent) -> None:
        """Synchronise the room with what has happened in it."""
        if event.callback_command == ENTER_COMMAND:
            self.enter(event)
        else:
            self.leave(event)

    def enter(self, event: MemberEvent) -> None:
        """Note who is in the room now."""
        self.presence.enter(event.room_id, event.member_list_account, event.event_time)

    def leave(self, event: MemberEvent) -> None:
        """Note who is not in the room any more, whichever the check-out method."""
        self.presence.leave(event.room_id, event.member_list_account, event.event_time)

    def acknowledge(self) -> Response:
        """The answer to a callback that has been dealt with."""
        return self.respond(OK_RESPONSE)

    def refuse(self, refusal: RefusedCallback) -> Response:
        """The answer to a callback that is refused."""
        return self.respond(ResponsePacket(action_status="FAIL", error_info=refusal.info, error_code=refusal.code))

    def respond(self, packet: ResponsePacket) -> Response:
        """*packet* as the Room backend expects it: HTTP 200, JSON (page)."""
        return Response(encode(packet), media_type="application/json")

    def members(self, room: str) -> list[str]:
        """The accounts that are in *room*, sorted."""
        return self.presence.members(room)

    async def _on_probe(self, request: Request) -> Response:
        return JSONResponse(self.members(request.path_params["room_id"]))
