"""The documented REST of the Room backend: authentication, rate limit, packets, and the response packet."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from roomhook.simulator.room_backend.api.http_messages import fail
from roomhook.simulator.room_backend.api.rest_schemas import (
    CreateRoom,
    Empty,
    KickUserOut,
    MemberPage,
    NamedRoom,
    SetCallback,
    UpdateRoom,
    changes_of,
    check_bytes,
    new_room_of,
)
from roomhook.simulator.room_backend.api.usersig import why_not_genuine
from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.room_backend.state.engine import BackendState
from roomhook.simulator.room_backend.state.error_codes import MEANINGS, BackendError, Code
from roomhook.simulator.room_backend.state.options import AppSettings
from roomhook.simulator.room_backend.state.room_record import Actor, Origin, RoomKey

__all__ = ["APIS", "Api", "Rest"]

_UINT32: Final = 1 << 32
_PARAMETERS: Final = frozenset({"sdkappid", "identifier", "usersig", "random", "contenttype"})

Handler = Callable[[BackendState, int, Any, Actor], dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Api:
    """One REST API: its path, request packet, documented error codes, and function."""

    path: str
    packet: type[msgspec.Struct]
    codes: tuple[Code, ...]
    handler: Handler
    summary: str


def _set_callback(state: BackendState, sdkappid: int, packet: SetCallback, _: Actor) -> None:
    state.rooms.set_callback(sdkappid, packet.Url, packet.CallbackCommandList)


def _update_callback(state: BackendState, sdkappid: int, packet: SetCallback, _: Actor) -> None:
    state.rooms.update_callback(sdkappid, packet.Url, packet.CallbackCommandList)


def _get_callback(state: BackendState, sdkappid: int, _packet: Empty, _: Actor) -> dict[str, Any]:
    config = state.rooms.get_callback(sdkappid)
    return {"Url": config.url, "CallbackCommandList": list(config.commands)}


def _delete_callback(state: BackendState, sdkappid: int, _packet: Empty, _: Actor) -> None:
    state.rooms.delete_callback(sdkappid)


def _create_room(state: BackendState, sdkappid: int, packet: CreateRoom, actor: Actor) -> None:
    state.rooms.create_room(sdkappid, new_room_of(packet, actor.operator), actor)


def _destroy_room(state: BackendState, sdkappid: int, packet: NamedRoom, actor: Actor) -> None:
    state.rooms.destroy_room(RoomKey(sdkappid, packet.RoomId), actor)


def _update_room_info(state: BackendState, sdkappid: int, packet: UpdateRoom, actor: Actor) -> None:
    state.rooms.update_room(RoomKey(sdkappid, packet.RoomInfo.RoomId), changes_of(packet.RoomInfo), actor)


def _get_room_info(state: BackendState, sdkappid: int, packet: NamedRoom, actor: Actor) -> dict[str, Any]:
    entry = state.rooms.entry(RoomKey(sdkappid, packet.RoomId))
    info: dict[str, Any] = msgspec.to_builtins(entry.created("Conference", actor.now))
    return {"RoomInfo": {**info, "MemberCount": len(entry.room.members)}}


def _kick_user_out(state: BackendState, sdkappid: int, packet: KickUserOut, actor: Actor) -> None:
    state.members.kick(RoomKey(sdkappid, packet.RoomId), packet.MemberList_Account, packet.Reason, actor)


def _get_room_member_list(state: BackendState, sdkappid: int, packet: MemberPage, _: Actor) -> dict[str, Any]:
    """Next is the last listed member's place in the order of entering, so no member is listed twice or missed."""
    room = state.rooms.entry(RoomKey(sdkappid, packet.RoomId)).room
    if packet.Next and not (packet.Next.isascii() and packet.Next.isdigit() and len(packet.Next) < 16):
        raise BackendError(Code.BAD_PARAMETER, "Next: give back the value of the previous response")
    after = int(packet.Next or 0)
    rest = [member for member in room.members.values() if member.entered > after]
    page = rest[: packet.Count]
    listed: list[dict[str, Any]] = [
        {
            "Member_Account": member.account,
            "NameCard": member.name_card,
            "Role": "Owner" if member.account == room.owner else "Admin" if member.account in room.admins else "Member",
            "Marks": [],
            "CustomInfo": "",
        }
        for member in page
    ]
    return {"Next": str(page[-1].entered) if len(rest) > len(page) else "", "MemberList": listed}


