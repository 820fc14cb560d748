"""Broken App backends that malformed input deceives, crashes or makes talkative."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from typing import Any, Final, TypeVar

from starlette.responses import HTMLResponse, PlainTextResponse, Response

from roomhook.contract_tests.app_backends.broken.registry import breaks
from roomhook.contract_tests.app_backends.reference.backend import (
    IncomingCallback,
    MemberEvent,
    ReferenceBackend,
    RefusedCallback,
)
from roomhook.simulator.protocol.packets import LEAVE_COMMAND

__all__: list[str] = []

_Kind = TypeVar("_Kind")


@breaks("bad.empty")
class _HealthCheck(ReferenceBackend):
    """Takes an empty body for a health check."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        return super().read(callback) if callback.body else None


@breaks("bad.text")
class _Form(ReferenceBackend):
    """Takes words for a form in which it finds nothing to do."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        is_form = callback.body[:1].isalpha() and b" " in callback.body
        return None if is_form else super().read(callback)


@breaks("bad.truncated")
class _Silent(ReferenceBackend):
    """Logs a packet that breaks off and answers OK."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        breaks_off = callback.body.startswith(b"{") and not callback.body.rstrip().endswith(b"}")
        return None if breaks_off else super().read(callback)


def _crashing(requirement: str, defect: str, look: Callable[[Any], object]) -> None:
    """A backend that looks at every JSON value it is sent before it has been checked."""

    class Backend(ReferenceBackend):
        def read(self, callback: IncomingCallback) -> MemberEvent | None:
            self.seen = look(self.parse(callback.body, object))
            return super().read(callback)

    Backend.__doc__ = defect
    breaks(requirement)(Backend)


_crashing("bad.null", "Crashes on null, in which it looks for fields.", lambda value: value is not None or vars(value))
_crashing("bad.scalar", "Crashes on a number, whose length it asks for.", lambda value: value is None or len(value))


@breaks("bad.array")
class _Unwrapping(ReferenceBackend):
    """Takes an array around the packet off."""

    def parse(self, body: bytes, kind: type[_Kind]) -> _Kind:
        if body.startswith(b"[{") and body.endswith(b"}]"):
            return super().parse(body[1:-1], kind)
        return super().parse(body, kind)


@breaks("bad.utf8")
class _Decoding(ReferenceBackend):
    """Crashes on a body that is no UTF-8."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        self.text = callback.body.decode()
        return super().read(callback)


@breaks("bad.nan")
class _Rounds(ReferenceBackend):
    """Takes NaN for a number, and crashes when it makes an integer of it."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        if b":NaN" in callback.body:
            self.count = int(json.loads(callback.body)["MemberCount"])
        return super().read(callback)


@breaks("bad.lenient")
class _LaxNumbers(ReferenceBackend):
    """Takes NaN for 0."""

    def parse(self, body: bytes, kind: type[_Kind]) -> _Kind:
        return super().parse(body.replace(b":NaN", b":0"), kind)


@breaks("bad.deep")
class _Recursive(ReferenceBackend):
    """Crashes on deep nesting."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        try:
            self.value = json.loads(callback.body)
        except ValueError:
            self.value = None
        return super().read(callback)


@breaks("bad.large")
class _FixedBuffer(ReferenceBackend):
    """Crashes on a body that its buffer of 512 KiB can't hold."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        buffer = memoryview(bytearray(512 << 10))
        buffer[: len(callback.body)] = callback.body
        return super().read(callback)


_STRINGS: Final = ("CallbackCommand", "Operator_Account", "RoomId", "Type", "Reason")
_NUMBERS: Final = ("MemberCount", "EventTime")
_LIST: Final = "MemberList_Account"


def _case(field: str) -> str:
    """The field's name in requirement ids: MemberList_Account is member-list-account."""
    return "".join(f"-{one.lower()}" if one.isupper() else one.replace("_", "") for one in field).lstrip("-")


def _crashing_without(field: str) -> None:
    def look(packet: Any) -> object:
        if isinstance(packet, dict) and packet.get("CallbackCommand", LEAVE_COMMAND) == LEAVE_COMMAND:
            return packet[field]
        return None

    _crashing(f"bad.field-missing.{_case(field)}", f"Crashes on a packet without {field}.", look)


def _crashing_on_type(field: str, use: Callable[[Any], object]) -> None:
    def look(packet: Any) -> object:
        return use(packet[field]) if isinstance(packet, dict) and field in packet else None

    _crashing(f"bad.field-type.{_case(field)}", f"Crashes on a packet whose {field} has another type.", look)


for each in (*_STRINGS, *_NUMBERS, _LIST):
    if each != "Reason":
        _crashing_without(each)
for each in _STRINGS:
    _crashing_on_type(each, lambda value: value.strip())
for each in _NUMBERS:
    _crashing_on_type(each, lambda value: value + 1)
_crashing_on_type(_LIST, lambda value: "".join(value) if isinstance(value, list) else "")


@breaks("bad.duplicate-key")
class _FirstWins(ReferenceBackend):
    """Takes the first of two equal keys."""

    def parse(self, body: bytes, kind: type[_Kind]) -> _Kind:
        try:
            value = json.loads(body, object_pairs_hook=lambda pairs: dict(reversed(pairs)))
        except (ValueError, RecursionError):
            return super().parse(body, kind)
        return super().parse(json.dumps(value).encode(), kind)


@breaks("bad.alive")
class _KeepsTheError(ReferenceBackend):
    """Answers the callback after a body that is no JSON with that body's error."""

    error: RefusedCallback | None = None

    async def handle(self, callback: IncomingCallback) -> Response:
        left, self.error = self.error, None
        response = await super().handle(callback)
        return self.refuse(left) if left else response

    def parse(self, body: bytes, kind: type[_Kind]) -> _Kind:
        try:
            return super().parse(body, kind)
        except RefusedCallback as error:
            self.error = error if error.info.endswith("JSON document") else None
            raise


@breaks("bad.no-leak")
class _Traceback(ReferenceBackend):
    """Answers a body that is no JSON with its traceback."""

    async def handle(self, callback: IncomingCallback) -> Response:
        try:
            json.loads(callback.body)
        except ValueError:
            return PlainTextResponse(traceback.format_exc(), 400)
        except RecursionError:
            pass
        return await super().handle(callback)


@breaks("bad.no-echo")
class _ErrorPage(ReferenceBackend):
    """Answers a packet without MemberList_Account with an HTML page that repeats its Reason."""

    async def handle(self, callback: IncomingCallback) -> Response:
        response = await super().handle(callback)
        try:
            packet = self.parse(callback.body, dict)
        except RefusedCallback:
            return response
        if _LIST in packet:
            return response
        return HTMLResponse(f"<h1>Nobody has left</h1><p>Reason: {packet.get('Reason')}</p>", 400)
