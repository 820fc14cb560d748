"""Recorded callbacks against the documents: each kind of difference is found once, counted, with its erratum."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from listener_process import running_listener

from roomhook.cli.main import main
from roomhook.schemas.loader import schema
from roomhook.simulator.protocol.drift import find_drift
from roomhook.simulator.protocol.request_check import SCHEMA_NAMES

LEAVE = "Room.CallbackAfterMemberLeave"
URL = {
    "SdkAppid": "1400000001",
    "CallbackCommand": LEAVE,
    "contenttype": "json",
    "ClientIP": "203.0.113.7",
    "OptPlatform": "iOS",
}


def recorded(url: dict[str, str] | None = None, **changes: Any) -> tuple[str, bytes]:
    """A documented leave with *changes*; ... leaves a field out."""
    packet = {**schema("leave")["examples"][0], **changes}
    body = json.dumps({name: value for name, value in packet.items() if value is not ...})
    return urlencode({**URL, **(url or {})}), body.encode()


def test_what_is_as_documented_does_not_drift() -> None:
    for command, name in SCHEMA_NAMES.items():
        packet = {**schema(name)["examples"][0], "CallbackCommand": command}
        assert find_drift([(urlencode({**URL, "CallbackCommand": command}), json.dumps(packet).encode())]) == []


@pytest.mark.parametrize(
    ("callback", "place", "kind", "field"),
    [
        (recorded(Extra=1), "packet", "unknown field", "$.Extra"),
        (recorded(Reason=...), "packet", "missing field", "$.Reason"),
        (recorded(MemberCount="3"), "packet", "other type", "$.MemberCount"),
        (recorded(Type="Vanished"), "packet", "unlisted value", "$.Type"),
        (recorded({"Region": "sg"}), "url", "unknown field", "$.Region"),
        (recorded({"OptPlatform": "Toaster"}), "url", "unlisted value", "$.OptPlatform"),
        ((urlencode(URL), b"no json"), "packet", "not JSON", "$"),
        ((urlencode({**URL, "CallbackCommand": "Room.New"}), b"{}"), "packet", "unknown command", "CallbackCommand"),
    ],
)
def test_each_kind_of_difference(callback: tuple[str, bytes], place: str, kind: str, field: str) -> None:
    found = find_drift([callback, callback])
    assert (place, kind, field, 2) in [(one.place, one.kind, one.field, one.count) for one in found]


def test_the_command_groups_a_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "arrived.db"
    with running_listener("--journal", str(path), "--count", "3") as listener:
        for query, body in (recorded(), recorded(Extra="\x1b[2J"), recorded(Extra=1, EventTime="soon")):
            requests.post(f"{listener.url}?{query}", data=body, timeout=10)
        listener.process.communicate(timeout=10)
    assert main(["journal", str(path), "--drift"]) == 0
    said = capsys.readouterr().out
    assert "3 callbacks" in said
    assert "2  unknown field: Room.CallbackAfterMemberLeave packet $.Extra" in said
    assert "other type" in said
    assert "\x1b" not in said
    assert main(["journal", str(path), "--drift", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["callbacks"] == 3
