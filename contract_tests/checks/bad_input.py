"""Requirements on malformed input: it is neither acknowledged nor crashes the handler, and harms nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.aftermath import Aftermath, blame_aftermath, then_valid
from roomhook.contract_tests.harness.case import Case, taken_as_valid
from roomhook.contract_tests.harness.drafts import ABSENT, CallbackDraft
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.simulator.protocol.response_check import Violation, header

__all__: list[str] = []

_DEPTH: Final = 10_000
_LARGE: Final = 1024 * 1024
_UNREAD: Final = "You seem never to read the body: all malformed bodies are acknowledged."
_NOT_UTF8: Final = "a body that is not UTF-8"
_NUMBERS: Final = ("MemberCount", "EventTime")
_LARGE_PACKET: Final = "a packet of 1 MiB"
_FAR_OFF: Final = "a packet with EventTime 10^20"
_MARKUP: Final = "<script>alert('roomhook')</script>"


@dataclass
class _BodyReader:
    """Whether the target reads bodies at all; None until it was asked."""

    reads: bool | None = None


def _text(packet: dict[str, Any]) -> str:
    return json.dumps(packet, separators=(",", ":"), ensure_ascii=False)


def _literal(body: bytes) -> Callable[[dict[str, Any]], bytes]:
    return lambda _: body


_BODIES: Final[dict[str, tuple[str, Callable[[dict[str, Any]], bytes]]]] = {
    "bad.empty": ("an empty body", _literal(b"")),
    "bad.text": ("a body of plain text", _literal(b"hello, this is no JSON")),
    "bad.truncated": ("a packet cut in half", lambda packet: _text(packet)[: len(_text(packet)) // 2].encode()),
    "bad.null": ("the body null", _literal(b"null")),
    "bad.array": ("an array around the packet", lambda packet: f"[{_text(packet)}]".encode()),
    "bad.scalar": ("a body of one number", _literal(b"42")),
    "bad.deep": (f"a body of {_DEPTH} nested arrays", _literal(b"[" * _DEPTH + b"]" * _DEPTH)),
}

_FIELDS: Final = {
    "callback-command": ("CallbackCommand", (7, None, [])),
    "operator-account": ("Operator_Account", (12, None, ["user1"])),
    "room-id": ("RoomId", (12, None, {"id": "r"})),
    "member-count": ("MemberCount", ("many", None, [1], 1.5)),
    "type": ("Type", (3, None, ["Leave"])),
    "member-list-account": ("MemberList_Account", ("user1", None, {"0": "user1"}, [1, None])),
    "reason": ("Reason", (5, None, {"text": "x"})),
    "event-time": ("EventTime", ("soon", None, [1])),
}
"""Case name to the field and to values of other types than the page's."""


def _draft(case: Case, body: Callable[[dict[str, Any]], bytes]) -> CallbackDraft:
    return case.leave().sent_as(body=body)


def _broken_utf8(packet: dict[str, Any]) -> bytes:
    return _text(packet).encode().replace(b'"RoomId":"', b'"RoomId":"\xff\xfe')


@check(*_BODIES)
def bodies(case: Case) -> None:
    """One body that is no packet."""
    what, body = _BODIES[case.requirement.id]
    then_valid(case, what, _draft(case, body), case.rejects)
    acknowledged = any(one.exchange is not None and taken_as_valid(one.exchange) for one in case.findings)
    if acknowledged and _reads_no_body(case):
        case.findings = [replace(one, hint=_UNREAD) for one in case.findings]


def _reads_no_body(case: Case) -> bool:
    """Whether every body that is no packet is acknowledged; asked once in a run."""
    kept = case.run.kept(_BodyReader)
    if kept.reads is None:
        kept.reads = not all(taken_as_valid(case.send(_draft(case, body))) for _, body in _BODIES.values())
    return not kept.reads


def _large(case: Case) -> CallbackDraft:
    return case.leave(Reason="x" * _LARGE)


def _with_nan(field: str) -> Callable[[dict[str, Any]], bytes]:
    return lambda packet: _text({**packet, field: 0}).replace(f'"{field}":0', f'"{field}":NaN').encode()


@check("bad.utf8")
def not_utf8(case: Case) -> None:
    """Bytes that are not UTF-8, which many decoders replace."""
    then_valid(case, _NOT_UTF8, _draft(case, _broken_utf8), case.survives)


@check("bad.nan")
def not_a_number(case: Case) -> None:
    """NaN in either number, which many decoders take."""
    for field in _NUMBERS:
        then_valid(case, f"a packet with NaN as {field}", _draft(case, _with_nan(field)), case.survives)


@check("bad.lenient")
def lenient(case: Case) -> None:
    """Worth knowing: a decoder that takes what is no JSON."""
    then_valid(case, _NOT_UTF8, _draft(case, _broken_utf8), case.tells_if_acknowledged)
    for field in _NUMBERS:
        what = f"a packet with NaN as {field}"
        then_valid(case, what, _draft(case, _with_nan(field)), case.tells_if_acknowledged)


