"""The responses of the listener: those to valid callbacks, and refusals."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import Final

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.packets import OK_RESPONSE, ResponsePacket, encode
from roomhook.simulator.protocol.request_check import ValidationResult
from roomhook.simulator.util.durations import parse_duration

__all__ = ["CannedAnswer", "error_answer", "packet_answer", "parse_answer", "refusal"]

_PHRASES: Final = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    405: "Method Not Allowed",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
}
_REFUSED_WITH: Final = {"app-id": 403, "sign": 403, "method": 405}
_STATUS: Final = re.compile(r"[2-5][0-9]{2}")


@dataclass(frozen=True, slots=True)
class CannedAnswer:
    """A response as bytes: ``kept`` keeps the connection open, ``last`` closes it; sent after ``delay_s`` (s)."""

    kept: bytes
    last: bytes
    delay_s: float = 0.0


def parse_answer(text: str) -> CannedAnswer:
    """``ok``, ``fail``, ``status:503``, ``delay:3s`` or ``garbage``; raises ``ConfigurationError``."""
    kind, _, value = text.partition(":")
    if kind == "ok" and not value:
        return packet_answer(200, OK_RESPONSE)
    if kind == "fail" and not value:
        return error_answer(200, "told to fail")
    if kind == "garbage" and not value:
        garbage = b"\x16\x03\x01\x02\x00 this is not HTTP\r\n\r\n"
        return CannedAnswer(garbage, garbage)
    if kind == "status" and _STATUS.fullmatch(value):
        if value == "200":
            return packet_answer(200, OK_RESPONSE)
        return error_answer(int(value), f"told to answer {value}")
    if kind == "delay":
        ok = packet_answer(200, OK_RESPONSE)
        with contextlib.suppress(ConfigurationError):
            return CannedAnswer(ok.kept, ok.last, parse_duration(value) / 1000)
    raise ConfigurationError(f"--answer {text!r} is none of ok, fail, status:503, delay:3s, garbage")


def refusal(found: ValidationResult) -> CannedAnswer:
    """The response to a request with a problem: FAIL with the problem, and a fitting status."""
    return error_answer(_REFUSED_WITH.get(found.refusal or "", 400), found.problem or "")


def error_answer(status: int, problem: str) -> CannedAnswer:
    """FAIL with *problem*."""
    return packet_answer(status, ResponsePacket(action_status="FAIL", error_info=problem[:200], error_code=1))


def packet_answer(status: int, packet: ResponsePacket) -> CannedAnswer:
    """*packet* with this HTTP status; 204 and 304 have no body."""
    body = b"" if status in {204, 304} else encode(packet)
    length = b"" if status in {204, 304} else b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    line = f"HTTP/1.1 {status} {_PHRASES.get(status, 'Told To')}\r\n".encode()
    return CannedAnswer(b"%b%b\r\n%b" % (line, length, body), b"%b%bConnection: close\r\n\r\n%b" % (line, length, body))
