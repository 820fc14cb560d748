"""Checks whether a received request is a documented callback for this app with a genuine signature, and says why not.

The fast check accepts only what the JSON Schemas accept too; the schemas explain everything else.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, NamedTuple
from urllib.parse import unquote_plus

import msgspec

from roomhook.schemas.loader import problems
from roomhook.simulator.protocol.callback_url import PLATFORMS, sign
from roomhook.simulator.protocol.packets import ENTER_COMMAND, LEAVE_COMMAND, WIRE_NAMES
from roomhook.simulator.protocol.response_check import parse_json
from roomhook.simulator.protocol.room_packets import CREATE_COMMAND, DESTROY_COMMAND, SEAT_COMMAND, UPDATE_COMMANDS

__all__ = ["SCHEMA_NAMES", "CallbackValidator", "Refusal", "ValidationResult"]

Refusal = Literal["app-id", "sign", "command", "url", "packet", "method", "http"]
"""What kind of problem it is."""

_WINDOW_S: Final = 60
SCHEMA_NAMES: Final[dict[str, str]] = {
    LEAVE_COMMAND: "leave",
    ENTER_COMMAND: "enter",
    CREATE_COMMAND: "create",
    DESTROY_COMMAND: "destroy",
    SEAT_COMMAND: "seat",
    **dict.fromkeys(UPDATE_COMMANDS, "update"),
}
"""The schema of each command's packet."""

_PLATFORMS: Final = frozenset((*PLATFORMS, "macOS"))
_IPV4: Final = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)", re.ASCII)
_SIGN: Final = re.compile(r"[0-9a-f]{64}")
_SECONDS: Final = re.compile(r"[1-9][0-9]{9}")
_DOCUMENTED: Final = ("SdkAppid", "CallbackCommand", "contenttype", "ClientIP", "OptPlatform", "Sign", "RequestTime")
_LONGEST_KNOWN: Final = 512
"""Bytes of a request target that is remembered; one has 160, or 260 with a signature."""

_IN_ORDER: Final = frozenset((_DOCUMENTED, _DOCUMENTED[:5]))

_UserId = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]


class _Member(msgspec.Struct, frozen=True, kw_only=True, rename=WIRE_NAMES):
    """What the two packets share, with the limits of their schemas."""

    callback_command: str
    operator_account: _UserId
    room_id: Annotated[str, msgspec.Meta(min_length=1, max_length=48)]
    member_count: Annotated[int, msgspec.Meta(ge=0)]
    type: str
    member_list_account: Annotated[tuple[_UserId, ...], msgspec.Meta(min_length=1)]
    event_time: Annotated[int, msgspec.Meta(ge=1_000_000_000_000, le=9_999_999_999_999)]


class _Leave(_Member, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=WIRE_NAMES):
    callback_command: Literal["Room.CallbackAfterMemberLeave"]
    type: Literal["Leave", "Kicked", "Expired"]
    reason: str


class _Enter(_Member, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=WIRE_NAMES):
    callback_command: Literal["Room.CallbackAfterMemberEnter"]
    type: Literal["Enter"]


@dataclass(slots=True)
class ValidationResult:
    """The content of a request, as far as it can be read, and its first ``problem``, if any, with its kind."""

    problem: str | None = None
    refusal: Refusal | None = None
    command: str | None = None
    room: str | None = None
    type: str | None = None
    members: tuple[str, ...] = ()
    operator: str = ""
    member_count: int | None = None
    natural_key: str | None = None


