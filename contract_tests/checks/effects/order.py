"""Requirements on events whose order, time or list is unusual, yet lawful: each is an episode of one room."""

from __future__ import annotations

import itertools
from typing import Final

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

__all__: list[str] = []

_KICKED: Final = (("Type", "Kicked"), ("Operator_Account", "administrator"))
_GAPS_MS: Final = (1, 40, 250, 900)
_DAY_MS: Final = 86_400_000
_LATE_MS: Final = 600_000
_LONG_VISITS_MS: Final = {
    "23 hours and 59 minutes": _DAY_MS - 60_000,
    "24 days": 24 * _DAY_MS,
    "49 days": 49 * _DAY_MS,
}
"""EventTimes that far apart change their order when they are cut to the time of day, or to 31 or 32 bits."""
_TWENTY: Final = tuple(f"m{number}" for number in range(20))
_TWELVE: Final = _TWENTY[:12]


def _counted(count: int) -> Episode:
    return Episode(
        f"after one of three left with MemberCount {count}",
        (Leave(1000, ("a",), (("MemberCount", count),)),),
        frozenset("bc"),
        ("a", "b", "c"),
    )


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


_EPISODES: Final[dict[str, tuple[Episode, ...]]] = {
    "effect.late-enter": (
        Episode("after a leave that arrived before its enter", (Leave(2000), Enter(1000))),
        Episode("after a leave, and then an older enter that arrived late", (Enter(0), Leave(2000), Enter(1000))),
        Episode(
            "after a kick, and then an older enter that arrived late",
            (Enter(0), Leave(2000, ("a",), _KICKED), Enter(1000)),
        ),
        Episode(
            "after two leaves, and then an enter between them in time",
            (Enter(0), Leave(1000), Leave(3000), Enter(2000)),
        ),
        Episode(
            "after twelve left, and then older enters of them arrived late",
            (
                *(Leave(2000 + number, (one,)) for number, one in enumerate(_TWELVE)),
                *(Enter(1000 + number, (one,)) for number, one in enumerate(_TWELVE)),
            ),
            before=_TWELVE,
        ),
    ),
    "effect.second-leave": (
        Episode(
            "after an enter, a leave, an enter again and a leave again",
            (Enter(0), Leave(1000), Enter(2000), Leave(3000)),
        ),
        Episode(
            "after three visits",
            (Enter(0), Leave(1000), Enter(2000), Leave(3000), Enter(4000), Leave(5000)),
        ),
        Episode(
            "after somebody who was kicked came back and left",
            (Enter(0), Leave(1000, ("a",), _KICKED), Enter(2000), Leave(3000)),
        ),
        Episode("after somebody came back", (Enter(0), Leave(1000), Enter(2000)), frozenset("a")),
        Episode(
            "after somebody whose heartbeat had expired came back",
            (Enter(0), Leave(1000, ("a",), (("Type", "Expired"),)), Enter(2000)),
            frozenset("a"),
        ),
        Episode(
            "after somebody who was kicked came back",
            (Enter(0), Leave(1000, ("a",), _KICKED), Enter(2000)),
            frozenset("a"),
        ),
    ),
    "effect.reconnect": (
        Episode("after two enters and one leave", (Enter(0), Enter(1000), Leave(2000))),
        Episode("after three enters and one leave", (Enter(0), Enter(500), Enter(1500), Leave(2500))),
        Episode("after two enters", (Enter(0), Enter(1000)), frozenset("a")),
    ),
    "effect.repeated-account": (
        Episode("after a leave that lists one account twice", (Enter(0), Leave(1000, ("a", "a")))),
        Episode(
            "after a leave that lists one account twice beside another",
            (Leave(1000, ("a", "a", "b")),),
            frozenset("c"),
            ("a", "b", "c"),
        ),
    ),
    "effect.unknown-account": (
        Episode(
            "after a leave that lists an unknown account between two members",
            (Leave(1000, ("a", "nobody", "b")),),
            frozenset("c"),
            ("a", "b", "c"),
        ),
        Episode(
            "after a leave that lists an unknown account first",
            (Leave(1000, ("nobody", "a")),),
            frozenset("c"),
            ("a", "c"),
        ),
        Episode(
            "after a leave of two, one of whom has come back since",
            (Enter(0, ("a",)), Enter(1, ("b",)), Enter(2000, ("a",)), Leave(1000, ("a", "b"))),
            frozenset("a"),
        ),
        Episode(
            "after a leave of somebody who was not inside",
            (Leave(1000, ("nobody",)),),
            frozenset("a"),
            ("a",),
        ),
    ),
    "effect.kick-twenty": (
        Episode(
            "after twenty were kicked by one callback",
            (Leave(1000, _TWENTY, _KICKED),),
            frozenset("xy"),
            (*_TWENTY, "x", "y"),
        ),
        Episode(
            "after twenty were kicked by one callback with a Reason of 1000 control characters",
            (Leave(1000, _TWENTY, (*_KICKED, ("Reason", "\x01" * 1000))),),
            frozenset("x"),
            (*_TWENTY, "x"),
        ),
    ),
    "effect.same-time": (
        Episode(
            "after two left by callbacks with the same EventTime",
            (Leave(1000, ("a",)), Leave(1000, ("b",))),
            frozenset("c"),
            ("a", "b", "c"),
        ),
        Episode(
            "after one left and another entered with the same EventTime",
            (Enter(0, ("a",)), Leave(1000, ("a",)), Enter(1000, ("b",))),
            frozenset("b"),
        ),
        Episode(
            "after one entered and another left with the same EventTime",
            (Enter(0, ("a",)), Enter(1000, ("b",)), Leave(1000, ("a",))),
            frozenset("b"),
        ),
    ),
}
"""Requirement to its episodes, which share a room and tell people apart."""


