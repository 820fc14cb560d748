"""The AsyncAPI 3.0 document of the callbacks: what an App backend receives, and what it replies."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from roomhook.schemas import loader
from roomhook.simulator.room_backend.api.openapi import WEBHOOKS, bare_schema

__all__ = ["document"]

_CHANNEL: Final = "callbacks"
_HTTP_VERSION: Final = "0.3.0"


@cache
def document() -> dict[str, Any]:
    """The whole document: one channel, the callback URL, and an operation for each command of the family."""
    url = loader.schema("url")
    made = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Callbacks of the Room backend",
            "version": version("roomhook"),
            "description": "What Tencent RTC's Room backend sends to an App backend, as its pages document it.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "appBackend": {
                "host": "127.0.0.1:8000",
                "protocol": "http",
                "description": "Your App backend; the Room backend reaches it by the URL that set_callback names.",
            }
        },
        "channels": {
            _CHANNEL: {
                "address": "/callback",
                "title": "The callback URL",
                "servers": [{"$ref": "#/servers/appBackend"}],
                "messages": {
                    name: {"$ref": f"#/components/messages/{name}"} for name in (*map(_key, WEBHOOKS), "response")
                },
            }
        },
        "operations": {f"receive-{_key(command)}": _operation(command, url) for command in WEBHOOKS},
        "components": {
            "messages": {
                **{_key(command): _message(command, name) for command, name in WEBHOOKS.items()},
                "response": {
                    "name": "response",
                    "title": loader.schema("response")["title"],
                    "contentType": "application/json",
                    "payload": {"$ref": "#/components/schemas/response"},
                    "bindings": {"http": {"statusCode": 200, "bindingVersion": _HTTP_VERSION}},
                },
            },
            "schemas": {name: bare_schema(name) for name in sorted({*WEBHOOKS.values(), "response"})},
        },
    }
    plain: dict[str, Any] = json.loads(json.dumps(made))  # as a reader gets it: arrays for tuples
    return plain


def _key(command: str) -> str:
    return command.replace(".", "-")


def _operation(command: str, url: dict[str, Any]) -> dict[str, Any]:
    query = {
        "type": "object",
        "required": url["required"],
        "properties": {**url["properties"], "CallbackCommand": {"type": "string", "const": command}},
    }
    return {
        "action": "receive",
        "title": command,
        "summary": "A 200 with the response packet within 2 s counts as delivered.",
        "channel": {"$ref": f"#/channels/{_CHANNEL}"},
        "messages": [{"$ref": f"#/channels/{_CHANNEL}/messages/{_key(command)}"}],
        "bindings": {"http": {"method": "POST", "query": query, "bindingVersion": _HTTP_VERSION}},
        "reply": {
            "channel": {"$ref": f"#/channels/{_CHANNEL}"},
            "messages": [{"$ref": f"#/channels/{_CHANNEL}/messages/response"}],
        },
    }


def _message(command: str, name: str) -> dict[str, Any]:
    return {
        "name": command,
        "title": loader.schema(name)["title"],
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{name}"},
    }