@dataclass
class CallbackValidator:
    """Holds callbacks to one app's id and, with a *token*, to its signature; *now_s* tells the time (s, epoch).

    *lenient* takes whatever a receiver must tolerate (the ``.accepted`` schemas) instead of only what is documented.
    """

    sdkappid: str
    now_s: Callable[[], float]
    token: str | None = None
    lenient: bool = False
    _signs: dict[str, str] = field(default_factory=dict)
    _decoders: dict[str, Callable[[bytes], _Member]] = field(
        default_factory=lambda: {
            LEAVE_COMMAND: msgspec.json.Decoder(_Leave).decode,
            ENTER_COMMAND: msgspec.json.Decoder(_Enter).decode,
        }
    )

    def inspect(self, method: bytes, target: bytes, body: bytes) -> ValidationResult:
        """Look at a request whose request line held *method* and *target*."""
        looked_up = _known_parameters if len(target) <= _LONGEST_KNOWN else _parameters
        parameters, strangers, twice, is_documented = looked_up(target)
        found = ValidationResult(command=parameters.get("CallbackCommand"))
        decode = self._decoders.get(found.command or "")
        packet: _Member | None = None
        if decode is not None:
            try:
                packet = decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError):
                packet = None
        if packet is not None:
            _describe(found, packet, parameters)
        else:
            self._explain_packet(found, parameters, body)
        self._judge_url(found, method, parameters, None if is_documented else strangers)
        if twice and found.refusal not in {"method", "app-id", "sign"}:
            found.refusal, found.problem = "url", f"URL parameters: {twice[0]} stands there twice"
        if found.problem is not None:
            found.natural_key = None
        return found

    def _judge_url(
        self, found: ValidationResult, method: bytes, parameters: Mapping[str, str], strangers: Sequence[str] | None
    ) -> None:
        """The most serious problem of a URL: another app's callback, then a forged one, then a malformed one.

        *strangers* are the names of undocumented parameters; None means that nothing is malformed.
        """
        app_id = parameters.get("SdkAppid")
        if method != b"POST":
            found.refusal, found.problem = "method", f"callbacks are POSTed; this is a {method.decode('latin-1')}"
        elif app_id != self.sdkappid:
            said = "is missing" if app_id is None else f"is {app_id[:40]!r}"
            found.refusal, found.problem = "app-id", f"SdkAppid {said}; ours is {self.sdkappid}"
        elif self.token is not None and (wrong := self._wrong_sign(parameters)):
            found.refusal, found.problem = "sign", wrong
        elif not self.lenient and strangers is not None:
            document = {**parameters, **dict.fromkeys(strangers, "")}
            wrong_url = problems("url", document)
            if wrong_url:
                found.refusal, found.problem = "url", f"URL parameters: {wrong_url[0]}"

    def _wrong_sign(self, parameters: Mapping[str, str]) -> str | None:
        request_time, given = parameters.get("RequestTime"), parameters.get("Sign")
        if request_time is None or given is None:
            return "Sign and RequestTime are missing, and this app has a token"
        if not (request_time.isascii() and request_time.isdigit() and len(request_time) <= 12):
            return f"RequestTime is {request_time[:40]!r}, which is no time in seconds"
        off = abs(self.now_s() - int(request_time))
        if off > _WINDOW_S:
            return f"RequestTime is {off:.0f} s off; more than {_WINDOW_S} s is refused"
        expected = self._signs.get(request_time)
        if expected is None:
            self._signs = {request_time: sign(self.token or "", request_time)}
            expected = self._signs[request_time]
        return (
            None
            if hmac.compare_digest(expected.encode(), given.encode())
            else "Sign is not sha256(Token + RequestTime)"
        )

    def _explain_packet(self, found: ValidationResult, parameters: Mapping[str, str], body: bytes) -> None:
        """The schema's reason to refuse a packet that the fast check refused, or none if the schema accepts it."""
        schema = SCHEMA_NAMES.get(found.command or "")
        if schema is None:
            said = f"is {found.command!r}" if found.command is not None else "is missing"
            found.refusal, found.problem = "command", f"CallbackCommand {said}; known are {', '.join(SCHEMA_NAMES)}"
        try:
            document = parse_json(body)
        except ValueError as error:
            found.refusal, found.problem = "packet", f"the body is not JSON: {error}"
            return
        if schema is not None:
            wrong = problems(f"{schema}.accepted" if self.lenient else schema, document)
            if wrong:
                found.refusal, found.problem = "packet", f"packet: {wrong[0]}"
        if isinstance(document, dict):
            _describe_loosely(found, document, parameters)


