"""Requirements on events whose order, time or list is unusual, yet lawful: each is an episode of one room."""

from __future__ import annotations

import itertools
from typing import Final

from roomhook.contract_tests.checks.effects.episodes import (
    COUNTS,
    EMPTY_IN_BETWEEN,
    EPISODES,
    JOINED,
    KICKED,
    LAST_CAME_BACK,
)
from roomhook.contract_tests.checks.effects.later import CameBack
from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.case import Case, passes
from roomhook.contract_tests.harness.drafts import ABSENT
from roomhook.contract_tests.harness.effects import (
    Enter,
    Episode,
    Leave,
    blame_state,
    deliver,
    leave_draft,
    need_enters,
    play,
    send_event,
)
from roomhook.contract_tests.model.naming import are, listed
from roomhook.simulator.protocol.response_check import Violation

__all__: list[str] = []

_GAPS_MS: Final = (1, 40, 250, 900)
_DAY_MS: Final = 86_400_000
_LATE_MS: Final = 600_000
_LONG_VISITS_MS: Final = {
    "23 hours and 59 minutes": _DAY_MS - 60_000,
    "24 days": 24 * _DAY_MS,
    "49 days": 49 * _DAY_MS,
    "100 days": 100 * _DAY_MS,
}
"""EventTimes that far apart change their order when they are cut to the time of day, or to 31 or 32 bits."""


def _within_a_second(gap: int) -> tuple[Episode, ...]:
    return (
        Episode(f"after a leave {gap} ms after the enter", (Enter(0), Leave(gap))),
        Episode(
            f"after an enter, and then a leave that happened {gap} ms before it",
            (Enter(0), Enter(2 * gap), Leave(gap)),
            frozenset("a"),
        ),
        Episode(
            f"after a leave, and then a leave and an enter {gap} ms after one another",
            (Enter(0), Leave(gap), Enter(2 * gap)),
            frozenset("a"),
        ),
    )


_OPERATORS: Final = {"themselves": "a", "another member": "b", "somebody outside": "administrator"}
_REASONS: Final = {"no Reason": ABSENT, "an empty Reason": "", "a Reason": "left the room"}
_KNOWN_REASONS: Final = {
    ("Kicked", "themselves"): "byLoggedOnOtherDevice",
    ("Kicked", "another member"): "byAdmin",
    ("Kicked", "somebody outside"): "byServer",
    ("Expired", "themselves"): "forNetworkDisconnected",
}
"""Reasons that the client knows by name (protocol.md 4): an app may mean to deal with one in a way of its own."""


_REASONS_OF_KICKS: Final = {
    "reason.unicode": "不遵守规则 😀 ausgeschloßen",
    "reason.escapes": 'she\'s "out"; 100% \\ <b>\nsaid {the} host',
}
"""Requirement on a Reason to one like it: people write one when they kick, and apps often note it by itself."""


def _kicked_for(reason: str) -> Episode:
    kick = (*KICKED, ("Reason", reason))
    return Episode(f"after a kick with the Reason {reason!r}", (Leave(1000, ("a",), kick),), frozenset("b"), ("a", "b"))


def _late(method: str) -> Episode:
    operator = "administrator" if method == "Kicked" else "a"
    leave = Leave(1000, ("a",), (("Type", method), ("Operator_Account", operator)))
    return Episode(
        f"after a leave of Type {method} that arrived ten minutes late, when another had entered since",
        (Enter(0), Enter(_LATE_MS, ("b",)), leave),
        frozenset("b"),
    )


def _combined(method: str, operator: str, reason: str) -> Episode:
    text, known = _REASONS[reason], _KNOWN_REASONS.get((method, operator))
    if text and text is not ABSENT and known:
        reason, text = f"the Reason {known}", known
    fields = (("Type", method), ("Operator_Account", _OPERATORS[operator]), ("Reason", text))
    return Episode(
        f"after a leave of Type {method} by {operator} with {reason}",
        (Leave(1000, ("a",), fields),),
        frozenset("b"),
        ("a", "b"),
    )


@check("effect.combined")
def combined(case: Case) -> None:
    """Each check-out method with each kind of operator and Reason, where each alone counts; kicks, and late ones."""
    for one in ("effect.leave", "effect.kicked", "effect.expired", "operator.other", "reason.empty"):
        case.needs(one)
    need_enters(case)
    methods = ("Leave", "Kicked", "Expired")
    all_of_them = [_combined(*each) for each in itertools.product(methods, _OPERATORS, _REASONS)]
    all_of_them += [_kicked_for(reason) for one, reason in _REASONS_OF_KICKS.items() if passes(case, one)]
    play(case, all_of_them)
    if not case.findings and passes(case, "time.old"):
        play(case, [_late(method) for method in methods[1:]], ago_ms=_LATE_MS)


