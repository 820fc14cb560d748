"""Requirements on the CallbackCommand: others of the family must do no harm, and URL and body must agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.aftermath import blame_aftermath, then_valid
from roomhook.contract_tests.harness.case import Case
from roomhook.contract_tests.harness.drafts import ABSENT, CallbackDraft

__all__: list[str] = []

_UNKNOWN: Final = "Room.CallbackAfterSomethingNew"
_TIME: Final = 1703589922780
_SIBLINGS: Final[dict[str, dict[str, Any]]] = {
    "Room.CallbackAfterCreateRoom": {
        "RoomInfo": {"RoomName": "standup", "RoomType": "Meeting", "Owner_Account": "user3", "MaxMemberCount": 300},
    },
    "Room.CallbackAfterDestroyRoom": {},
    "Room.CallbackAfterUpdateRoomInfo": {"RoomInfo": {"RoomName": "standup", "MaxMemberCount": 300}},
    "Room.CallbackUpdateRoomInfo": {"RoomInfo": {"RoomName": "standup", "MaxMemberCount": 300}},
    "Room.CallbackAfterMemberEnter": {"Type": "Enter", "MemberCount": 20, "MemberList_Account": ["user1"]},
    "Mic.CallbackAfterSeatInfoChanged": {
        "SeatList": [{"Index": 1, "Member_Account": "user1", "IsTakenDisabled": False, "IsVideoDisabled": False}],
    },
}
"""The rest of the family (LIST-ROOM) with the fields of protocol.md 3; both spellings of the update command."""


def _only(case: Case, command: str, fields: dict[str, Any]) -> CallbackDraft:
    room = case.room()
    info = {"RoomInfo": {"RoomId": room, **fields["RoomInfo"]}} if "RoomInfo" in fields else {}
    named = {} if info else {"RoomId": room}
    packet = {"CallbackCommand": command, "Operator_Account": "user1", **named, **fields, **info, "EventTime": _TIME}
    gone = dict.fromkeys(("MemberCount", "Type", "MemberList_Account", "Reason", "RoomId"), ABSENT)
    return case.leave(**{**gone, **packet}).url(CallbackCommand=command)


def _others(case: Case) -> Iterator[tuple[str, CallbackDraft]]:
    yield f"the unknown command {_UNKNOWN}", case.leave(CallbackCommand=_UNKNOWN).url(CallbackCommand=_UNKNOWN)
    for command, fields in _SIBLINGS.items():
        yield f"the sibling command {command}", _only(case, command, fields)


@check("command.unknown", "command.sibling")
def survived(case: Case) -> None:
    """A command that nobody has heard of yet; the others of the family, which one callback URL may receive, too."""
    unknown, *siblings = _others(case)
    for what, draft in [unknown] if case.requirement.id == "command.unknown" else siblings:
        then_valid(case, what, draft, case.survives)


@check("command.alive")
def alive(case: Case) -> None:
    """After each of them, a valid callback."""
    blame_aftermath(case, _others(case))


@check("command.mismatch")
def mismatch(case: Case) -> None:
    """URL and body that name different commands: one of them was forged or mangled."""
    other = "Room.CallbackAfterDestroyRoom"
    case.rejects(case.leave().url(CallbackCommand=other), f"CallbackCommand={other} in the URL over a leave packet")
