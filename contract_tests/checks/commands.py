"""Requirements on the CallbackCommand: others of the family must do no harm, and URL and body must agree."""

from __future__ import annotations

from typing import Any, Final

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.case import Case
from roomhook.contract_tests.harness.drafts import ABSENT

__all__: list[str] = []

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


def _only(case: Case, command: str, fields: dict[str, Any]) -> Any:
    room = case.room()
    info = {"RoomInfo": {"RoomId": room, **fields["RoomInfo"]}} if "RoomInfo" in fields else {}
    named = {} if info else {"RoomId": room}
    packet = {"CallbackCommand": command, "Operator_Account": "user1", **named, **fields, **info, "EventTime": _TIME}
    gone = dict.fromkeys(("MemberCount", "Type", "MemberList_Account", "Reason", "RoomId"), ABSENT)
    return case.leave(**{**gone, **packet}).url(CallbackCommand=command)


@check("command.unknown")
def unknown(case: Case) -> None:
    """A command that nobody has heard of yet."""
    command = "Room.CallbackAfterSomethingNew"
    case.survives(case.leave(CallbackCommand=command).url(CallbackCommand=command), f"the unknown command {command}")


@check("command.sibling")
def sibling(case: Case) -> None:
    """The other commands of the family, which one callback URL receives as soon as they are switched on."""
    for command, fields in _SIBLINGS.items():
        case.survives(_only(case, command, fields), f"the sibling command {command}")


@check("command.mismatch")
def mismatch(case: Case) -> None:
    """URL and body that name different commands: one of them was forged or mangled."""
    other = "Room.CallbackAfterDestroyRoom"
    case.rejects(case.leave().url(CallbackCommand=other), f"CallbackCommand={other} in the URL over a leave packet")