_BASIC: Final = (Code.INTERNAL, Code.BAD_PARAMETER)
_ROOM: Final = (*_BASIC, Code.NO_ROOM, Code.NO_PERMISSION)
_CONFIG: Final = "v4/room_config"
_ROOMS: Final = "v4/room_engine_http_srv"

APIS: Final[dict[str, Api]] = {
    api.path: api
    for api in (
        Api(f"{_CONFIG}/set_callback", SetCallback, (*_BASIC, Code.CALLBACK_EXISTS), _set_callback,
            "Configure the callback"),
        Api(f"{_CONFIG}/update_callback", SetCallback, (*_BASIC, Code.NO_CALLBACK), _update_callback,
            "Change the callback"),
        Api(f"{_CONFIG}/get_callback", Empty, (*_BASIC, Code.NO_CALLBACK), _get_callback, "Read the callback"),
        Api(f"{_CONFIG}/delete_callback", Empty, _BASIC, _delete_callback, "Delete the callback"),
        Api(f"{_ROOMS}/create_room", CreateRoom, (*_BASIC, Code.ROOM_EXISTS), _create_room, "Create a room"),
        Api(f"{_ROOMS}/destroy_room", NamedRoom, _ROOM, _destroy_room, "Destroy a room"),
        Api(f"{_ROOMS}/update_room_info", UpdateRoom, _ROOM, _update_room_info, "Change a room"),
        Api(f"{_ROOMS}/get_room_info", NamedRoom, _ROOM, _get_room_info, "Read a room"),
        Api(f"{_ROOMS}/kick_user_out", KickUserOut, (*_ROOM, Code.NOT_A_MEMBER), _kick_user_out,
            "Kick up to 20 members"),
        Api(f"{_ROOMS}/get_room_member_list", MemberPage, _ROOM, _get_room_member_list, "List the members of a room"),
    )
}  # fmt: skip
"""The documented REST APIs by path."""

_DECODERS: Final = {path: msgspec.json.Decoder(api.packet) for path, api in APIS.items()}


