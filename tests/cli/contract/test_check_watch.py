"""``roomhook check --watch``, as somebody who edits an app beside it sees it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote

import pytest

from roomhook.cli.main import main

APP = """\
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": CODE}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    (tmp_path / "app.py").write_text(APP.replace("CODE", '"0"'))
    command = [sys.executable, "-m", "roomhook", "check", "--watch", "--only", "ack.error-code,ack.json", "--seed", "1"]
    with (tmp_path / "shown.out").open("w") as shown:
        process = subprocess.Popen(
            [*command, "--exec", f"{quote(sys.executable)} app.py {{port}}"],
            cwd=tmp_path,
            stdout=shown,
            stderr=shown,
            text=True,
        )
    try:
        yield process, (tmp_path / "shown.out").read_text
    finally:
        process.kill()
        process.wait()


def wait_for(text: str, shown: Callable[[], str]) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if text in shown():
            return shown()
        time.sleep(0.05)
    raise AssertionError(f"{text!r} was not shown:\n{shown()}")


@pytest.mark.long
def test_a_fixed_app_is_judged_first_by_what_failed_and_then_by_the_rest(
    watched: tuple[subprocess.Popen[str], Callable[[], str]], tmp_path: Path
) -> None:
    process, shown = watched
    first = wait_for("watching .; Ctrl-C ends", shown)
    assert "DOES NOT CONFORM  1 failed" in first

    (tmp_path / "app.py").write_text(APP.replace("CODE", "0"))

    wait_for("CONFORMS  2 passed", shown)
    rest = shown()[len(first) :]
    steps = ["app.py changed", "judging what failed: ack.error-code", "CONFORMS  1 passed", "CONFORMS  2 passed"]
    assert [step for step in steps if step not in rest] == [], rest
    places = [rest.index(step) for step in steps]
    assert places == sorted(places)
    wait_for("watching .; Ctrl-C ends\n", lambda: shown()[len(first) :])
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


def test_a_folder_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "http://127.0.0.1:9/", "--watch-dir", "/nowhere"]) == 2
    assert "--watch-dir /nowhere does not exist" in capsys.readouterr().err
