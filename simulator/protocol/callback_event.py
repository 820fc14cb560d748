"""One callback to be sent, from its source (traffic, a file) to the code that sends or records it."""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from roomhook.errors import ConfigurationError

__all__ = ["CallbackEvent", "check_out_in", "from_line", "read_lines", "to_line", "with_type"]

_TYPE: Final = re.compile(rb'"Type"\s*:\s*"([^"]{1,20})"')


class CallbackEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A callback without a target: everything that does not depend on the callback URL.

    ``time_ms`` is the intended time of sending (ms since the epoch). ``body`` is sent byte for byte. ``command``,
    ``client_ip`` and ``platform`` become the URL parameters of the same meaning. ``check_out`` is the packet's Type,
    for statistics; empty if the body has not been parsed (``check_out_in``). A recorded event has the ``query`` that it
    travelled with, from SdkAppid on; empty for any other, or if that is not known.
    """

    time_ms: int
    command: str
    client_ip: str
    platform: str
    body: bytes
    check_out: str = ""
    query: str = ""


class _Line(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An event as a line of NDJSON; a body that is no JSON document travels as base64."""

    time: int
    parameters: dict[str, str]
    packet: msgspec.Raw = msgspec.Raw()
    body_base64: str = ""


_line_encoder = msgspec.json.Encoder()
_line_decoder = msgspec.json.Decoder(_Line)


def to_line(event: CallbackEvent) -> bytes:
    """*event* as one line of NDJSON with its line feed; the bytes of the packet do not change."""
    line = _Line(
        time=event.time_ms,
        parameters={"CallbackCommand": event.command, "ClientIP": event.client_ip, "OptPlatform": event.platform},
    )
    if _is_one_line_of_json(event.body):
        line.packet = msgspec.Raw(event.body)
    else:
        line.body_base64 = base64.b64encode(event.body).decode()
    return _line_encoder.encode(line) + b"\n"


def from_line(line: bytes) -> CallbackEvent:
    """The event in a *line* of NDJSON; raises ``ConfigurationError`` for anything else."""
    try:
        found = _line_decoder.decode(line)
        body = base64.b64decode(found.body_base64, validate=True) if found.body_base64 else bytes(found.packet)
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigurationError(f"not a line of callbacks as `roomhook traffic` writes them: {error}") from None
    get = found.parameters.get
    return with_type(
        found.time,
        get("CallbackCommand", "Room.CallbackAfterMemberLeave"),
        get("ClientIP", "127.0.0.1"),
        get("OptPlatform", "Unknown"),
        body,
    )


def read_lines(lines: Iterable[bytes], name: str) -> Iterator[CallbackEvent]:
    """The events in *lines* of NDJSON, blank ones skipped; errors name the file *name* and the line."""
    for number, raw in enumerate(lines, 1):
        line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw  # editors on Windows begin a file with it
        if line.strip():
            try:
                yield from_line(line)
            except ConfigurationError as error:
                raise ConfigurationError(f"{name}, line {number}: {error}") from None


def with_type(
    time_ms: int, command: str, client_ip: str, platform: str, body: bytes, *, query: str = ""
) -> CallbackEvent:
    """An event whose ``check_out`` is read out of its *body*."""
    return CallbackEvent(time_ms, command, client_ip, platform, body, check_out_in(body), query)


def check_out_in(packet: bytes) -> str:
    """The Type in the bytes of a *packet*, or of a request with one; ``?`` if there is none that is short enough."""
    match = _TYPE.search(packet)
    return match[1].decode(errors="replace") if match else "?"


def _is_one_line_of_json(body: bytes) -> bool:
    if b"\n" in body or b"\r" in body:
        return False
    try:
        parsed: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return False
    return parsed is not None
