"""Requirements on what the App backend does with a callback, told by a probe of who is in a room."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote, unquote_plus

from roomhook.contract_tests.checks.effects.episodes import AHEAD, BACK_AFTER_REPEAT, STILL_INSIDE
from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.baseline import NotJudgedError
from roomhook.contract_tests.harness.case import Case, passes
from roomhook.contract_tests.harness.drafts import CallbackDraft
from roomhook.contract_tests.harness.effects import PARTED, blame_state, deliver, leave_draft, play
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.naming import listed
from roomhook.simulator.protocol.callback_request import CallbackRequest

__all__: list[str] = []

_METHODS: Final = {"effect.leave": "Leave", "effect.kicked": "Kicked", "effect.expired": "Expired"}
_ACKNOWLEDGED: Final = {
    "effect.leave": "type.leave",
    "effect.kicked": "operator.other",
    "effect.expired": "type.expired",
}
"""What must be acknowledged before anybody asks for its effect."""

_SOON_S: Final = 0.1
"""How long a worker behind the answer may take before it shows that a leave took effect where it should not."""

_NEEDLESS_DECODINGS: Final = (unquote, unquote_plus, html.unescape)
"""What a RoomId, which comes out of JSON as it is, may be put through by mistake."""


@check(*_METHODS)
def one_leaves(case: Case) -> None:
    """One of three leaves; the two others stay."""
    case.needs(_ACKNOWLEDGED[case.requirement.id])
    leaver, *others = case.accounts(3)
    room = case.populated_room([leaver, *others])
    method = _METHODS[case.requirement.id]
    operator = others[0] if method == "Kicked" else leaver
    callback = leave_draft(case, room, [leaver], Type=method, Operator_Account=operator)
    _expect(case, room, set(others), [callback], f"after {leaver} {PARTED[method]} {room}")
    if method == "Leave" and not case.findings:
        second, third = others
        callback = leave_draft(case, room, [second], MemberCount=18)
        _expect(case, room, {third}, [callback], f"after {second} left as well, right behind {leaver}")


@check("effect.other-room")
def other_room(case: Case) -> None:
    """One goes from a room to another, and the leave of the first arrives last."""
    case.needs("effect.leave")
    if case.run.settings.room:
        raise NotJudgedError("--room fixes the room, and this needs two")
    mover, host = case.accounts(2)
    first, second = case.room(), case.room()
    now_ms = case.run.now_ms()
    case.bring_in([mover], first, event_time=now_ms - 6000)
    case.bring_in([host, mover], second, event_time=now_ms - 2000)
    if case.settled(second, {host, mover}) != {host, mover}:
        raise NotJudgedError("the probe does not list who went from one room to another")
    late = deliver(case, case.build(leave_draft(case, first, [mover], EventTime=now_ms - 4000)))
    case.run.pause(_SOON_S)
    _expect(case, second, {host, mover}, [], f"after {mover} left {first}, an earlier room", shown=late)


@check("effect.punctuation")
def rooms_apart(case: Case) -> None:
    """One leaves a room whose RoomId a needless decoding would make another room's."""
    case.needs("effect.leave")
    case.needs("id.punctuation")
    if case.run.settings.room or case.run.settings.members or case.run.access.enter is not None:
        raise NotJudgedError("needs rooms and members of its own, who enter by callbacks")
    room = f"r{case.run.ids.run}{case.account()[-4:]}+%41&lt;x"
    people = {one: set(case.accounts(2)) for one in (room, *(decode(room) for decode in _NEEDLESS_DECODINGS))}
    for one, accounts in people.items():
        case.bring_in(sorted(accounts), one)
    if not _all_in_their_rooms(case, people):
        return
    leaver = min(people[room])
    people[room].remove(leaver)
    exchange = deliver(case, case.build(leave_draft(case, room, [leaver])))
    for one, expected in people.items():
        members = case.settled(one, expected)
        if members != expected:
            blame_state(case, one, exchange, expected, members, f"after {leaver} left {room}")


