"""Checks whether a response counts as delivered, and, separately, whether it is a compliant response packet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.packets import decode_response

__all__ = [
    "ACK_MUST",
    "Response",
    "ResponseVerdict",
    "Violation",
    "check_response",
    "header",
    "parse_json",
    "repeated_members",
]

ACK_MUST: Final = (
    "ack.status",
    "ack.complete",
    "ack.deadline",
    "ack.json",
    "ack.action-status",
    "ack.error-code",
    "ack.error-info",
    "ack.ok",
)
"""The requirements that every answer to a valid callback is held to, in the order in which they are blamed."""

_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response; ``elapsed_ms`` is the time from the first byte sent to the last byte read."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    elapsed_ms: float
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Violation:
    """One difference between a response and a compliant one; ``path`` is the JSON path to it, or empty."""

    requirement: str
    expected: str
    actual: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class ResponseVerdict:
    """Both results: ``outcome`` (does it count as delivered?) and ``breaches`` (is it compliant?)."""

    outcome: DeliveryOutcome
    breaches: tuple[Violation, ...]
    action_status: str | None = None
    error_code: int | None = None
    packet: Any = None

    @property
    def acknowledged(self) -> bool:
        """HTTP 200 in time with a compliant packet whose ActionStatus is OK, whatever its ErrorCode."""
        return not self.breaches

    @property
    def refused(self) -> bool:
        """Anything but HTTP 200 with ActionStatus OK; an OK with a non-zero ErrorCode refuses an invalid callback."""
        return bool(self.breaches) or self.error_code != 0


_COMPLIANT_OK = ResponseVerdict(DeliveryOutcome.DELIVERED, (), "OK", 0)


def header(answer: Response, name: str) -> str | None:
    """The first value of the header *name*, whatever its case, or None."""
    return next((value for key, value in answer.headers if key.lower() == name.lower()), None)


def parse_json(body: bytes) -> Any:
    """*body* as JSON; raises ``ValueError`` for what RFC 8259 does not allow (NaN, two documents, bad UTF-8).

    A byte order mark is tolerated: RFC 8259 lets a parser ignore one.
    """
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant, parse_int=_integer)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def repeated_members(body: bytes, names: Sequence[str]) -> dict[str, list[str]]:
    """Those of *names* that the object in *body* has more than once with different values, and those values as JSON.

    RFC 8259 (4) leaves open which one a reader takes. Equal values do no harm. The result is empty if *body* is not a
    JSON object.
    """
    try:
        top = json.loads(body.decode("utf-8-sig"), parse_int=_integer, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return {}
    found = {name: [_shown(value) for key, value in top if key == name] for name in names if isinstance(top, _Pairs)}
    return {name: values for name, values in found.items() if len(set(values)) > 1}


class _Pairs(list[tuple[str, Any]]):
    """The members of an object in order, with repetitions."""


def check_response(answer: Response, *, deadline_ms: float) -> ResponseVerdict:
    """Check *answer* to a valid callback against the page's response packet and the deadline (ms)."""
    in_time = answer.elapsed_ms <= deadline_ms
    if in_time and answer.complete and answer.status == 200:
        try:
            quick = decode_response(answer.body)
        except msgspec.DecodeError:
            pass
        else:
            if quick.action_status == "OK" and quick.error_code == 0:
                return _COMPLIANT_OK
    breaches = _transport_breaches(answer, deadline_ms, in_time=in_time)
    # The body of an error page, or half a response, is not meant to be a packet: report only the cause.
    answered = answer.status == 200 and answer.complete
    try:
        packet = parse_json(answer.body)
    except ValueError as error:
        if answered:
            breaches.append(Violation("ack.json", "one JSON document, an object", _shown_body(answer.body, error)))
        return ResponseVerdict(_outcome(answer, in_time=in_time, json_came=False), tuple(breaches))
    outcome = _outcome(answer, in_time=in_time, json_came=True)
    if not isinstance(packet, dict):
        if answered:
            breaches.append(Violation("ack.json", "an object", f"{_type_name(packet)} {_shown(packet)}", "$"))
        return ResponseVerdict(outcome, tuple(breaches), packet=packet)
    status, code = packet.get("ActionStatus"), packet.get("ErrorCode")
    if answered:
        breaches += _packet_breaches(packet)
    return ResponseVerdict(
        outcome,
        tuple(breaches),
        action_status=status if isinstance(status, str) else None,
        error_code=int(code) if isinstance(code, int | float) and _is_integer(code) else None,
        packet=packet,
    )


def _transport_breaches(answer: Response, deadline_ms: float, *, in_time: bool) -> list[Violation]:
    breaches: list[Violation] = []
    if answer.status != 200:
        breaches.append(Violation("ack.status", "HTTP 200", f"HTTP {answer.status}"))
    if not answer.complete:
        breaches.append(
            Violation("ack.complete", "the whole body that was announced", "the connection ended inside it")
        )
    if not in_time:
        allowed, taken = f"the last byte within {deadline_ms:g} ms", f"{answer.elapsed_ms:.0f} ms"
        breaches.append(Violation("ack.deadline", allowed, taken))
    return breaches


def _packet_breaches(packet: dict[str, Any]) -> list[Violation]:
    breaches: list[Violation] = []
    status = packet.get("ActionStatus", _MISSING)
    if status not in {"OK", "FAIL"} if isinstance(status, str) else True:
        breaches.append(Violation("ack.action-status", '"OK" or "FAIL"', _shown(status), "$.ActionStatus"))
    code = packet.get("ErrorCode", _MISSING)
    if not _is_integer(code):
        breaches.append(Violation("ack.error-code", "an integer", _shown(code), "$.ErrorCode"))
    info = packet.get("ErrorInfo", _MISSING)
    if not isinstance(info, str):
        breaches.append(Violation("ack.error-info", "a string", _shown(info), "$.ErrorInfo"))
    if status == "FAIL":
        said = f' ("ErrorInfo": {_shown(info)})' if isinstance(info, str) and info else ""
        breaches.append(Violation("ack.ok", '"OK"', f'"FAIL"{said}', "$.ActionStatus"))
    return breaches


def _outcome(answer: Response, *, in_time: bool, json_came: bool) -> DeliveryOutcome:
    if not in_time:
        return DeliveryOutcome.TIMEOUT
    if not answer.complete:
        return DeliveryOutcome.INCOMPLETE
    if answer.status != 200:
        return DeliveryOutcome.HTTP_STATUS
    return DeliveryOutcome.DELIVERED if json_came else DeliveryOutcome.NOT_JSON


def _is_integer(value: Any) -> bool:
    """Whether *value* is an integer in JSON Schema: 0.0 is one, and true is not."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int:
    return int(digits[:1000])  # int() refuses thousands of digits; so large a number is good for its type alone


def _type_name(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def _shown(value: Any, limit: int = 120) -> str:
    if value is _MISSING:
        return "nothing: it is missing"
    text = json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()  # half a surrogate pair
    return text if len(text) <= limit else f"{text[:limit]}…"


def _shown_body(body: bytes, error: ValueError) -> str:
    if not body:
        return "an empty body"
    text = body[:120].decode(errors="backslashreplace")
    return f"{text!r}{'…' if len(body) > 120 else ''} ({error})"
