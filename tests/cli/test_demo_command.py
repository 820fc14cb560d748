"""``roomhook demo``: an evening of rooms at any hour, and one that a browser can watch."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
import requests
from listener_process import clean_environment

from roomhook.cli.demo import _EVENING, _LEAVES, _last_evening
from roomhook.simulator.traffic.generator import TrafficRequest, events
from roomhook.simulator.traffic.scenario import from_document


@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_the_demo_has_a_whole_evening_at_any_hour_of_the_day(hour: int) -> None:
    now = datetime(2026, 11, 29, hour, 36, tzinfo=UTC)
    start_ms = _last_evening(now.timestamp())
    scenario = from_document(_EVENING, "the demo's evening")
    happened = [event.time_ms for event in events(TrafficRequest(scenario=scenario, seed=7, start_ms=start_ms))]
    assert len(happened) >= _LEAVES
    assert max(happened) < now.timestamp() * 1000


@pytest.mark.long
@pytest.mark.exhaustive
def test_an_evening_is_shown_until_ctrl_c() -> None:
    command = [sys.executable, "-m", "roomhook", "demo", "--console", "--seed", "7"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=clean_environment()) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with requests.Session() as session:
            until = time.monotonic() + 30
            delivered = 0
            while delivered < 20 and time.monotonic() < until:
                page = session.get(f"{url}/callbacks?outcome=delivered").text
                found = re.search(r'id="count">([0-9,]+) callbacks', page)
                delivered = int(found[1].replace(",", "")) if found else 0
                time.sleep(0.2)
            assert delivered >= 20
            assert "runs at 60×" in session.get(url).text
            assert "evening, 8/s" in session.get(url).text
            run = session.get(f"{url}/run").text
            assert re.search(r'name="probe" value="http://127\.0\.0\.1:\d+/reference/rooms/\{RoomId\}"', run)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
