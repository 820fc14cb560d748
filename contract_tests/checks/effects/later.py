"""What goes wrong in a room some time after all was right: members who are gone though they have not left."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from roomhook.contract_tests.harness.case import Case
from roomhook.contract_tests.harness.effects import Enter, Leave, blame_state, send_event, side_by_side

__all__ = ["CameBack", "blame_late_leaves", "enter_other_rooms"]

_LATEST_S: Final = 5.0
"""So long at most is waited for a leave that is applied late."""
_MOST_ROOMS: Final = 400
_MOST_S: Final = 30.0
"""So long at most other rooms are entered, if the target is slow."""


@dataclass
class CameBack:
    """Who left a room and came back, and was listed: they must be there at the end of the run as well."""

    room: str = ""
    people: set[str] = field(default_factory=set)
    seen_s: float = 0.0

    def into(self, room: str, people: set[str]) -> None:
        """Note that *people* are in *room* now."""
        self.room, self.people, self.seen_s = room, people, time.monotonic()


def blame_late_leaves(case: Case) -> None:
    """Blame leaves that take out, some time later, who has come back since, if that happens again in another room."""
    back = case.run.kept(CameBack)
    if not back.room or case.settled(back.room, back.people) == back.people:
        return
    waited_s = min(time.monotonic() - back.seen_s, _LATEST_S)
    room, began = case.room(), case.run.ids.next_event_time() - 8000
    people = {method: case.account() for method in ("Leave", "Kicked", "Expired")}
    shown = {}
    for method, account in people.items():
        send_event(case, room, Enter(0), {"a": account}, began)
        by = "administrator" if method == "Kicked" else account
        leave = Leave(1000, ("a",), (("Type", method), ("Operator_Account", by)))
        shown[method] = send_event(case, room, leave, {"a": account}, began)
        send_event(case, room, Enter(2000), {"a": account}, began)
    everybody = set(people.values())
    if case.settled(room, everybody) != everybody:
        return  # that is the subject of effect.second-leave
    case.run.pause(waited_s)
    members = case.settled(room, everybody)
    for method in [method for method, account in people.items() if account not in members][:1]:
        what = f"{waited_s:.1f} s after {people[method]} came back from a leave of Type {method}"
        blame_state(case, room, shown[method], everybody, members, what)


def enter_other_rooms(case: Case) -> int:
    """Let somebody enter as many other rooms as the run has used so far, within limits; gives their number."""
    until_s = time.monotonic() + _MOST_S

    def entered(room: str) -> bool:
        return time.monotonic() < until_s and case.bring_in([case.account()], room) is None

    return sum(side_by_side(case, entered, [case.room() for _ in range(min(case.run.ids.rooms, _MOST_ROOMS))]))
