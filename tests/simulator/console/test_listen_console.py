"""``listen --console`` in a browser: what arrives, judged, saved as an example and replayed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from console_browser import new_page, started_browser
from listener_process import running_listener
from recording_target import recording_target

if TYPE_CHECKING:
    from playwright.sync_api import Browser

QUERY = (
    "SdkAppid=1400000001&CallbackCommand=Room.CallbackAfterMemberLeave&contenttype=json"
    "&ClientIP=1.2.3.4&OptPlatform=iOS"
)
PACKET = {
    "CallbackCommand": "Room.CallbackAfterMemberLeave",
    "Operator_Account": "ann",
    "RoomId": "r1",
    "MemberCount": 1,
    "Type": "Leave",
    "MemberList_Account": ["ann"],
    "Reason": "",
    "EventTime": 1_700_000_000_000,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from started_browser()


@pytest.mark.exhaustive
def test_what_arrives_is_judged_saved_and_replayed(browser: Browser) -> None:
    with recording_target() as target, running_listener("--console", "--quiet") as listener:
        assert listener.process.stderr is not None
        console = listener.process.stderr.readline().split()[-1]
        with requests.Session() as session:
            session.post(f"{listener.url}?{QUERY}", json=PACKET)
            session.post(f"{listener.url}?{QUERY}", json={**PACKET, "Extra": 1})
        with new_page(browser, console) as page:
            page.get_by_text("2 callbacks").wait_for()
            page.locator("a.row", has_text="refused").click()
            page.get_by_text("Extra").first.wait_for()
            page.locator("a.row", has_text="ok").click()
            page.get_by_text("As documented").wait_for()
            page.get_by_text("not signed").wait_for()
            with page.expect_download() as download:
                page.get_by_role("link", name="Save as example").click()
            assert json.loads(download.value.path().read_text()) == PACKET
            page.get_by_label("Replay to this URL").fill("http://192.0.2.1/")
            page.get_by_role("button", name="Replay").click()
            page.get_by_text("--allow-host 192.0.2.1").wait_for()
            page.get_by_label("Replay to this URL").fill(target.url)
            page.get_by_role("button", name="Replay").click()
            page.get_by_text("Sent again as number 3.").wait_for()
        assert json.loads(target.received[0].body) == PACKET
        assert target.received[0].target.endswith(QUERY)


@pytest.mark.exhaustive
def test_forwarded_callbacks_show_the_apps_answer_and_their_drift_is_reported(browser: Browser, tmp_path: Path) -> None:
    journal = str(tmp_path / "arrived.db")
    with (
        recording_target() as target,
        running_listener("--console", "--quiet", "--forward", target.url, "--journal", journal) as listener,
    ):
        assert listener.process.stderr is not None
        console = listener.process.stderr.readline().split()[-1]
        target.answer = b'{"ActionStatus":"FAIL","ErrorInfo":"by the app","ErrorCode":7}'
        with new_page(browser, console) as page:
            page.get_by_text("No callbacks yet").wait_for()
            with requests.Session() as session:
                answer = session.post(f"{listener.url}?{QUERY}&Novelty=1", json={**PACKET, "Extra": 1})
            assert answer.json()["ErrorInfo"] == "by the app"
            page.locator("a.row").click()
            page.get_by_text("by the app").wait_for()
        assert json.loads(target.received[0].body) == {**PACKET, "Extra": 1}
    command = [sys.executable, "-m", "roomhook", "journal", journal, "--drift"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "unknown field: Room.CallbackAfterMemberLeave packet $.Extra, e.g. 1" in told
    assert "unknown field: Room.CallbackAfterMemberLeave url $.Novelty" in told
