"""Families easily taken for this one (protocol.md 3.8), and what gives away an App backend written for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from roomhook.simulator.protocol.callback_request import JSON_CONTENT, CallbackRequest
from roomhook.simulator.protocol.callback_url import CallbackUrl, parameters
from roomhook.simulator.protocol.response_check import Response, parse_json

__all__ = [
    "CHAT_GROUPS",
    "ENGINE_EVENTS",
    "LEGACY_ROOMKIT",
    "OtherCallbackApi",
    "answered_as",
    "chat_group_exit",
    "engine_exit",
    "understood_as_engine_event",
]


@dataclass(frozen=True, slots=True)
class OtherCallbackApi:
    """Another family: its ``name`` with the document, and what to ``change`` to follow this callback's page instead."""

    name: str
    change: str


ENGINE_EVENTS: Final = OtherCallbackApi(
    "TRTC engine events (trtc.io/document/39558)",
    "Read SdkAppid, Sign and RequestTime from the URL, not from headers; take CallbackCommand, RoomId and "
    "MemberList_Account from the packet, not EventType and EventInfo; answer ActionStatus, ErrorCode and ErrorInfo.",
)
LEGACY_ROOMKIT: Final = OtherCallbackApi(
    "legacy RoomKit (cloud.tencent.com/document/product/1690/92699)",
    "Take the command from CallbackCommand; answer ActionStatus and ErrorInfo beside ErrorCode, not ErrorMessage.",
)
CHAT_GROUPS: Final = OtherCallbackApi(
    "the Group.* callbacks of Chat (trtc.io/document/34354)",
    "Handle Room.CallbackAfterMemberLeave beside Group.CallbackAfterMemberExit: RoomId stands for GroupId, Type for "
    "ExitType, and MemberList_Account is a list of texts where ExitMemberList is one of objects.",
)


def answered_as(packet: Mapping[str, Any]) -> OtherCallbackApi | None:
    """The family whose answer *packet* is; None for anything with an ActionStatus, which is this one's."""
    keys = {key.lower() for key in packet}
    if "actionstatus" in keys:
        return None
    if "errormessage" in keys:
        return LEGACY_ROOMKIT
    return ENGINE_EVENTS if "code" in keys else None


def understood_as_engine_event(answer: Response | None) -> bool:
    """Whether *answer*, to an engine event, is a success as that family has it: 200 and a code of 0."""
    if answer is None or answer.status != 200:
        return False
    try:
        packet = parse_json(answer.body)
    except ValueError:
        return False
    return isinstance(packet, dict) and packet.get("code") == 0 and "ActionStatus" not in packet


def chat_group_exit(
    url: CallbackUrl, *, sdkappid: int, token: str | None, now_ms: int, client_ip: str
) -> CallbackRequest:
    """A member's exit from a group, as Chat reports it."""
    command = "Group.CallbackAfterMemberExit"
    packet = {
        "CallbackCommand": command,
        "GroupId": "rh-group",
        "Type": "Public",
        "ExitType": "Quit",
        "Operator_Account": "rhuser1",
        "ExitMemberList": [{"Member_Account": "rhuser1"}],
        "EventTime": str(now_ms),
    }
    params = parameters(
        sdkappid=sdkappid,
        command=command,
        client_ip=client_ip,
        platform="iOS",
        token=token,
        request_time=now_ms // 1000,
    )
    return CallbackRequest(url.with_parameters(params), json.dumps(packet).encode(), signed=token is not None)


def engine_exit(url: CallbackUrl, *, sdkappid: int, now_ms: int) -> CallbackRequest:
    """A user's exit from a room, as the TRTC engine reports it: event 104."""
    packet = {
        "EventGroupId": 1,
        "EventType": 104,
        "CallbackTs": now_ms,
        "EventInfo": {"RoomId": "rh-room", "EventTs": now_ms // 1000, "UserId": "rhuser1", "Role": 21, "Reason": 1},
    }
    headers = (*JSON_CONTENT, ("SdkAppId", str(sdkappid)))
    return CallbackRequest(url.with_parameters(()), json.dumps(packet).encode(), headers)