@dataclass
class Rest:
    """Answers REST calls; *monotonic_s* and *wall_s* return the real time (s), for the rate limit and for UserSig.

    ``planned`` has the error codes that a test planned for the next calls of an API.
    """

    service: Service
    administrator: str
    monotonic_s: Callable[[], float]
    wall_s: Callable[[], float]
    planned: dict[tuple[int, str], deque[Code]] = field(default_factory=dict)
    _calls: dict[tuple[int, str], deque[float]] = field(default_factory=dict)
    _answered: int = 0

    def answer(self, method: str, path: str, query: Sequence[tuple[str, str]], body: bytes) -> dict[str, Any]:
        """The response packet to a call; its HTTP status is always 200 (protocol.md 2)."""
        try:
            sdkappid, packet, api = self._admit(method, path, query, body)
            response = self.service.act(lambda state, now: api.handler(state, sdkappid, packet, self._actor(now)))
        except BackendError as error:
            answer: dict[str, Any] = fail(error.code, error.info)
        else:
            answer = {"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0}
            if response is not None:
                answer["Response"] = response
        return {**answer, "RequestId": self._request_id()}

    def plan(self, sdkappid: int, api: str, codes: Sequence[Code]) -> None:
        """Answer the next calls of *api* (the end of its path, as kick_user_out) with *codes*, in order."""
        self.planned.setdefault((sdkappid, api), deque()).extend(codes)

    def _actor(self, now: int) -> Actor:
        return Actor(self.administrator, Origin(self.service.options.rest_ip, "RESTAPI"), now)

    def _admit(self, method: str, path: str, query: Sequence[tuple[str, str]], body: bytes) -> tuple[int, Any, Api]:
        """The calling app, the packet and the API; raises ``BackendError`` for a call that is refused."""
        api = APIS.get(path)
        if api is None:
            raise BackendError(Code.BAD_URL, path[:100])
        if method != "POST":
            raise BackendError(Code.BAD_HTTP, f"use POST, not {method}")
        sdkappid = self._caller(query)
        self._limit(sdkappid, path)
        planned = self.planned.get((sdkappid, path.rpartition("/")[2]))
        if planned:
            code = planned.popleft()
            raise BackendError(code, "as planned")
        return sdkappid, self._packet(path, body), api

    def _caller(self, query: Sequence[tuple[str, str]]) -> int:
        given = dict(query)
        if len(given) != len(query):
            raise BackendError(Code.BAD_HTTP, "a URL parameter is given twice")
        if not given.get("sdkappid"):
            raise BackendError(Code.NO_SDKAPPID, "the URL has no sdkappid (lower case)")
        app = next((app for app in self.service.apps.values() if str(app.sdkappid) == given["sdkappid"]), None)
        if app is None:
            raise BackendError(Code.BAD_SDKAPPID, f"{given['sdkappid'][:20]} is not served here")
        unknown = sorted(given.keys() - _PARAMETERS)
        if unknown and not self.service.options.lenient:
            raise BackendError(Code.BAD_HTTP, f"the URL has an unknown parameter {unknown[0][:40]}")
        self._check_account(app, given)
        random = given.get("random", "")
        if not (random.isascii() and random.isdigit() and len(random) <= 10 and int(random) < _UINT32):
            raise BackendError(Code.BAD_HTTP, "random must be an integer from 0 to 4294967295")
        if given.get("contenttype") != "json":
            raise BackendError(Code.BAD_HTTP, "contenttype must be json")
        return app.sdkappid

    def _check_account(self, app: AppSettings, given: Mapping[str, str]) -> None:
        identifier, usersig = given.get("identifier"), given.get("usersig")
        if not identifier:
            raise BackendError(Code.BAD_ACCOUNT, "the URL has no identifier")
        if not usersig:
            raise BackendError(Code.BAD_SIGNATURE, "the URL has no usersig")
        if app.secret_key is not None:
            why = why_not_genuine(
                usersig,
                sdkappid=app.sdkappid,
                identifier=identifier,
                secret_key=app.secret_key,
                now_s=self.wall_s(),
            )
            if why is not None:
                raise BackendError(Code.BAD_SIGNATURE, f"usersig: {why}")
        if identifier != self.administrator:
            raise BackendError(Code.NEEDS_ADMIN, f"{identifier[:40]} is not the administrator {self.administrator}")

    def _limit(self, sdkappid: int, path: str) -> None:
        now = self.monotonic_s()
        calls = self._calls.setdefault((sdkappid, path), deque())
        while calls and calls[0] <= now - 1:
            calls.popleft()
        if len(calls) >= self.service.options.calls_per_second:
            raise BackendError(Code.TOO_OFTEN, f"more than {self.service.options.calls_per_second} a second")
        calls.append(now)

    def _packet(self, path: str, body: bytes) -> Any:
        try:
            packet = _DECODERS[path].decode(body)
            if not body.isascii():
                body.decode()
        except msgspec.ValidationError as error:
            packet = self._tolerated(path, body, error)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BackendError(Code.BAD_JSON, str(error) or "nested too deeply") from None
        check_bytes(packet)
        return packet

    def _tolerated(self, path: str, body: bytes, error: msgspec.ValidationError) -> Any:
        """The packet without its unknown fields if the options allow that; else raises."""
        try:
            document: Any = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as worse:
            raise BackendError(Code.BAD_JSON, str(worse) or "nested too deeply") from None
        if not isinstance(document, dict):
            raise BackendError(Code.BAD_JSON, "the body must be a JSON object, {} if empty") from None
        if self.service.options.lenient and "unknown field" in str(error):
            try:
                return msgspec.convert(_known(document, APIS[path].packet), APIS[path].packet)
            except msgspec.ValidationError as still:
                error = still
        raise BackendError(Code.BAD_PARAMETER, str(error)) from None

    def _request_id(self) -> str:
        self._answered += 1
        digest = hashlib.md5(f"{self.service.options.seed} {self._answered}".encode(), usedforsecurity=False)
        return f"Id-{digest.hexdigest()}-O-Seq-{self._answered}"


def _known(document: dict[str, Any], packet: type[msgspec.Struct]) -> dict[str, Any]:
    known = {one.encode_name: one for one in msgspec.structs.fields(packet)}
    kept = {name: value for name, value in document.items() if name in known}
    for name, value in kept.items():
        inner = known[name].type
        if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            kept[name] = _known(value, inner)
    return kept


assert set(MEANINGS) == set(Code), "every code has its meaning"