class _Query(NamedTuple):
    """The documented ``parameters`` of a query, the names of others, and the names that come twice.

    ``is_documented`` of False only means that the schema must decide.
    """

    parameters: Mapping[str, str]
    strangers: Sequence[str]
    twice: Sequence[str]
    is_documented: bool


def _parameters(target: bytes) -> _Query:
    """The parameters in *target* from the first documented name on; earlier ones belong to the configured URL."""
    found: dict[str, str] = {}
    strangers: list[str] = []
    twice: list[str] = []
    query = target.partition(b"?")[2].partition(b"#")[0].decode("latin-1")
    pairs = [pair.partition("=") for pair in query.split("&")]
    if "%" not in query and "+" not in query and tuple([name for name, _, _ in pairs]) in _IN_ORDER:
        found = {name: value for name, _, value in pairs}
        return _Query(found, (), (), _is_documented(found))  # as nearly always
    for pair in pairs:
        name, _, value = map(unquote_plus, pair)
        if name in found:
            twice.append(name)
        elif name in _DOCUMENTED:
            found[name] = value
        elif found:
            strangers.append(name)
    return _Query(found, strangers, twice, not strangers and _is_documented(found))


_known_parameters: Final = lru_cache(maxsize=4096)(_parameters)  # many callbacks differ only in their body


def _is_documented(parameters: Mapping[str, str]) -> bool:
    """The fast check of the URL schema, for nearly every callback."""
    get = parameters.get
    signed = "Sign" in parameters
    return (
        len(parameters) == (7 if signed else 5)
        and get("contenttype") in {"json", "JSON"}
        and get("OptPlatform") in _PLATFORMS
        and get("CallbackCommand") in SCHEMA_NAMES
        and _IPV4.fullmatch(get("ClientIP", "")) is not None
        and (not signed or _is_well_formed(get("Sign", ""), get("RequestTime", "")))
    )


def _is_well_formed(signature: str, request_time: str) -> bool:
    return _SIGN.fullmatch(signature) is not None and _SECONDS.fullmatch(request_time) is not None


def _describe(found: ValidationResult, packet: _Member, parameters: Mapping[str, str]) -> None:
    found.room = packet.room_id
    found.type = packet.type
    found.members = packet.member_list_account
    found.operator = packet.operator_account
    found.member_count = packet.member_count
    key = (
        parameters.get("SdkAppid"),
        packet.callback_command,
        packet.room_id,
        packet.type,
        sorted(packet.member_list_account),
        packet.event_time,
    )
    found.natural_key = _encode(key).decode()


_encode: Final = msgspec.json.Encoder().encode


def _describe_loosely(found: ValidationResult, document: dict[str, Any], parameters: Mapping[str, str]) -> None:
    """The readable fields of a packet that is not as documented."""
    info, kind, members = document.get("RoomInfo"), document.get("Type"), document.get("MemberList_Account")
    room = info.get("RoomId") if isinstance(info, dict) else document.get("RoomId")
    found.room = _text(room)
    found.type = _text(kind)
    found.operator = _text(document.get("Operator_Account")) or ""
    found.members = tuple(_text(one) or "" for one in members) if isinstance(members, list) else ()
    count = document.get("MemberCount")
    found.member_count = count if isinstance(count, int) and abs(count) < 1 << 63 else None
    if found.problem is None:
        key = [parameters.get("SdkAppid"), document.get("CallbackCommand"), room, kind]
        key += [sorted(found.members), document.get("EventTime")]
        found.natural_key = json.dumps(key, separators=(",", ":"), ensure_ascii=False).encode(errors="replace").decode()


def _text(value: Any) -> str | None:
    """*value* as text that a database accepts."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else None
