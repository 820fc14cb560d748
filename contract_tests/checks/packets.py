"""Requirements on what a valid packet may hold: type, members, count, reason, ids, operator, time and its JSON form."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.baseline import NotJudgedError
from roomhook.contract_tests.harness.case import Case
from roomhook.contract_tests.harness.drafts import ABSENT, CallbackDraft

__all__ = ["dumped"]

_PAGE_SAMPLE_TIME: Final = 1670574414123
"""EventTime of the page's sample, ms: 2022-12-09 08:26:54.123 UTC."""

_ESCAPED_REASON: Final = (
    '"quoted" \\back\\ /slash/ \b\f\n\r\t tab \x01 {"json":["inside"]} 100% %s \u00e9\u65e5\U0001f600 \u2028'
)


def _with_reason(reason: str) -> Callable[[Case], CallbackDraft]:
    return lambda case: case.leave(Reason=reason)


def _with_count(count: int) -> Callable[[Case], CallbackDraft]:
    return lambda case: case.leave(MemberCount=count)


def _with_members(count: int) -> Callable[[Case], CallbackDraft]:
    return lambda case: case.leave(MemberList_Account=case.accounts(count))


def _ahead(case: Case) -> CallbackDraft:
    if case.run.settings.members:
        raise NotJudgedError(
            "a member who leaves ahead of the clock can't enter for a while, and --member names all that there are"
        )
    return case.leave(EventTime=case.run.now_ms() + 5500)


def _kicked(case: Case) -> CallbackDraft:
    member, operator = case.accounts(2)
    return case.leave(
        Type="Kicked", MemberList_Account=[member], Operator_Account=operator, Reason="kicked by the owner"
    )


def dumped(**options: Any) -> Callable[[dict[str, Any]], bytes]:
    """What writes a packet with these options of ``json.dumps``."""
    return lambda packet: json.dumps(packet, **options).encode()


def _sorted(*, reverse: bool) -> Callable[[dict[str, Any]], bytes]:
    return lambda packet: json.dumps(dict(sorted(packet.items(), reverse=reverse)), separators=(",", ":")).encode()


_ACKNOWLEDGED: Final[dict[str, Callable[[Case], CallbackDraft]]] = {
    "type.kicked": lambda case: case.leave(Type="Kicked", Reason="kicked out"),
    "type.expired": lambda case: case.leave(Type="Expired", Reason="heartbeat expired"),
    "members.two": _with_members(2),
    "members.twenty": _with_members(20),
    "count.zero": _with_count(0),
    "count.one": _with_count(1),
    "count.large": _with_count(300),
    "count.huge": _with_count(100_000),
    "reason.empty": _with_reason(""),
    "reason.unicode": _with_reason("网络断开 \N{CRYING FACE} 再见"),
    "reason.escapes": lambda case: case.leave(Reason=_ESCAPED_REASON).sent_as(body=dumped(ensure_ascii=True)),
    "reason.long": _with_reason("a long reason, " * 66 + "1000 bytes"),
    "id.user-max": lambda case: case.leave(MemberList_Account=[case.account().ljust(32, "x")[:32]]),
    "id.room-max": lambda case: case.leave(RoomId=case.room().ljust(48, "x")[:48]),
    "operator.other": _kicked,
    "time.ahead": _ahead,
    "packet.extra-field": lambda case: case.leave(RoomType="Conference", Extra={"nested": [1, None, True]}),
    "packet.whitespace": lambda case: case.leave().sent_as(body=dumped(indent="\t")),
}


_COMES_FIRST: Final = {
    "members.twenty": "members.two",
    "count.huge": "count.large",
    "reason.escapes": "reason.unicode",
    "operator.other": "type.kicked",
}
"""Cases that depart in a second point as well, to the requirement on that point: it alone is blamed."""


