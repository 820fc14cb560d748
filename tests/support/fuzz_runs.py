"""The room and the member of generated packets, and searches among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from roomhook.contract_tests.fuzzing.search import Search
from roomhook.contract_tests.fuzzing.strategies import Mutation
from roomhook.contract_tests.harness.drafts import ABSENT

__all__ = ["MEMBER", "NOW_MS", "ROOM", "packet_of", "search"]
NOW_MS = 1_795_400_000_000

MEMBER = "uabcd00001"
ROOM = "rh-abcd-"


def search(fails: Callable[[Mutation], bool], seed: str) -> Search:
    return Search(fails, seed=seed, budget_s=1000)


def packet_of(departure: Mutation) -> dict[str, Any]:
    baseline = {
        "CallbackCommand": "Room.CallbackAfterMemberLeave",
        "Operator_Account": MEMBER,
        "RoomId": f"{ROOM}fuzz.valid-1",
        "MemberCount": 19,
        "Type": "Leave",
        "MemberList_Account": [MEMBER],
        "Reason": "left the room",
        "EventTime": NOW_MS,
    }
    changed = {**baseline, **departure.draft(MEMBER, NOW_MS).fields}
    return {name: value for name, value in changed.items() if value is not ABSENT}
