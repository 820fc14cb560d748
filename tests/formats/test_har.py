"""HAR 1.2 as check, fire and journal write it, read by har-validator: every exchange, and no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from node_tools import read_by_node
from recording_target import recording_target

from roomhook.cli.main import main
from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.har import har_entry
from roomhook.simulator.protocol.response_check import Response

pytestmark = pytest.mark.long

SECRET = "s3cr3t"


def checked(text: str) -> list[dict[str, Any]]:
    """The entries of a HAR log that har-validator has found valid."""
    assert read_by_node("return await require('har-validator').har(JSON.parse(given)) && true", text)
    entries: list[dict[str, Any]] = json.loads(text)["log"]["entries"]
    return entries


@pytest.fixture
def backend() -> Iterator[BackendServer]:
    with BackendServer() as found:
        yield found


def test_check_writes_every_exchange(
    backend: BackendServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--only", "ack.*", "--report", "har", "--report", "json", "--report-dir", str(tmp_path)]
    assert main(["check", backend.url(), "--header", f"Authorization: {SECRET}", *options]) == 0
    text = (tmp_path / "roomhook.har").read_text(encoding="utf-8")
    entries = checked(text)
    sent = json.loads((tmp_path / "roomhook.json").read_text())["delivery"]["sent"]
    assert len(entries) >= sent > 0
    assert {one["response"]["status"] for one in entries} == {200}
    assert SECRET not in text
    capsys.readouterr()


def test_check_writes_as_many_exchanges_as_the_target_has_received(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with recording_target() as target:
        options = ["--only", "http.parallel,http.slow-body", "--report", "har", "--report-dir", str(tmp_path)]
        main(["check", target.url, *options])
        entries = checked((tmp_path / "roomhook.har").read_text(encoding="utf-8"))
        assert len(entries) == len(target.received)
    capsys.readouterr()


def test_fire_writes_each_attempt_with_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    har = tmp_path / "fired.har"
    options = ["--times", "2", "--har", str(har), "--token", SECRET]
    assert main(["fire", "kicked", f"http://127.0.0.1:9/?token={SECRET}", *options]) == 3
    entries = checked(har.read_text(encoding="utf-8"))
    assert [one["response"]["status"] for one in entries] == [0, 0]
    assert entries[0]["comment"].startswith("refused; ")
    assert entries[0]["request"]["queryString"][0] == {"name": "token", "value": "***"}
    assert SECRET not in har.read_text(encoding="utf-8")
    capsys.readouterr()


def test_a_senders_journal_has_an_entry_an_attempt(
    backend: BackendServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = str(tmp_path / "run.db")
    order = ["--events", "12", "--rate", "500/s", "--journal", journal, "--seed", "4"]
    assert main(["traffic", backend.url(), *order, "--header", f"Authorization: {SECRET}"]) in {0, 1}
    capsys.readouterr()
    assert main(["journal", journal, "--export", "har", "--limit", "5"]) == 0
    text = capsys.readouterr().out
    entries = checked(text)
    assert len(entries) == 5
    assert entries[0]["request"]["url"].startswith(backend.url())
    assert json.loads(entries[0]["request"]["postData"]["text"])["CallbackCommand"].startswith("Room.")
    assert json.loads(entries[0]["response"]["content"]["text"])["ErrorInfo"] is not None
    assert entries[0]["time"] > 0
    assert SECRET not in text


@pytest.mark.parametrize(
    ("response", "content"),
    [
        (None, {"size": 0, "mimeType": "x-unknown", "text": ""}),
        (
            Response(200, (), b"\xff\x00", 1.0),
            {"size": 2, "mimeType": "x-unknown", "text": "/wA=", "encoding": "base64"},
        ),
        (Response(599, (("content-type", "text/plain"),), b"", 1.0), {"size": 0, "mimeType": "text/plain", "text": ""}),
    ],
)
def test_any_response_is_a_valid_entry(response: Response | None, content: dict[str, Any]) -> None:
    callback = CallbackRequest("http://127.0.0.1/?a=1&b=", b"\xff", (("X-Api-Key", SECRET),))
    entry = har_entry(callback, response, started_s=0, elapsed_ms=1.5)
    log = {"log": {"version": "1.2", "creator": {"name": "Roomhook", "version": "0"}, "entries": [entry]}}
    assert checked(json.dumps(log))[0]["response"]["content"] == content
    assert entry["startedDateTime"] == "1970-01-01T00:00:00.000+00:00"
    assert entry["request"]["headers"] == [{"name": "X-Api-Key", "value": "***"}]


def test_a_har_that_cannot_be_written_is_refused_before_anything_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fire", "leave", "http://127.0.0.1:9/", "--har", "/nowhere/f.har"]) == 2
    assert "--har /nowhere/f.har can't be written: No such file or directory" in capsys.readouterr().err
