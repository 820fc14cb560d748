"""The requests of a collection: callbacks to an App backend, and REST calls, with variables.

``{{appBackend}}``, ``{{roomBackend}}``, ``{{sdkappid}}``, ``{{token}}``, ``{{room}}`` and ``{{member}}`` are variables
of the collection; ``{{eventTime}}``, ``{{now}}`` and ``{{sign}}`` are set before each request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from roomhook.schemas import loader
from roomhook.simulator.protocol.packets import ENTER_COMMAND, LEAVE_COMMAND
from roomhook.simulator.protocol.room_packets import CREATE_COMMAND, DESTROY_COMMAND, SEAT_COMMAND, UPDATE_COMMANDS
from roomhook.simulator.room_backend.api.openapi import WEBHOOKS
from roomhook.simulator.room_backend.api.rest import APIS, Api
from roomhook.simulator.room_backend.state.error_codes import MEANINGS, Code

__all__ = ["CALLBACKS", "FOLDERS", "REST", "VARIABLES", "CollectionRequest", "requests"]

CALLBACKS: Final = "Callbacks to your App backend"
REST: Final = "REST of the Room backend"
FOLDERS: Final = {
    CALLBACKS: "What the Room backend sends. Each response is checked as the Room backend would check it.",
    REST: "The documented API. Point roomBackend at roomhook serve. Examples show the documented errors.",
}
"""The folders of a collection, with their descriptions."""

VARIABLES: Final = {
    "appBackend": "http://127.0.0.1:8000/callback",
    "roomBackend": "http://127.0.0.1:8090",
    "sdkappid": "1400000001",
    "token": "",
    "room": "standup",
    "member": "ann",
    "administrator": "administrator",
    "usersig": "any",
}
"""The variables of a collection with their first values."""

_NAMES: Final = {
    ("Leave", LEAVE_COMMAND): "A member leaves",
    ("Kicked", LEAVE_COMMAND): "A member is kicked out",
    ("Expired", LEAVE_COMMAND): "A member's heartbeat expires",
    ("", ENTER_COMMAND): "A member enters",
    ("", CREATE_COMMAND): "A room is created",
    ("", DESTROY_COMMAND): "A room is destroyed",
    ("", UPDATE_COMMANDS[0]): "A room is updated",
    ("", UPDATE_COMMANDS[1]): "A room is updated, the other spelling",
    ("", SEAT_COMMAND): "The seats of a room change",
}
_OPERATORS: Final = {"Kicked": "owner"}
_SAMPLES: Final = {
    "leave": "page-sample",
    "seat": "documented-sample-with-the-account-as-text",
    "update": "documented-sample-mended",
}
_REST_BODIES: Final[Mapping[str, Any]] = {
    "set_callback": {"Url": "{{appBackend}}", "CallbackCommandList": list(WEBHOOKS)},
    "update_callback": {"Url": "{{appBackend}}", "CallbackCommandList": [LEAVE_COMMAND]},
    "create_room": {"RoomInfo": {"RoomId": "{{room}}", "RoomType": "Conference", "Owner_Account": "{{member}}"}},
    "update_room_info": {"RoomInfo": {"RoomId": "{{room}}", "RoomName": "Stand-up"}},
    "kick_user_out": {"RoomId": "{{room}}", "MemberList_Account": ["{{member}}"], "Reason": "done"},
    "get_room_member_list": {"RoomId": "{{room}}", "Count": 50, "Next": ""},
    "get_room_info": {"RoomId": "{{room}}"},
    "destroy_room": {"RoomId": "{{room}}"},
}


@dataclass(frozen=True)
class CollectionRequest:
    """A POST: ``url`` without its ``query``, a JSON ``body`` with variables, ``examples`` (name, response packet)."""

    folder: str
    name: str
    url: str
    query: tuple[tuple[str, str], ...]
    body: str
    description: str
    examples: tuple[tuple[str, str], ...] = ()


def requests() -> Iterator[CollectionRequest]:
    """Every request of the collection, folder by folder."""
    for (method, command), name in _NAMES.items():
        yield CollectionRequest(CALLBACKS, name, "{{appBackend}}", _query(command), _packet(command, method), command)
    for api in APIS.values():
        yield _rest(api)


def _query(command: str) -> tuple[tuple[str, str], ...]:
    return (
        ("SdkAppid", "{{sdkappid}}"),
        ("CallbackCommand", command),
        ("contenttype", "json"),
        ("ClientIP", "127.0.0.1"),
        ("OptPlatform", "Windows"),
        ("RequestTime", "{{now}}"),
        ("Sign", "{{sign}}"),
    )


def _packet(command: str, method: str) -> str:
    """The documented sample of *command*, its ids and times as variables."""
    name = WEBHOOKS[command]
    packet = loader.example(name, _SAMPLES.get(name, "documented-sample"))
    packet["CallbackCommand"] = command
    if method:
        packet |= {"Type": method, "Operator_Account": _OPERATORS.get(method, "{{member}}")}
    if "MemberList_Account" in packet:
        packet["MemberList_Account"] = ["{{member}}"]
    if "RoomId" in packet:
        packet["RoomId"] = "{{room}}"
    if "RoomInfo" in packet:
        packet["RoomInfo"]["RoomId"] = "{{room}}"
    packet["EventTime"] = "{{eventTime}}"
    return _unquoted(packet)


def _unquoted(packet: Any) -> str:
    """*packet* as JSON, with the number ``{{eventTime}}`` without quotes."""
    return re.sub(r'"(\{\{eventTime\}\})"', r"\1", json.dumps(packet, ensure_ascii=False, indent=2))


def _rest(api: Api) -> CollectionRequest:
    query = (
        ("sdkappid", "{{sdkappid}}"),
        ("identifier", "{{administrator}}"),
        ("usersig", "{{usersig}}"),
        ("random", "1"),
        ("contenttype", "json"),
    )
    body = json.dumps(_REST_BODIES.get(api.path.rpartition("/")[2], {}), ensure_ascii=False, indent=2)
    examples = tuple((f"{int(code)}: {MEANINGS[code]}", _refusal(code)) for code in api.codes if code is not Code.OK)
    url = f"{{{{roomBackend}}}}/{api.path}"
    return CollectionRequest(REST, api.summary, url, query, body, "The HTTP status is always 200.", examples)


def _refusal(code: Code) -> str:
    packet = {"ActionStatus": "FAIL", "ErrorInfo": MEANINGS[code], "ErrorCode": int(code), "RequestId": "…"}
    return json.dumps(packet, ensure_ascii=False, indent=2)
