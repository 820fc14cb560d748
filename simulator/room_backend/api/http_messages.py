"""Reads requests and writes responses of the mock Room backend's HTTP API."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from roomhook.simulator.room_backend.runtime.activity import ApiCall, CallListener
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code

__all__ = [
    "BodyTooLargeError",
    "announce",
    "answering",
    "fail",
    "json_response",
    "read_body",
    "read_number",
    "read_packet",
    "too_large",
]

_LARGEST_BODY: Final = 16 * 1024 * 1024
_STATUSES: Final = {
    Code.NO_ROOM: 404,
    Code.NOT_A_MEMBER: 404,
    Code.BAD_SDKAPPID: 404,
    Code.NO_SDKAPPID: 400,
    Code.BAD_PARAMETER: 400,
    Code.BAD_JSON: 400,
    Code.INTERNAL: 503,
}
_encode: Final = msgspec.json.Encoder().encode
_Packet = TypeVar("_Packet", bound=msgspec.Struct)


class BodyTooLargeError(Exception):
    """A body is larger than any documented one."""


def fail(code: Code, info: str) -> dict[str, Any]:
    """A response packet with ActionStatus FAIL."""
    return {"ActionStatus": "FAIL", "ErrorInfo": info, "ErrorCode": int(code)}


def json_response(value: Any, status: int = 200) -> Response:
    """*value* as JSON."""
    return Response(_encode(value), status, media_type="application/json")


def answering(run: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    """Sends the result of *run* as JSON, and a ``BackendError`` with the HTTP status that fits it."""

    async def answer(request: Request) -> Response:
        try:
            return json_response(await run(request))
        except BackendError as error:
            return json_response(fail(error.code, error.info), _STATUSES.get(error.code, 409))

    return answer


async def too_large(_: Request, __: Exception) -> Response:
    """The response to a body that is too large; closes the connection."""
    packet = fail(Code.BAD_PARAMETER, f"the body has more than {_LARGEST_BODY} bytes")
    response = json_response(packet, 413)
    response.headers["Connection"] = "close"
    return response


async def read_body(request: Request) -> bytes:
    """The whole body; raises ``BodyTooLargeError``, and ``BackendError`` for one that is cut off."""
    length = request.headers.get("content-length", "0")
    if length.isdigit() and (len(length) > 15 or int(length) > _LARGEST_BODY):
        raise BodyTooLargeError
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LARGEST_BODY:
                raise BodyTooLargeError
    except ClientDisconnect:
        raise BackendError(Code.BAD_HTTP, "the client closed the connection") from None
    request.state.body = bytes(body)
    return bytes(body)


def announce(listeners: Sequence[CallListener], request: Request, began_ns: int, code: int, info: str) -> None:
    """Tell *listeners* about a call that began at *began_ns* (monotonic) and was answered with *code*."""
    elapsed_us = (time.monotonic_ns() - began_ns) // 1000
    body = getattr(request.state, "body", b"")
    call = ApiCall(time.time_ns() // 1000, request.url.path, body, code, info, elapsed_us)
    for listener in listeners:
        listener(call)


async def read_packet(request: Request, kind: type[_Packet]) -> _Packet:
    """The body as a packet; raises ``BackendError`` for one that does not match its schema."""
    body = await read_body(request)
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise BackendError(Code.BAD_PARAMETER, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BackendError(Code.BAD_JSON, str(error) or "nested too deeply") from None


def read_number(request: Request, name: str, default: int | None) -> int | None:
    """A number of the query; raises ``BackendError`` for anything else."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise BackendError(Code.BAD_PARAMETER, f"{name} must be an integer")
    return int(text)
