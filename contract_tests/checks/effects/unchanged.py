"""What must change nothing in a room: callbacks that are refused, other commands, and malformed leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.baseline import NotJudgedError
from roomhook.contract_tests.harness.case import Case, passes
from roomhook.contract_tests.harness.drafts import (
    ABSENT,
    BEYOND_WINDOW_S,
    CallbackDraft,
    signed_at,
    unsigned,
    wrong_sign,
)
from roomhook.contract_tests.harness.effects import blame_state, deliver, leave_draft
from roomhook.contract_tests.harness.foreign_app import other_region
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.simulator.protocol.packets import ENTER_COMMAND

__all__: list[str] = []

_OTHER_COMMANDS: Final = (
    "Room.CallbackAfterCreateRoom",
    "Room.CallbackAfterUpdateRoomInfo",
    "Room.CallbackAfterSomethingNew",
    "Mic.CallbackAfterSeatInfoChanged",
)


@dataclass(frozen=True)
class _Attempt:
    """A callback that must leave its *account* where it is: in words, and as it is sent."""

    what: str
    draft: CallbackDraft
    account: str


@check("effect.app-id")
def foreign_app(case: Case) -> None:
    """A leave of somebody else's app changes nothing."""
    case.needs("effect.leave")
    explicit = case.run.settings.refusal == "explicit"
    if explicit:
        case.needs("app-id.wrong")
    account, witness, other = case.accounts(3)
    room = case.populated_room([account, witness, other])
    foreign = other_region(str(case.run.settings.sdkappid))
    leave = leave_draft(case, room, [account]).url(SdkAppid=foreign)
    _changes_nothing(
        case, room, [_Attempt(f"a leave of SdkAppid {foreign}", leave, account)], witness, {account, other}
    )


@check("effect.sign")
def unproven(case: Case) -> None:
    """Callbacks without a right Sign, or with a stale one, change nothing."""
    if case.run.settings.token is None:
        raise NotJudgedError("no token given (ROOMHOOK_TOKEN)")
    case.needs("effect.leave")
    if case.run.settings.refusal == "explicit":
        case.needs("sign.missing")
        case.needs("sign.wrong")
    witness, other, stranger, *members = case.accounts(7)
    room = case.populated_room([witness, other, *members])
    leaves = [leave_draft(case, room, [one]).sent_as(signature=unsigned) for one in members]
    tried = [
        _Attempt("an unsigned leave", leaves[0], members[0]),
        _Attempt("a leave with a wrong Sign", leaves[1].sent_as(signature=wrong_sign), members[1]),
        _Attempt(
            "an unsigned leave under an enter in the URL", leaves[2].url(CallbackCommand=ENTER_COMMAND), members[2]
        ),
        _Attempt("an unsigned enter", _unsigned_enter(case, room, stranger), stranger),
    ]
    if passes(case, "sign.stale"):
        stale = leaves[3].sent_as(signature=signed_at(-BEYOND_WINDOW_S))
        tried.append(_Attempt(f"a leave with a RequestTime {BEYOND_WINDOW_S} s ago", stale, members[3]))
    _changes_nothing(case, room, tried, witness, {other, *members})


def _unsigned_enter(case: Case, room: str, account: str) -> CallbackDraft:
    enter = leave_draft(case, room, [account], CallbackCommand=ENTER_COMMAND, Type="Enter", Reason=ABSENT)
    return enter.url(CallbackCommand=ENTER_COMMAND).sent_as(signature=unsigned)


@check("effect.command")
def other_commands(case: Case) -> None:
    """Commands of the family that are no leave, and one that nobody has heard of, take nobody out."""
    case.needs("effect.leave")
    case.needs("command.sibling")
    case.needs("command.unknown")
    account, witness, other = case.accounts(3)
    room = case.populated_room([account, witness, other])
    what = "other commands of the family that list a member"
    tried = [
        _Attempt(
            what,
            leave_draft(case, room, [account], CallbackCommand=command, Type=ABSENT).url(CallbackCommand=command),
            account,
        )
        for command in _OTHER_COMMANDS
    ]
    _changes_nothing(case, room, tried, witness, {account, other})


@check("effect.bad-input")
def malformed(case: Case) -> None:
    """Malformed leaves of a real member change nothing."""
    case.needs("effect.leave")
    case.needs("bad.array")
    account, witness, other = case.accounts(3)
    room = case.populated_room([account, witness, other])
    leave = leave_draft(case, room, [account])
    bodies: list[Callable[[dict[str, Any]], bytes]] = [
        lambda packet: json.dumps(packet).encode()[:-2],
        lambda packet: f"[{json.dumps(packet)}]".encode(),
        lambda packet: json.dumps(json.dumps(packet)).encode(),
    ]
    drafts = [
        *(leave.sent_as(body=body) for body in bodies),
        leave.packet(MemberList_Account=account),
        leave.packet(CallbackCommand=ABSENT, Type=ABSENT),
    ]
    tried = [_Attempt("malformed leaves", draft, account) for draft in drafts]
    _changes_nothing(case, room, tried, witness, {account, other})


def _changes_nothing(
    case: Case, room: str, tried: Sequence[_Attempt], witness: str, staying: set[str]
) -> Sequence[Exchange]:
    """Send what is *tried*, which must change nothing; look once a valid leave of *witness* tells that it is through.

    *staying*: who must be in *room* then. Gives the exchanges of what was tried.
    """
    sent = [case.send(case.build(one.draft)) for one in tried]
    deliver(case, case.build(leave_draft(case, room, [witness])))
    members = case.settled(room, staying)
    wrong = members ^ staying
    if wrong:
        acted = [(one, exchange) for one, exchange in zip(tried, sent, strict=True) if one.account in wrong]
        after = acted or list(zip(tried, sent, strict=True))
        when = f"after {', '.join(dict.fromkeys(one.what for one, _ in after))}"
        blame_state(case, room, after[0][1], staying, members, when)
    return sent
