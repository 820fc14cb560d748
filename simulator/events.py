"""One callback that is to be sent, on its way from who makes it (traffic, a file) to who sends or records it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from roomhook.schemas.errors import ConfigurationError

__all__ = ["Event", "from_line", "read_lines", "to_line"]


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A callback as yet without a target: everything of it that does not depend on the callback URL.

    ``time_ms`` is the intended moment of sending, ms since the epoch. ``body`` is sent byte by byte as it is.
    ``command``, ``client_ip`` and ``platform`` become the URL parameters of the same meaning.
    """

    time_ms: int
    command: str
    client_ip: str
    platform: str
    body: bytes


class _Line(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An event as a line of NDJSON; a body that is no JSON document travels as base64."""

    time: int
    parameters: dict[str, str]
    packet: msgspec.Raw = msgspec.Raw()
    body_base64: str = ""


_line_encoder = msgspec.json.Encoder()
_line_decoder = msgspec.json.Decoder(_Line)


def to_line(event: Event) -> bytes:
    """*event* as one line of NDJSON with its line feed; the packet's bytes are kept as they are."""
    line = _Line(
        time=event.time_ms,
        parameters={"CallbackCommand": event.command, "ClientIP": event.client_ip, "OptPlatform": event.platform},
    )
    if _is_one_line_of_json(event.body):
        line.packet = msgspec.Raw(event.body)
    else:
        line.body_base64 = base64.b64encode(event.body).decode()
    return _line_encoder.encode(line) + b"\n"


def from_line(line: bytes) -> Event:
    """The event in a *line* of NDJSON; raises ``ConfigurationError`` for anything else."""
    try:
        found = _line_decoder.decode(line)
        body = base64.b64decode(found.body_base64, validate=True) if found.body_base64 else bytes(found.packet)
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigurationError(f"not a line of callbacks as `roomhook traffic` writes them: {error}") from None
    get = found.parameters.get
    return Event(
        found.time,
        get("CallbackCommand", "Room.CallbackAfterMemberLeave"),
        get("ClientIP", "127.0.0.1"),
        get("OptPlatform", "Unknown"),
        body,
    )


def read_lines(lines: Iterable[bytes], name: str) -> Iterator[Event]:
    """The events in *lines* of NDJSON, blank ones skipped; errors name the file *name* and the line."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield from_line(line)
            except ConfigurationError as error:
                raise ConfigurationError(f"{name}, line {number}: {error}") from None


def _is_one_line_of_json(body: bytes) -> bool:
    if b"\n" in body or b"\r" in body:
        return False
    try:
        parsed: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return False
    return parsed is not None
