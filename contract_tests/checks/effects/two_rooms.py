"""Requirements on people who are in two rooms, or go from one to another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.baseline import NotJudgedError
from roomhook.contract_tests.harness.case import Case, passes
from roomhook.contract_tests.harness.effects import (
    MOST_REPEATED,
    PARTED,
    Enter,
    Leave,
    blame_state,
    deliver,
    enter,
    leave_draft,
    need_enters,
    send_event,
)

__all__: list[str] = []

_WAYS_OUT: Final = tuple(itertools.product(("Leave", "Kicked", "Expired"), (0, 1)))
"""Type and number of the room that is left."""


@check("effect.two-rooms")
def two_rooms(case: Case) -> None:
    """People in two rooms leave one of them, the first or the second, by each check-out method."""
    case.needs("effect.leave")
    case.needs("effect.other-room")
    need_enters(case)
    if case.run.settings.room:
        raise NotJudgedError("--room fixes the room, and this needs two")
    holding = {"Leave"} | {method for method in ("Kicked", "Expired") if passes(case, f"effect.{method.lower()}")}
    one_room = _leave_one_of_two(case, [way for way in _WAYS_OUT if way[0] in holding], blame=False)
    if not case.findings:
        _moves(case)
    if one_room and not case.findings:
        raise NotJudgedError("the target keeps a person in one room at a time, which no page forbids")


def _leave_one_of_two(case: Case, ways: Sequence[tuple[str, int]], *, blame: bool) -> bool:
    """Whether people are kept in the second room only; what is wrong after *ways* is repeated alone, or blamed.

    A way is a Type and the number of the room that is left. Who is kept in the second room only must still be out of
    the room that they left, and in the second if it was the first.
    """
    rooms, people = [case.room(), case.room()], {way: case.account() for way in ways}
    everybody, began = set(people.values()), case.run.ids.next_event_time() - 8000
    for number, room in enumerate(rooms):
        enter(case, room, list(people.values()), began + number * 1000)
    in_second = case.settled(rooms[1], everybody) == everybody  # first: before that, nobody may have left the other
    one_room = in_second and case.settled(rooms[0], everybody) != everybody
    shown = {}
    for number, (way, account) in enumerate(people.items()):
        method, left = way
        operator = "administrator" if method == "Kicked" else account
        draft = leave_draft(
            case, rooms[left], [account], Type=method, Operator_Account=operator, EventTime=began + 3000 + number
        )
        shown[way] = deliver(case, case.build(draft))
    wrong: list[tuple[str, int]] = []
    for number, room in enumerate(rooms):
        expected = {account for (_, left), account in people.items() if left != number}
        judged = {account for (_, left), account in people.items() if left == 0 or number == 1 or not one_room}
        members = case.settled(room, expected & judged) & judged
        for way in [one for one in ways if people[one] in members ^ (expected & judged)]:
            if blame:
                what = f"after {people[way]}, who had entered two rooms, {PARTED[way[0]]} {rooms[way[1]]}"
                blame_state(case, room, shown[way], expected & judged, members, what)
                return one_room
            wrong.append(way)
    for way in list(dict.fromkeys(wrong))[:MOST_REPEATED]:
        _leave_one_of_two(case, [way], blame=True)
    return one_room


def _moves(case: Case) -> None:
    """Somebody goes to another room, and the leave of the first one arrives after the enter: both count."""
    account, rooms = case.account(), [case.room(), case.room()]
    began = case.run.ids.next_event_time() - 8000
    for room, at in zip(rooms, (0, 2000), strict=True):
        send_event(case, room, Enter(at), {"a": account}, began)
    shown = send_event(case, rooms[0], Leave(1500), {"a": account}, began)
    for room, expected in zip(rooms, (set[str](), {account}), strict=True):
        members = case.settled(room, expected)
        if members != expected:
            what = f"after {account} moved to {rooms[1]}, and the older leave of {rooms[0]} arrived last"
            blame_state(case, room, shown, expected, members, what)
            return
