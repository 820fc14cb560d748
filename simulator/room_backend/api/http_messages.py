"""Reads requests and writes responses of the mock Room backend's HTTP API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from roomhook.simulator.room_backend.state.error_codes import BackendError, Code

__all__ = ["answering", "fail", "json_response", "read_body", "read_number", "read_packet"]

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


async def read_body(request: Request) -> bytes:
    """The whole body; raises ``BackendError`` for one that is too large or cut off."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LARGEST_BODY:
                raise BackendError(Code.BAD_PARAMETER, f"the body has more than {_LARGEST_BODY} bytes")
    except ClientDisconnect:
        raise BackendError(Code.BAD_HTTP, "the client closed the connection") from None
    return bytes(body)


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
