"""The whole way: 12,000 callbacks from traffic to listen, through a kill -9 of the sender and a resume."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from listener_process import clean_environment, running_listener

from roomhook.simulator.journal.reader import reading

pytestmark = pytest.mark.long

EVENTS = 12_000


def roomhook(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "roomhook", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=clean_environment(), timeout=100, **options
    )


def summary(journal: Path) -> dict[str, Any]:
    done = roomhook("journal", str(journal), "--format", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def wait_for(journal: Path, rows: int) -> None:
    """Poll until *journal* holds that many callbacks received."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with reading(journal) as reader:
            if reader.connection.execute("SELECT count(*) FROM received").fetchone()[0] >= rows:
                return
        time.sleep(0.05)
    raise AssertionError(f"{rows} callbacks did not arrive")


@pytest.mark.timeout(240)
def test_twelve_thousand_callbacks_survive_a_kill_of_the_sender(tmp_path: Path) -> None:
    sent, arrived = tmp_path / "sent.db", tmp_path / "arrived.db"
    with running_listener("--journal", str(arrived), "--quiet") as listener:
        order = ["traffic", listener.url, "--events", str(EVENTS), "--rate", "max", "--journal", str(sent)]
        command = [sys.executable, "-m", "roomhook", *order]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment()
        ) as sender:
            wait_for(arrived, 2_500)
            sender.send_signal(signal.SIGKILL)
            sender.communicate()
        died = summary(sent)
        assert died["scheduled"] == died["delivered"] + died["failed"] + died["unsent"]
        assert 0 < died["delivered"] < EVENTS
        assert 0 < died["in_doubt"] <= 64
        refused = roomhook(*order)
        assert refused.returncode == 2
        assert "exists; add --resume" in refused.stderr
        resumed = roomhook(*order, "--resume")
        assert resumed.returncode == 0, resumed.stderr
        listener.process.terminate()
        _, said = listener.process.communicate()

    found, taken = summary(sent), summary(arrived)
    assert (found["scheduled"], found["delivered"], found["failed"], found["unsent"]) == (EVENTS, EVENTS, 0, 0)
    assert found["in_doubt"] == died["in_doubt"]
    assert found["attempts"] == EVENTS + found["in_doubt"]
    assert taken["distinct"] == EVENTS
    assert taken["invalid"] == 0
    assert f"received {taken['received']}, refused 0" in said

    connection = sqlite3.connect(sent)
    ours = {body for (body,) in connection.execute("SELECT body FROM events")}
    doubtful = {
        body
        for (body,) in connection.execute(
            "SELECT body FROM events WHERE id IN (SELECT event FROM attempts WHERE outcome = 'in-doubt')"
        )
    }
    connection.close()
    connection = sqlite3.connect(arrived)
    theirs = Counter(body for (body,) in connection.execute("SELECT body FROM received"))
    connection.close()
    assert set(theirs) == ours
    assert {body for body, times in theirs.items() if times > 1} <= doubtful
    assert max(theirs.values()) <= 2
