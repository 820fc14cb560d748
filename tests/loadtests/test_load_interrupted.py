"""``roomhook load`` when somebody presses Ctrl-C, and what a terminal shows of it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
from counting_target import CountingTarget, counting_target
from locust_runs import ENVIRONMENT, wait_for
from rich.console import Console

from roomhook.cli.load.live_panel import panel
from roomhook.loadtests.results.progress import LoadProgress

pytestmark = pytest.mark.long


@pytest.fixture
def target() -> Iterator[CountingTarget]:
    with counting_target() as found:
        yield found


@contextmanager
def loading(url: str, folder: Path, *options: str, stderr: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """``roomhook load`` for a minute, in a process group of its own as in a terminal."""
    command = [sys.executable, "-m", "roomhook", "load", url, "--duration", "60s", "--report-dir", str(folder / "out")]
    environment = {key: value for key, value in ENVIRONMENT.items() if key != "CI"} | {"TERM": "xterm"}
    with subprocess.Popen(
        [*command, "--shape", "soak", "--seed", "5", *options],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=environment,
        cwd=folder,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def locust_of(process: subprocess.Popen[str]) -> int:
    """The locust that *process* has started, which leads a session of its own."""
    found = subprocess.run(
        ["pgrep", "-P", str(process.pid), "-f", "locust"], capture_output=True, text=True, check=True
    )
    return int(found.stdout.split()[0])


def left_of(leader: int) -> bool:
    """Is there still something alive in the session of *leader*?"""
    look = ["pgrep", "-s", str(leader), "--runstates", "DRS"]
    return subprocess.run(look, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--engine", "fast"),
        pytest.param(("--engine", "gevent", "--processes", "2"), marks=pytest.mark.exhaustive),
    ],
)
def test_ctrl_c_ends_it_in_order_with_exact_totals(
    target: CountingTarget, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with loading(target.url, tmp_path, *options) as process:
        wait_for(lambda: target.answers > 20)
        leader = locust_of(process)
        os.killpg(process.pid, signal.SIGINT)
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
    assert not left_of(leader)
    found = json.loads((tmp_path / "out" / "load.json").read_text())
    assert found["requests"] == found["delivered"] == target.answers
    assert found["exit_code"] == 130
    assert "noncompliant>0" in out
    assert "note: interrupted early" in out
    assert out.splitlines()[-1] == f"Report: {tmp_path / 'out' / 'load.html'}"
    assert errors.splitlines() == ["seed 5 (--seed 5 sends the same people and rooms again)"]
    assert f'"num_requests": {target.answers}' in (tmp_path / "out" / "load.html").read_text()


@pytest.mark.exhaustive
def test_ctrl_c_before_the_first_callback_is_one_line(target: CountingTarget, tmp_path: Path) -> None:
    with loading(target.url, tmp_path, "--processes", "2") as process:
        wait_for(lambda: any("ready. 2 workers" in one.read_text() for one in tmp_path.glob("out/.load-*/locust.log")))
        leader = locust_of(process)
        os.killpg(process.pid, signal.SIGINT)
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
    assert out == ""
    assert errors.splitlines()[1:] == ["roomhook: interrupted before the first callback"]
    assert not left_of(leader)


@pytest.mark.exhaustive
def test_a_terminal_that_closes_ends_it_in_order_with_its_verdict(target: CountingTarget, tmp_path: Path) -> None:
    with loading(target.url, tmp_path) as process:
        wait_for(lambda: target.answers > 20)
        leader = locust_of(process)
        process.send_signal(signal.SIGHUP)
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
    assert not left_of(leader)
    found = json.loads((tmp_path / "out" / "load.json").read_text())
    assert found["requests"] == target.answers
    assert "noncompliant>0" in out


@pytest.mark.exhaustive
def test_two_runs_in_one_folder_each_say_their_own_verdict(tmp_path: Path) -> None:
    with counting_target() as good, counting_target() as bad:
        bad.body = b"[]"
        with (
            loading(good.url, tmp_path, "--duration", "3s", "--format", "json") as first,
            loading(bad.url, tmp_path, "--duration", "3s", "--format", "json") as second,
        ):
            found = [(json.loads(one.communicate(timeout=60)[0]), one.returncode) for one in (first, second)]
    assert [(one["target"], one["exit_code"], code) for one, code in found] == [(good.url, 0, 0), (bad.url, 1, 1)]
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == [
        "load.html", "load.json", "load.xml", "locust.log"
    ]  # fmt: skip


def test_nothing_is_sent_once_its_parent_is_dead(target: CountingTarget, tmp_path: Path) -> None:
    with loading(target.url, tmp_path, "--processes", "2") as process:
        wait_for(lambda: target.answers > 20)
        leader = locust_of(process)
        process.kill()
        wait_for(lambda: not left_of(leader))
    sent = target.answers
    time.sleep(0.5)
    assert target.answers == sent


def test_a_terminal_shows_a_panel(target: CountingTarget, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    shown = b""
    with loading(target.url, tmp_path, stderr=theirs) as process:
        os.close(theirs)
        while b"/s sent" not in shown or b"delivered" not in shown:
            shown += os.read(ours, 4096)
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 130
    os.close(ours)
    assert b"soak to 200/s at " + target.url.encode() in shown


def test_the_panel_says_what_is_broken_and_fits_the_terminal() -> None:
    broken = {"ack.json": 1, "ack.status": 2, "ack.close": 3, "ack.deadline": 4, "ack.complete": 5}
    now = LoadProgress(
        elapsed_s=12.2, users=100, workers=2, connections=1024, asked=200, rate=197.6, requests=1234, noncompliant=15,
        unsent=3, outcomes={"delivered": 1230, "timeout": 4}, requirements=broken, p50_ms=0.42, p99_ms=812.5,
    )  # fmt: skip
    console = Console(width=80, record=True, file=StringIO())
    console.print(panel(now, "ramp", 30, 80))
    lines = console.export_text().splitlines()
    text = " ".join(" ".join(line.strip("│ ") for line in lines).split())
    assert max(map(len, lines)) <= 80
    assert "12 of 30 s" in text
    assert "200/s requested 198/s sent" in text
    assert "1,234 1,230 delivered 4 timeout 3 due but unsent" in text
    assert "15 not compliant: ack.complete 5, ack.deadline 4, ack.close 3, ack.status 2, and 1 more" in text
