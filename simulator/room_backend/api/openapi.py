"""The OpenAPI 3.1 document of the mock Room backend, with callbacks as webhooks; made from types and schemas."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import version
from typing import Any, Final

import msgspec

from roomhook.schemas import loader
from roomhook.simulator.protocol.packets import ENTER_COMMAND, LEAVE_COMMAND
from roomhook.simulator.protocol.room_packets import CREATE_COMMAND, DESTROY_COMMAND, SEAT_COMMAND, UPDATE_COMMANDS
from roomhook.simulator.room_backend.api.client_actions import ACTIONS
from roomhook.simulator.room_backend.api.control_schemas import (
    Advance,
    Batch,
    FaultsPacket,
    Nothing,
    PlannedCodes,
    Wait,
)
from roomhook.simulator.room_backend.api.rest import APIS, Api

__all__ = ["WEBHOOKS", "bare_schema", "document"]

_JSON: Final = "application/json"
_REF: Final = "#/components/schemas/"
WEBHOOKS: Final[dict[str, str]] = {
    CREATE_COMMAND: "create",
    DESTROY_COMMAND: "destroy",
    **dict.fromkeys(UPDATE_COMMANDS, "update"),
    ENTER_COMMAND: "enter",
    LEAVE_COMMAND: "leave",
    SEAT_COMMAND: "seat",
}
"""The schema of each command's packet."""

_QUERY: Final = {
    "sdkappid": ("The SDKAppID.", {"type": "string", "pattern": "^[1-9][0-9]{0,9}$"}),
    "identifier": ("The app administrator's account.", {"type": "string", "minLength": 1}),
    "usersig": ("The administrator's UserSig; verified if there is a secret key.", {"type": "string", "minLength": 1}),
    "random": ("A 32-bit unsigned integer.", {"type": "integer", "minimum": 0, "maximum": 4294967295}),
    "contenttype": ("Always json.", {"const": "json"}),
}
_OTHERS: Final[dict[tuple[str, str], tuple[type[msgspec.Struct] | None, str]]] = {
    ("post", "/sim/batch"): (Batch, "Run many actions in one call."),
    ("post", "/sim/wait"): (Wait, "Wait until every callback has its outcome."),
    ("post", "/sim/reset"): (Nothing, "Drop all rooms without a callback."),
    ("get", "/sim/clock"): (None, "Read the clock."),
    ("post", "/sim/clock/advance"): (Advance, "Advance the virtual clock."),
    ("get", "/sim/rooms"): (None, "List rooms and their members."),
    ("get", "/sim/callbacks"): (None, "List callbacks and their outcomes."),
    ("put", "/sim/faults"): (FaultsPacket, "Inject faults into callbacks."),
    ("put", "/sim/answers"): (PlannedCodes, "Plan the error codes of the next REST calls."),
}
_LISTS: Final = {"/sim/rooms": ("sdkappid",), "/sim/callbacks": ("sdkappid", "after", "limit")}


@cache
def document() -> dict[str, Any]:
    """The whole document: paths under /v4 and /sim, and a webhook for each command of the family."""
    packets = [api.packet for api in APIS.values()] + [action.packet for action in ACTIONS.values()]
    others = [packet for packet, _ in _OTHERS.values() if packet is not None]
    types = list(dict.fromkeys([*packets, *others]))
    (_, components) = msgspec.json.schema_components(types, ref_template=_REF + "{name}")
    components = {name: _closed(schema) for name, schema in components.items()}
    paths: dict[str, Any] = {f"/{path}": {"post": _rest(api)} for path, api in APIS.items()}
    for name, action in ACTIONS.items():
        paths[f"/sim/{name}"] = {"post": _sim(f"sim-{name}", action.packet, action.summary)}
    for (method, path), (packet, summary) in _OTHERS.items():
        operation = _sim(path.strip("/").replace("/", "-"), packet, summary)
        if path in _LISTS:
            operation["parameters"] = [_list_parameter(name) for name in _LISTS[path]]
        paths.setdefault(path, {})[method] = operation
    made = {
        "openapi": "3.1.0",
        "info": {
            "title": "Roomhook's mock Room backend",
            "version": version("roomhook"),
            "description": "The documented REST, /sim for actions of client apps, and the callbacks.",
        },
        "servers": [{"url": "http://127.0.0.1:8090"}],
        "paths": paths,
        "webhooks": {command: {"post": _webhook(command, name)} for command, name in WEBHOOKS.items()},
        "components": {
            "schemas": {
                **components,
                **{name: bare_schema(name) for name in sorted({*WEBHOOKS.values(), "response"})},
                "RestAnswer": _REST_ANSWER,
                "SimAnswer": {"type": "object", "description": "The result and the time."},
                "Refusal": _REFUSAL,
            }
        },
    }
    plain: dict[str, Any] = json.loads(json.dumps(made))  # as a reader gets it: arrays for tuples
    return plain


