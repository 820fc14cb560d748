"""The requests as a Postman collection, format 2.1."""

from __future__ import annotations

from typing import Any, Final

from roomhook.simulator.room_backend.documents.requests import (
    CALLBACKS,
    FOLDERS,
    VARIABLES,
    CollectionRequest,
    requests,
)

__all__ = ["document"]

_SCHEMA: Final = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_BEFORE: Final = (
    'pm.variables.set("eventTime", Date.now());',
    'pm.variables.set("now", Math.floor(Date.now() / 1000));',
    'const token = pm.variables.get("token");',
    'const sign = token ? CryptoJS.SHA256(token + pm.variables.get("now")).toString() : "";',
    'pm.variables.set("sign", sign);',
    'if (!token) pm.request.url.query.filter(one => ["Sign", "RequestTime"].includes(one.key))',
    "  .forEach(one => pm.request.url.query.remove(one));",
)
_AFTER: Final = (
    'pm.test("HTTP 200", () => pm.response.to.have.status(200));',
    'pm.test("ActionStatus OK", () => pm.expect(pm.response.json().ActionStatus).to.equal("OK"));',
    'pm.test("ErrorCode 0", () => pm.expect(pm.response.json().ErrorCode).to.equal(0));',
    'pm.test("ErrorInfo is text", () => pm.expect(pm.response.json().ErrorInfo).to.be.a("string"));',
    'pm.test("within 2 s", () => pm.expect(pm.response.responseTime).to.be.below(2000));',
)


def document() -> dict[str, Any]:
    """The collection, as Postman imports it."""
    found = list(requests())
    return {
        "info": {
            "name": "Roomhook",
            "description": "Callbacks of Tencent RTC's Room backend, and its REST.",
            "schema": _SCHEMA,
        },
        "variable": [{"key": key, "value": value, "type": "string"} for key, value in VARIABLES.items()],
        "item": [
            {
                "name": folder,
                "description": about,
                "item": [_item(one) for one in found if one.folder == folder],
                "event": [_event("prerequest", _BEFORE), _event("test", _AFTER)] if folder == CALLBACKS else [],
            }
            for folder, about in FOLDERS.items()
        ],
    }


def _event(when: str, lines: tuple[str, ...]) -> dict[str, Any]:
    return {"listen": when, "script": {"type": "text/javascript", "exec": list(lines)}}


def _item(one: CollectionRequest) -> dict[str, Any]:
    request = {
        "method": "POST",
        "header": [{"key": "Content-Type", "value": "application/json"}],
        "body": {"mode": "raw", "raw": one.body, "options": {"raw": {"language": "json"}}},
        "url": _url(one),
        "description": one.description,
    }
    responses = [
        {
            "name": name,
            "originalRequest": request,
            "status": "OK",
            "code": 200,
            "_postman_previewlanguage": "json",
            "header": [{"key": "Content-Type", "value": "application/json"}],
            "body": body,
        }
        for name, body in one.examples
    ]
    return {"name": one.name, "request": request, "response": responses}


def _url(one: CollectionRequest) -> dict[str, Any]:
    host, *path = one.url.split("/")
    query = [{"key": key, "value": value} for key, value in one.query]
    raw = f"{one.url}?{'&'.join(f'{key}={value}' for key, value in one.query)}"
    return {"raw": raw, "host": [host], "query": query, **({"path": path} if path else {})}