def _all_in_their_rooms(case: Case, people: dict[str, set[str]]) -> bool:
    """Whether the probe lists all *people* by room as they entered; a room that lists others as well is a finding.

    One that lists others only proves nothing, since it may be the probe that decodes the RoomId; but none that decodes
    HTML finds people by their RoomId as it is escaped, and not as it is.
    """
    seen: dict[str, set[str]] = {}
    for room, accounts in people.items():
        members = seen[room] = case.settled(room, accounts)
        if members > accounts:
            entered = next(one for one, theirs in people.items() if theirs & (members - accounts))
            strangers = sorted(people[entered] & members)
            callback = case.build_enter(strangers, entered)
            shown = case.send(callback)
            blame_state(case, room, shown, accounts, members, f"after {', '.join(strangers)} entered {entered}")
            return False
    for room, accounts in people.items():
        escaped = html.escape(room, quote=False)
        if not accounts & seen[room] and escaped != room and accounts <= seen.get(escaped, set()):
            shown = case.send(case.build_enter(sorted(accounts), room))
            when = f"after {listed(accounts)} entered {room}, who are listed in {escaped} instead (is HTML escaped?)"
            blame_state(case, room, shown, accounts, seen[room], when)
            return False
    if seen != people:
        raise NotJudgedError("the probe does not list who entered rooms with such RoomIds")
    return True


@check("effect.all-members")
def all_members(case: Case) -> None:
    """Three of five go by one callback, for each check-out method."""
    for one in ("effect.leave", "effect.kicked", "effect.expired"):
        case.needs(one)
    for method, gone in (("Kicked", "were kicked"), ("Leave", "left"), ("Expired", "dropped out")):
        accounts = case.accounts(5)
        room = case.populated_room(accounts)
        operator = accounts[0] if method == "Kicked" else accounts[1]
        callback = leave_draft(case, room, accounts[1:4], Type=method, Operator_Account=operator)
        _expect(case, room, {accounts[0], accounts[4]}, [callback], f"after three of five {gone} by one callback")
        if case.findings:
            return


@check("effect.duplicate")
def twice(case: Case) -> None:
    """One leave, delivered twice."""
    case.needs("effect.leave")
    leaver, *others = case.accounts(3)
    room = case.populated_room([leaver, *others])
    callback = case.build(leave_draft(case, room, [leaver]))
    _expect(case, room, set(others), [callback, callback], "after one leave that was delivered twice")


@check("effect.duplicate-parallel")
def four_at_once(case: Case) -> None:
    """One leave, delivered four times at once."""
    case.needs("effect.duplicate")
    leaver, *others = case.accounts(3)
    room = case.populated_room([leaver, *others])
    callback = case.build(leave_draft(case, room, [leaver]))
    exchanges = case.run.send_together([callback] * 4, patience_ms=case.run.patience_ms(4))
    members = case.settled(room, set(others))
    if members != set(others):
        blame_state(
            case, room, exchanges[0], set(others), members, "after one leave that was delivered four times at once"
        )


@check("effect.rejoin")
def rejoin(case: Case) -> None:
    """Enter, leave, enter again; the leave arrives last, with its own earlier EventTime."""
    case.needs("effect.leave")
    account, witness, other = case.accounts(3)
    room = case.populated_room([account, witness, other], event_time=case.run.now_ms() - 6000)
    case.bring_in([account], room, event_time=case.run.now_ms() - 2000)
    late = deliver(case, case.build(leave_draft(case, room, [account], EventTime=case.run.now_ms() - 4000)))
    _expect(
        case,
        room,
        {account, other},
        [leave_draft(case, room, [witness])],
        "after an old leave that arrived late",
        shown=late,
    )
    if not case.findings and case.run.access.enter is None and not case.run.settings.members:
        rarer = [BACK_AFTER_REPEAT] if passes(case, "effect.duplicate") else []
        play(case, [*STILL_INSIDE, *rarer, *([AHEAD] if passes(case, "time.ahead") else [])])


def _expect(
    case: Case,
    room: str,
    expected: set[str],
    sending: Sequence[CallbackDraft | CallbackRequest],
    when: str,
    *,
    shown: Exchange | None = None,
) -> None:
    exchanges = [deliver(case, case.build(one) if isinstance(one, CallbackDraft) else one) for one in sending]
    members = case.settled(room, expected)
    if members != expected:
        blame_state(case, room, shown or exchanges[0], expected, members, when)
