"""``roomhook demo --console``: a simulated evening that a browser can watch."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

import pytest
import requests
from listener_process import clean_environment

pytestmark = pytest.mark.long


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