@check("bad.large")
def large(case: Case) -> None:
    """A mebibyte of Reason: may be refused, may be accepted."""

    def send(draft: CallbackDraft, what: str) -> None:
        exchange = case.send(draft)
        if exchange.server_error:
            case.survives(draft, what)

    then_valid(case, _LARGE_PACKET, _large(case), send)


@check(*(f"bad.field-missing.{name}" for name in _FIELDS if name != "reason"))
def field_missing(case: Case) -> None:
    """One field is not there."""
    field = _FIELDS[case.requirement.id.rpartition(".")[2]][0]
    then_valid(case, f"a packet without {field}", case.leave(**{field: ABSENT}), case.survives)


@check(*(f"bad.field-type.{name}" for name in _FIELDS))
def field_type(case: Case) -> None:
    """One field has another type."""
    field, values = _FIELDS[case.requirement.id.rpartition(".")[2]]
    for value in values:
        then_valid(case, f"{field} = {json.dumps(value)}", case.leave(**{field: value}), case.survives)


@check("bad.duplicate-key")
def duplicate_key(case: Case) -> None:
    """Worth knowing: which of two equal keys wins, told from one good and one bad MemberList_Account."""

    def doubled(packet: dict[str, Any], *, good_first: bool) -> bytes:
        good, bad = f'"MemberList_Account":{json.dumps(packet["MemberList_Account"])}', '"MemberList_Account":7'
        rest = _text({key: value for key, value in packet.items() if key != "MemberList_Account"})
        pair = f"{good},{bad}" if good_first else f"{bad},{good}"
        return f"{{{pair},{rest[1:]}".encode()

    first = case.send(_draft(case, lambda packet: doubled(packet, good_first=True)))
    last = case.send(_draft(case, lambda packet: doubled(packet, good_first=False)))
    if first.acknowledged and not last.acknowledged:
        breach = Violation("", "the last, as most parsers have it", "the first")
        case.blame(first, "of two equal keys the first wins", breach)
    for exchange in (first, last):
        case.blame_crash(exchange, "a packet with two equal keys")


def _all_inputs(case: Case) -> Iterator[tuple[str, CallbackDraft]]:
    for what, body in _BODIES.values():
        yield what, _draft(case, body)
    yield _NOT_UTF8, _draft(case, _broken_utf8)
    for number in _NUMBERS:
        yield f"a packet with NaN as {number}", _draft(case, _with_nan(number))
    yield _LARGE_PACKET, _large(case)
    yield _FAR_OFF, case.leave(EventTime=10**20)
    for field, values in _FIELDS.values():
        yield f"a packet without {field}", case.leave(**{field: ABSENT})
        for value in values:
            yield f"{field} = {json.dumps(value)}", case.leave(**{field: value})


@check("bad.alive")
def alive(case: Case) -> None:
    """After every bad input, a valid callback; what fails once is tried once more from the bad input on."""
    blame_aftermath(case, _all_inputs(case))


@check("bad.no-leak")
def no_leak(case: Case) -> None:
    """Nothing of the inside in any answer of the whole run, and none to the bad inputs."""
    for what, draft in _all_inputs(case):
        if what not in case.run.kept(Aftermath).failed:
            case.send(draft)  # looked at in passing, like every other answer
    for seen in case.run.observations.seen("bad.no-leak"):
        case.blame(seen.exchange, seen.message, Violation("", seen.expected, seen.actual))


@check("bad.no-echo")
def no_echo(case: Case) -> None:
    """Markup from a packet must not come back raw in an HTML page."""
    drafts = [
        case.leave(Reason=_MARKUP),
        case.leave(RoomId=f"{case.room()}{_MARKUP}"[:48]),
        case.leave(Operator_Account=_MARKUP[:32]),
        case.leave(Type=_MARKUP),
        case.leave(Reason=_MARKUP, MemberList_Account=ABSENT),
        case.leave(Reason=_MARKUP).url(SdkAppid=ABSENT),
        _draft(case, _literal(_MARKUP.encode())),
        case.leave().url(OptPlatform=_MARKUP),
        case.leave().url(SdkAppid=_MARKUP),
        case.leave(CallbackCommand=_MARKUP).url(CallbackCommand=_MARKUP),
    ]
    for draft in drafts:
        exchange = case.send(draft)
        if _echoes(exchange):
            breach = Violation("", "the markup escaped, or left out", f"{_MARKUP[:8]}… in a page of type text/html")
            case.blame(exchange, "an HTML answer reflects markup of the callback", breach)
            return


def _echoes(exchange: Exchange) -> bool:
    if exchange.answer is None:
        return False
    kind = (header(exchange.answer, "Content-Type") or "").lower()
    return "html" in kind and _MARKUP[:16].encode() in exchange.answer.body