_BUILDS_ON: Final = {
    "effect.second-leave": ("effect.kicked", "effect.expired"),
    "effect.late-enter": ("effect.kicked", "effect.rejoin", "effect.second-leave"),
    "effect.repeated-account": ("effect.all-members", "effect.duplicate", "effect.duplicate-parallel"),
    "effect.unknown-account": ("effect.all-members", "effect.rejoin"),
    "effect.kick-twenty": ("effect.all-members",),
    "effect.same-time": ("effect.duplicate", "effect.unknown-account"),
}
"""What must hold before more is asked."""


@check(*EPISODES)
def episodes(case: Case) -> None:
    """Events in an order, at times or in lists that a real Room backend may send."""
    for one in ("effect.leave", *_BUILDS_ON.get(case.requirement.id, ())):
        case.needs(one)
    need_enters(case)
    more = [JOINED] if case.requirement.id == "effect.same-time" and passes(case, "effect.accounts-apart.signs") else []
    room, inside = play(case, [*EPISODES[case.requirement.id], *more])
    if case.requirement.id == "effect.second-leave" and not case.findings:
        case.run.kept(CameBack).into(room, inside)
        play(case, [LAST_CAME_BACK])
    if case.requirement.id == "effect.late-enter" and not case.findings:
        play(case, [EMPTY_IN_BETWEEN])
    if case.requirement.id == "effect.reconnect" and not case.findings:
        _listed_once(case)
    if case.requirement.id == "effect.same-time" and not case.findings and passes(case, "effect.two-rooms"):
        _same_time_in_two_rooms(case)


@check("effect.same-second")
def same_second(case: Case) -> None:
    """Gaps of 1 to 900 ms between two events, within one second and across a second's edge; and visits of many days."""
    case.needs("effect.leave")
    case.needs("effect.rejoin")
    need_enters(case)
    gaps = [episode for gap in _GAPS_MS for episode in _within_a_second(gap)]
    visits = [Episode(f"after a visit of {text}", (Enter(-ms), Leave(1000))) for text, ms in _LONG_VISITS_MS.items()]
    second = (case.run.now_ms() // 1000 - 8) * 1000
    play(case, [*visits, *(one for one in gaps if one.what.find("900") < 0)], began_ms=second + 20)
    if not case.findings:
        play(case, gaps, began_ms=second + 985)


@check("effect.count")
def count(case: Case) -> None:
    """MemberCount 0, 1 and too large while others stay: few in a room, since the count is the room's."""
    for one in ("effect.leave", "effect.kicked", "effect.expired", "count.zero"):
        case.needs(one)
    need_enters(case)
    for some in COUNTS:
        play(case, some)
    _all_enter(case)


def _all_enter(case: Case) -> None:
    """Everybody whom an acknowledged enter lists is inside; that of a target which takes lists was seen before."""
    if case.run.access.enter is not None or case.run.access.by_list:
        return
    room, (staying, *entering) = case.room(), case.accounts(4)
    if case.bring_in([staying], room) is not None:
        return
    exchange = case.send(case.build_enter(entering, room))
    expected = {staying, *entering}
    members = case.settled(room, expected) if exchange.acknowledged else expected
    if staying in members and expected - members:
        missing = sorted(expected - members)
        breach = Violation("", f"{listed(expected)} in the room", f"{listed(members)} in the room")
        case.blame(exchange, f"after an enter that lists three, {are(missing)} not listed in {room}", breach)


def _listed_once(case: Case) -> None:
    """Somebody who entered twice is one person."""
    account, room = case.account(), case.room()
    began = case.run.ids.next_event_time() - 8000
    for at in (0, 1000):
        send_event(case, room, Enter(at), {"a": account}, began)
    members = case.settled(room, {account})
    if getattr(members, "repeated", None):
        blame_state(case, room, None, [account], [account, account], f"after {account} entered twice")


def _same_time_in_two_rooms(case: Case) -> None:
    """One account leaves two rooms, and two accounts leave one room each, at the same EventTime."""
    if case.run.settings.room:
        return
    began, rooms = case.run.ids.next_event_time() - 8000, [case.room(), case.room()]
    both, first, second = case.accounts(3)
    for room, one in zip(rooms, (first, second), strict=True):
        send_event(case, room, Enter(0, ("a",)), {"a": both}, began)
        send_event(case, room, Enter(1, ("a",)), {"a": one}, began)
    for room, one in zip(rooms, (first, second), strict=True):
        for account in (both, one):
            shown = deliver(case, case.build(leave_draft(case, room, [account], EventTime=began + 2000)))
    for room in rooms:
        members = case.settled(room, set())
        if members:
            blame_state(
                case, room, shown, set(), members, "after leaves of different rooms and people with the same EventTime"
            )
            return
