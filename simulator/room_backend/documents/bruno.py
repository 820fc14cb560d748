"""The requests as a Bruno collection: a folder of .bru files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from roomhook.simulator.room_backend.documents.requests import (
    CALLBACKS,
    FOLDERS,
    VARIABLES,
    CollectionRequest,
    requests,
)

__all__ = ["files"]

_BEFORE: Final = """\
const crypto = require("crypto-js");
const now = Math.floor(Date.now() / 1000);
const token = bru.getEnvVar("token");
bru.setVar("eventTime", Date.now());
bru.setVar("now", now);
bru.setVar("sign", token ? crypto.SHA256(token + now).toString() : "");
if (!token) req.setUrl(req.getUrl().replace(/&RequestTime=[^&]*&Sign=[^&]*/, ""));"""
_ASSERTIONS: Final = {"res.status": "eq 200", "res.body.ActionStatus": "eq OK", "res.body.ErrorCode": "eq 0"}


def files() -> dict[str, str]:
    """The text of each file by its path in the collection's folder."""
    about = {"version": "1", "name": "Roomhook", "type": "collection", "ignore": []}
    found = {
        "bruno.json": json.dumps(about, indent=2) + "\n",
        "collection.bru": _blocks({"script:pre-request": _BEFORE, "docs": "\n".join(FOLDERS.values())}),
        "environments/local.bru": _blocks({"vars": _pairs(VARIABLES)}),
    }
    for number, one in enumerate(requests(), 1):
        found[f"{one.folder}/{one.name.replace(',', '')}.bru"] = _request(number, one)
    return found


def _request(number: int, one: CollectionRequest) -> str:
    query = "&".join(f"{key}={value}" for key, value in one.query)
    docs = "\n".join([one.description, *(f"- {name}" for name, _ in one.examples)])
    blocks = {
        "meta": _pairs({"name": one.name.replace(",", ""), "type": "http", "seq": str(number)}),
        "post": _pairs({"url": f"{one.url}?{query}", "body": "json", "auth": "none"}),
        "params:query": _pairs(dict(one.query)),
        "body:json": one.body,
        **({"assert": _pairs(_ASSERTIONS)} if one.folder == CALLBACKS else {}),
        "docs": docs,
    }
    return _blocks(blocks)


def _pairs(values: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in values.items())


def _blocks(blocks: Mapping[str, str]) -> str:
    return "\n".join(_block(name, text) for name, text in blocks.items())


def _block(name: str, text: str) -> str:
    return "\n".join([f"{name} {{", *_indented(text), "}", ""])


def _indented(text: str) -> Iterator[str]:
    return (f"  {line}".rstrip() for line in text.splitlines())