_EMPTY_IN_BETWEEN: Final = Episode(
    "after the last one in a room left, and then an older enter of theirs arrived late",
    (Enter(0), Leave(2000), Enter(1000)),
    alone=True,
)

_OPERATORS: Final = {"themselves": "a", "another member": "b", "somebody outside": "administrator"}
_REASONS: Final = {"no Reason": ABSENT, "an empty Reason": "", "a Reason": "left the room"}


_REASONS_OF_KICKS: Final = {
    "reason.unicode": "不遵守规则 😀 ausgeschloßen",
    "reason.escapes": 'she\'s "out"; 100% \\ <b>\nsaid {the} host',
}
"""Requirement on a Reason to one like it: people write one when they kick, and apps often note it by itself."""


def _kicked_for(reason: str) -> Episode:
    kick = (*_KICKED, ("Reason", reason))
    return Episode(f"after a kick with the Reason {reason!r}", (Leave(1000, ("a",), kick),), frozenset("b"), ("a", "b"))


def _late(method: str) -> Episode:
    operator = "administrator" if method == "Kicked" else "a"
    leave = Leave(-_LATE_MS, ("a",), (("Type", method), ("Operator_Account", operator)))
    return Episode(f"after a leave of Type {method} that arrived ten minutes late", (Enter(-_LATE_MS - 1000), leave))


def _combined(method: str, operator: str, reason: str) -> Episode:
    fields = (("Type", method), ("Operator_Account", _OPERATORS[operator]), ("Reason", _REASONS[reason]))
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
    if passes(case, "time.old"):
        all_of_them += [_late(method) for method in methods[1:]]
    all_of_them += [_kicked_for(reason) for one, reason in _REASONS_OF_KICKS.items() if passes(case, one)]
    play(case, all_of_them)


_BUILDS_ON: Final = {
    "effect.second-leave": ("effect.kicked", "effect.expired"),
    "effect.late-enter": ("effect.kicked", "effect.rejoin", "effect.second-leave"),
    "effect.repeated-account": ("effect.all-members", "effect.duplicate", "effect.duplicate-parallel"),
    "effect.unknown-account": ("effect.all-members", "effect.rejoin"),
    "effect.kick-twenty": ("effect.all-members",),
}
"""What must hold before more is asked."""


@check(*_EPISODES)
def episodes(case: Case) -> None:
    """Events in an order, at times or in lists that a real Room backend may send."""
    for one in ("effect.leave", *_BUILDS_ON.get(case.requirement.id, ())):
        case.needs(one)
    need_enters(case)
    room, inside = play(case, _EPISODES[case.requirement.id])
    if case.requirement.id == "effect.second-leave" and not case.findings:
        case.run.kept(CameBack).into(room, inside)
    if case.requirement.id == "effect.late-enter" and not case.findings:
        play(case, [_EMPTY_IN_BETWEEN])
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
    gaps += [Episode(f"after a visit of {text}", (Enter(-ms), Leave(1000))) for text, ms in _LONG_VISITS_MS.items()]
    second = (case.run.now_ms() // 1000 - 8) * 1000
    play(case, [one for one in gaps if one.what.find("900") < 0], began_ms=second + 20)
    if not case.findings:
        play(case, gaps, began_ms=second + 985)


@check("effect.count")
def count(case: Case) -> None:
    """MemberCount 0, 1 and too large while others stay: in a room each, since the count is the room's."""
    case.needs("effect.leave")
    case.needs("count.zero")
    need_enters(case)
    for number in (0, 1, 2, 4321):
        play(case, [_counted(number)])


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