@check(*_ACKNOWLEDGED)
def acknowledged(case: Case) -> None:
    """One departure from the baseline, which a sane App backend does not mind."""
    if case.requirement.id in _COMES_FIRST:
        case.needs(_COMES_FIRST[case.requirement.id])
    case.acknowledges(_ACKNOWLEDGED[case.requirement.id](case))


@check("id.system")
def system_accounts(case: Case) -> None:
    """The operators that the system itself uses: a sibling's captured packet, and the REST administrator."""
    case.needs("operator.other")
    for operator in ("@TIM#SYSTEM", "administrator"):
        case.acknowledges(case.leave(Type="Kicked", Operator_Account=operator), note=f"Operator_Account {operator}")


_PUNCTUATION: Final = ("+ %&=?#;:,~", "!$()<>@[]^_{}|-")
"""What the engine allows in its RoomIds (protocol.md 4), but for the full stop: all our RoomIds have one."""


@check("id.punctuation")
def punctuation(case: Case) -> None:
    """Space and signs within a RoomId, none of them at its end, where people trim."""
    for signs in _PUNCTUATION:
        case.acknowledges(case.leave(RoomId=f"{case.room()}{signs}x"), note=f"a RoomId with {signs}")


@check("id.unicode")
def unicode_rooms(case: Case) -> None:
    """RoomIds within the Basic Multilingual Plane and beyond it, where a character takes four bytes."""
    for end in ("会议室", "\N{GRINNING FACE}"):
        case.acknowledges(case.leave(RoomId=f"{case.room()}-{end}"), note=f"a RoomId with {end}")


@check("packet.key-order")
def key_order(case: Case) -> None:
    """Keys by the alphabet and against it, so that each of two stands first once."""
    for reverse, how in ((True, "against the alphabet"), (False, "by the alphabet")):
        case.acknowledges(case.leave().sent_as(body=_sorted(reverse=reverse)), note=f"a packet with its keys {how}")


@check("packet.large")
def large_packet(case: Case) -> None:
    """An unknown field makes a packet larger than buffers and columns of common sizes."""
    for size in (8, 64):
        what = f"a packet of {size} KiB"
        case.survives(case.leave(CustomInfo="x" * (size << 10)), what, watched=f"a leave in {what}")


@check("id.numeric")
def numeric_account(case: Case) -> None:
    """An account beyond 2^53, which a detour through a number would change (protocol.md 3.6)."""
    case.acknowledges(case.leave(MemberList_Account=["144115233775727695"], Operator_Account="144115233775727695"))


@check("time.old")
def old_events(case: Case) -> None:
    """The page's own sample, and an event that a retry brings ten minutes late."""
    case.acknowledges(case.leave(EventTime=_PAGE_SAMPLE_TIME), note="EventTime of 2022, as the page's sample has it,")
    case.acknowledges(case.leave(EventTime=case.run.now_ms() - 600_000), note="an event of ten minutes ago")


@check("type.unknown")
def unknown_type(case: Case) -> None:
    """A check-out method added later."""
    case.survives(case.leave(Type="Displaced"), "Type Displaced, unknown today,", watched="a leave of Type Displaced")


@check("reason.nul")
def nul_in_reason(case: Case) -> None:
    """An escaped NUL, which some databases refuse to store."""
    draft = case.leave(Reason="before\x00after").sent_as(body=dumped(ensure_ascii=True))
    case.survives(draft, "a Reason with an escaped NUL", watched="a Reason with an escaped NUL")


@check("reason.absent")
def absent_reason(case: Case) -> None:
    """Whether a Reason is always sent is not documented (protocol.md 7.5)."""
    case.survives(case.leave(Reason=ABSENT), "a packet without Reason", watched="a leave without Reason")


@check("operator.empty")
def empty_operator(case: Case) -> None:
    """Who operates an expiry is not documented (protocol.md 7.4)."""
    case.needs("type.expired")
    draft = case.leave(Type="Expired", Operator_Account="")
    case.survives(draft, "an Expired packet with an empty operator", watched="an Expired leave with an empty operator")
