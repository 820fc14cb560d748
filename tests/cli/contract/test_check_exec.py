"""``roomhook check --exec``: an app that is started for the run, waited for, and stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from contextlib import closing
from pathlib import Path
from shlex import quote
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from check_runs import PYTHON, fails

from roomhook.cli.main import main
from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.contract_tests.transport.target_process import TargetProcess, free_port

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, and nobody's pipeline."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROOMHOOK_SEED", "7")
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "ROOMHOOK_TOKEN", "NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)


# ── --exec ──────────────────────────────────────────────────────────────────────────────────────────────────────────

BACKEND = f"{quote(PYTHON)} -m roomhook backend --listen 127.0.0.1:{{port}}"


def test_a_target_of_ours_is_started_waited_for_and_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--exec", BACKEND, "http://127.0.0.1:{port}/reference", "--only", "ack.ok,type.leave"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    port = re.findall(r"127\.0\.0\.1:(\d+)", out)[0]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port))) != 0


APP = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class App(BaseHTTPRequestHandler):
    def do_POST(self):
        print('out of memory', flush=True)
        print('127.0.0.1 - - "\x1b[33mGET /rooms/r1 HTTP/1.1\x1b[0m" 404 -', flush=True)
        {effect}
HTTPServer(('127.0.0.1', int(sys.argv[1])), App).serve_forever()
"""


@pytest.mark.parametrize(
    ("effect", "heading"),
    [("self.send_error(500)", "last output of your app:"), ("os._exit(3)", "last output of your app before it ended:")],
)
def test_the_output_of_a_target_of_ours_is_shown_without_its_access_log_where_it_explains_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], effect: str, heading: str
) -> None:
    (tmp_path / "app.py").write_text(APP.format(effect=effect))
    command = f"exec {quote(PYTHON)} app.py {{port}}"
    assert main(["check", "--exec", command, "http://127.0.0.1:{port}/", "--only", "ack.ok,type"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"{heading}\nout of memory")
    assert "POST" not in err
    assert "GET" not in err
    assert "code 500" not in err


def test_the_output_of_a_target_of_ours_is_not_shown_where_it_explains_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = "http://127.0.0.1:{port}/broken/ack.status"
    command = f"echo hello; {BACKEND}"
    assert main(["check", "--exec", command, url.replace("ack.status", "app-id.near"), "--only", "app-id"]) == 1
    assert capsys.readouterr().err == ""


def test_a_target_of_ours_that_dies_at_once_is_unreachable_in_every_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "echo 'no module named app' >&2; exit 7  # {port}"
    assert main(["check", "--exec", command, "--report", "junit", "--report-dir", str(tmp_path)]) == 3
    out, err = capsys.readouterr()
    assert "UNREACHABLE  --exec ended with exit code 7 before it listened; its last lines:\nno module named app" in out
    assert err == f"wrote {tmp_path / 'roomhook-junit.xml'}\n"
    error = ET.parse(tmp_path / "roomhook-junit.xml").getroot().find(".//error")
    assert error is not None
    assert "no module named app" in str(error.get("message"))


def test_a_target_of_ours_that_never_listens_is_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--exec", "echo up; sleep 60  # {port}", "--wait-for", "0.5"]) == 3
    assert "(--wait-for gives it longer); its last lines: up" in " ".join(capsys.readouterr().out.split())


def test_a_target_of_ours_may_listen_on_the_port_that_the_url_names() -> None:
    port = str(free_port())
    url = f"http://127.0.0.1:{port}/reference"
    assert main(["check", "--exec", BACKEND.replace("{port}", port), url, "--only", "ack.ok"]) == 0


def test_a_port_that_is_taken_is_told_before_another_target_is_judged_in_place_of_ours(
    server: BackendServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "or write {port} into the URL" in fails(capsys, "--exec", "sleep 60", server.url("reference"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_target_of_ours_is_stopped_and_reported_on_when_the_job_is_cancelled(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = f"echo $$ > {tmp_path}/pid; exec sleep 60  # {{port}}"
    reports = ["--report", "junit,json"]
    with subprocess.Popen([PYTHON, "-m", "roomhook", "check", "--exec", command, *reports]) as cancelled:
        pid = tmp_path / "pid"
        while not (pid.exists() and pid.read_text()):
            assert cancelled.poll() is None
            time.sleep(0.02)
        cancelled.send_signal(number)
        assert cancelled.wait(30) == 128 + number
    report = json.loads(Path("roomhook-report/roomhook.json").read_text(encoding="utf-8"))
    assert report["verdict"] == "interrupted"
    assert f"stopped by {number.name}" in report["detail"]
    assert Path("roomhook-report/roomhook-junit.xml").is_file()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_target_of_ours_is_stopped_even_if_the_job_is_cancelled_amid_its_start(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Cancelled(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)
            signal.raise_signal(number)

    monkeypatch.setattr(subprocess, "Popen", Cancelled)
    before = signal.getsignal(number)
    target = TargetProcess("exec sleep 60  # {port}", free_port(), wait_s=5)
    with closing(target), pytest.raises(KeyboardInterrupt), target:
        pass
    assert started[0].returncode == -signal.SIGTERM
    assert signal.getsignal(number) is before
