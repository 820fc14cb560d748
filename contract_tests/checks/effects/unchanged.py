"""What must change nothing in a room: callbacks that are refused, other commands, and malformed leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.baseline import NotJudgedError
from roomhook.contract_tests.harness.case import Case, passes, taken_as_valid
from roomhook.contract_tests.harness.drafts import (
    ABSENT,
    BEYOND_WINDOW_S,
    CallbackDraft,
    signed_at,
    unsigned,
    wrong_sign,
)
from roomhook.contract_tests.harness.effects import blame_state, deliver, leave_draft, side_by_side
from roomhook.contract_tests.harness.foreign_app import other_region
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.packets import ENTER_COMMAND
from roomhook.simulator.protocol.response_check import Violation

__all__: list[str] = []

_UNKNOWN_COMMAND: Final = "Room.CallbackAfterSomethingNew"
_CREATE_COMMAND: Final = "Room.CallbackAfterCreateRoom"
_DESTROY_COMMAND: Final = "Room.CallbackAfterDestroyRoom"
_UPDATE_COMMAND: Final = "Room.CallbackAfterUpdateRoomInfo"
_OTHER_COMMANDS: Final = (_CREATE_COMMAND, _UPDATE_COMMAND, _UNKNOWN_COMMAND, "Mic.CallbackAfterSeatInfoChanged")
_COMMANDS_ABOUT_ROOMS: Final = (_UPDATE_COMMAND, _CREATE_COMMAND, _DESTROY_COMMAND)

_NUMBER_IN_LIST: Final = "a leave of a member and a number"
_WRONG_FIELDS: Final[dict[str, dict[str, Any]]] = {
    _NUMBER_IN_LIST: {},
    "a leave without Type": {"Type": ABSENT},
    "a leave without EventTime": {"EventTime": ABSENT},
    "a leave without MemberCount": {"MemberCount": ABSENT},
    "a leave with a number as Type": {"Type": 3},
    "a leave with a number as Reason": {"Reason": 5},
}
"""Leaves that are wrong in one field, which an App backend may find out after it has acted."""


@dataclass(frozen=True)
class _Attempt:
    """A callback that must leave its *account* where it is: in words, and as it is sent.

    ``lawful_if_acknowledged``: an App backend that does not look at the field at fault may apply it.
    """

    what: str
    draft: CallbackDraft
    account: str
    lawful_if_acknowledged: bool = False


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
    leave = leave_draft(case, room, [account])
    what = f"a leave of SdkAppid {foreign}"
    sent = _changes_nothing(
        case, room, [_Attempt(what, leave.url(SdkAppid=foreign), account)], witness, {account, other}
    )
    _takes_effect_after_a_refusal(case, room, leave, sent[0], {other}, f"{what}, and the same packet with your own")


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
    sent = _changes_nothing(case, room, tried, witness, {other, *members})
    genuine = leave_draft(case, room, members[:1])
    what = "an unsigned leave, and the same packet with a right Sign"
    _takes_effect_after_a_refusal(case, room, genuine, sent[0], {other, *members[1:]}, what)


def _unsigned_enter(case: Case, room: str, account: str) -> CallbackDraft:
    enter = leave_draft(case, room, [account], CallbackCommand=ENTER_COMMAND, Type="Enter", Reason=ABSENT)
    return enter.url(CallbackCommand=ENTER_COMMAND).sent_as(signature=unsigned)


@check("effect.command")
def other_commands(case: Case) -> None:
    """Other commands of the family, and unknown ones, take nobody out and bring nobody in."""
    case.needs("effect.leave")
    case.needs("command.sibling")
    case.needs("command.unknown")
    few = bool(case.run.settings.members)
    account, witness, other, *outside = case.accounts(3 if few else 4)
    room = case.populated_room([account, witness, other])
    what = "other commands of the family that list a member"
    unknown = {"CallbackCommand": _UNKNOWN_COMMAND, "Type": "Muted"}
    tried = [
        _Attempt(
            what,
            leave_draft(case, room, [account], CallbackCommand=command, Type=ABSENT).url(CallbackCommand=command),
            account,
        )
        for command in _OTHER_COMMANDS
    ]
    for stranger in outside:
        lists_them = leave_draft(case, room, [stranger], **unknown).url(CallbackCommand=_UNKNOWN_COMMAND)
        tried.append(_Attempt("an unknown command that lists somebody outside", lists_them, stranger))
    _changes_nothing(case, room, tried, witness, {account, other})
    if not case.findings and case.run.access.enter is None and not case.run.settings.room:
        _destroyed_and_back(case, room, *(outside or [witness]))
        if not few:
            rooms = [(command, case.room(), case.accounts(2)) for command in _COMMANDS_ABOUT_ROOMS]
            side_by_side(case, lambda one: _keeps_its_people(case, *one), rooms)


def _keeps_its_people(case: Case, command: str, room: str, people: Sequence[str]) -> None:
    """A room keeps who is inside when its data change, when CreateRoom comes late, and when another is destroyed."""
    account, witness = people
    told, began, what = room, case.run.ids.next_event_time(), f"{command} of {room}"
    if command == _DESTROY_COMMAND:  # of a room that both were in before, whose RoomId is the beginning of this one
        room = f"{room}q"  # no RoomId of a run ends in a letter: that would be somebody else's room
        what = f"{command} of {told}, where they had been before"
        if case.bring_in(people, told) is not None:
            return
    if case.bring_in(people, room) is not None:
        return
    at = {"EventTime": began} if command == _CREATE_COMMAND else {}
    shown = case.send(_about_room(case, command, told, account, **at))
    deliver(case, case.build(leave_draft(case, room, [witness])))
    members = case.settled(room, {account}, among={account, witness})
    if members != {account}:
        blame_state(case, room, shown, {account}, members, f"after {what}")


def _about_room(case: Case, command: str, room: str, owner: str, **fields: Any) -> CallbackRequest:
    """*command* about *room* as the pages show it: DestroyRoom has its RoomId, and the others a RoomInfo."""
    absent = dict.fromkeys(("MemberCount", "Type", "MemberList_Account", "Reason"), ABSENT)
    if command != _DESTROY_COMMAND:
        info = {"RoomId": room, "RoomName": "standup", "RoomType": "Meeting", "Owner_Account": owner}
        fields |= {"RoomId": ABSENT, "RoomInfo": info}
    draft = leave_draft(case, room, [owner], **absent, CallbackCommand=command, **fields)
    return case.build(draft.url(CallbackCommand=command))


def _destroyed_and_back(case: Case, room: str, account: str) -> None:
    """Destroy *room*, create it again, since a RoomId may be used again, and let *account* enter it."""
    for command in (_DESTROY_COMMAND, _CREATE_COMMAND):
        case.send(_about_room(case, command, room, account))
    shown = case.send(case.build_enter([account], room))
    if shown.acknowledged and account not in case.settled(room, {account}, among={account}):
        blame_state(
            case,
            room,
            shown,
            {account},
            set(),
            f"after {account} entered {room}, which had been destroyed and created again",
        )


@check("effect.bad-input")
def malformed(case: Case) -> None:
    """Malformed leaves of real members change nothing, and valid ones are applied after them."""
    case.needs("effect.leave")
    case.needs("bad.array")
    few = bool(case.run.settings.members)
    wrong = {} if few else _WRONG_FIELDS
    account, witness, other, *members = case.accounts(3 + len(wrong))
    late_witness = [] if few else [case.account()]
    staying = [account, other, *late_witness, *members]
    room = case.populated_room([witness, *staying])
    tried = [_Attempt("malformed leaves", draft, account) for draft in _malformed(leave_draft(case, room, [account]))]
    for member, (what, fields) in zip(members, wrong.items(), strict=True):
        draft = leave_draft(case, room, [member]).packet(**fields)
        if what == _NUMBER_IN_LIST:
            draft = draft.packet(MemberList_Account=[member, 5])
        tried.append(_Attempt(what, draft, member, lawful_if_acknowledged=True))
    _changes_nothing(case, room, tried, witness, set(staying))
    for one in late_witness if not case.findings and passes(case, "bad.alive") else ():
        _leaves_after_poison(case, room, one)


def _malformed(leave: CallbackDraft) -> list[CallbackDraft]:
    """What *leave* may be mistaken for by an App backend that makes do with parts of a packet."""
    bodies: list[Callable[[dict[str, Any]], bytes]] = [
        lambda packet: json.dumps(packet).encode()[:-2],
        lambda packet: f"[{json.dumps(packet)}]".encode(),
        lambda packet: json.dumps(json.dumps(packet)).encode(),
    ]
    return [
        *(leave.sent_as(body=body) for body in bodies),
        leave.packet(MemberList_Account=leave.fields["MemberList_Account"][0]),
        leave.packet(CallbackCommand=ABSENT, Type=ABSENT),
    ]


def _leaves_after_poison(case: Case, room: str, leaver: str) -> None:
    """A valid leave of *leaver* takes effect after leaves of a stranger with values that few databases take."""
    stranger = case.account()
    leave = leave_draft(case, room, [stranger])
    poison = [leave.packet(EventTime=10**20), leave.sent_as(body=_with_half_a_pair)]
    for draft in poison:
        case.send(case.build(draft))
    own = deliver(case, case.build(leave_draft(case, room, [leaver])))
    if case.settled(room, set(), among={leaver}):
        what = "a leave with EventTime 10^20, one with half a surrogate pair as an account, and a valid one"
        breach = Violation("", f"{leaver} gone from the room", f"{leaver} still in the room")
        case.blame(own, f"after {what}, {leaver} is still in {room}", breach)


def _with_half_a_pair(packet: dict[str, Any]) -> bytes:
    return json.dumps({**packet, "MemberList_Account": ["\ud800"]}).encode()


def _takes_effect_after_a_refusal(  # noqa: PLR0917 (what came first, and who stays)
    case: Case, room: str, leave: CallbackDraft, refused: Exchange, staying: set[str], what: str
) -> None:
    """The *leave* must take effect with the packet that was *refused* before: it is no repeat."""
    if case.findings or refused.callback.body is None:
        return
    genuine = deliver(case, case.build(leave.sent_as(body=refused.callback.body)))
    members = case.settled(room, staying, among={*staying, *leave.fields["MemberList_Account"]})
    if members != staying:
        blame_state(case, room, genuine, staying, members, f"after {what}")


def _changes_nothing(
    case: Case, room: str, tried: Sequence[_Attempt], witness: str, staying: set[str]
) -> Sequence[Exchange]:
    """Send what is *tried*, which must change nothing; look once a valid leave of *witness* tells that it is through.

    *staying*: who must be in *room* then. Gives the exchanges of what was tried.
    """
    sent = [case.send(case.build(one.draft)) for one in tried]
    deliver(case, case.build(leave_draft(case, room, [witness])))
    both = list(zip(tried, sent, strict=True))
    free = {one.account for one, exchange in both if one.lawful_if_acknowledged and _may_be_applied(exchange)}
    expected, among = staying - free, {witness, *staying, *(one.account for one in tried)} - free
    members = case.settled(room, expected, among=among)
    wrong = members ^ expected
    if wrong:
        acted = [(one, exchange) for one, exchange in both if one.account in wrong] or both
        when = f"after {', '.join(dict.fromkeys(one.what for one, _ in acted))}"
        blame_state(case, room, acted[0][1], expected, members, when)
    return sent


def _may_be_applied(exchange: Exchange) -> bool:
    """Whether the target did not say that it refuses the callback."""
    return exchange.hung or taken_as_valid(exchange)