_REFUSAL: Final = {
    "type": "object",
    "required": ["ActionStatus", "ErrorInfo", "ErrorCode"],
    "properties": {
        "ActionStatus": {"const": "FAIL"},
        "ErrorInfo": {"type": "string"},
        "ErrorCode": {"type": "integer"},
    },
}
_REST_ANSWER: Final = {
    "type": "object",
    "required": ["ActionStatus", "ErrorInfo", "ErrorCode", "RequestId"],
    "properties": {
        "ActionStatus": {"enum": ["OK", "FAIL"]},
        "ErrorInfo": {"type": "string"},
        "ErrorCode": {"type": "integer"},
        "RequestId": {"type": "string"},
        "Response": {"type": "object"},
    },
    "additionalProperties": False,
}


def _rest(api: Api) -> dict[str, Any]:
    codes = ", ".join(str(int(code)) for code in api.codes)
    return {
        "operationId": api.path.replace("/", "-"),
        "summary": api.summary,
        "description": f"The HTTP status is always 200; see ErrorCode. Documented codes: {codes}.",
        "parameters": [
            {"name": name, "in": "query", "required": True, "description": text, "schema": schema}
            for name, (text, schema) in _QUERY.items()
        ],
        "requestBody": _body(_REF + api.packet.__name__),
        "responses": {"200": _answer("The response packet.", "RestAnswer")},
    }


def _sim(operation: str, packet: type[msgspec.Struct] | None, summary: str) -> dict[str, Any]:
    found: dict[str, Any] = {"operationId": operation, "summary": summary}
    if packet is not None:
        found["requestBody"] = _body(_REF + packet.__name__)
    refused = _answer("Refused: nothing has changed.", "Refusal")
    found["responses"] = {"200": _answer("Done.", "SimAnswer"), **dict.fromkeys(("400", "404", "409"), refused)}
    return found


def _webhook(command: str, name: str) -> dict[str, Any]:
    url = loader.schema("url")
    parameters = [
        {
            "name": key,
            "in": "query",
            "required": key in url["required"],
            "description": schema["description"],
            "schema": {"const": command} if key == "CallbackCommand" else schema,
        }
        for key, schema in url["properties"].items()
    ]
    return {
        "operationId": f"webhook-{command}",
        "summary": loader.schema(name)["title"],
        "parameters": parameters,
        "requestBody": _body(_REF + name),
        "responses": {"200": _answer("HTTP 200 with this packet within 2 s counts as delivered.", "response")},
    }


def _body(reference: str) -> dict[str, Any]:
    return {"required": True, "content": {_JSON: {"schema": {"$ref": reference}}}}


def _answer(text: str, schema: str) -> dict[str, Any]:
    return {"description": text, "content": {_JSON: {"schema": {"$ref": _REF + schema}}}}


def _list_parameter(name: str) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1 if name != "after" else 0, "maximum": 9_999_999_999}
    return {"name": name, "in": "query", "required": False, "schema": schema}


def bare_schema(name: str) -> dict[str, Any]:
    """The schema *name* as part of a larger document: without its own identity."""
    return {key: value for key, value in loader.schema(name).items() if key not in {"$schema", "$id"}}


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Msgspec's schema of a type, with the refusal of unknown fields that it omits."""
    return {**schema, "additionalProperties": False} if schema.get("type") == "object" else schema
