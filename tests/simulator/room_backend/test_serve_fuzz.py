"""Whatever bytes arrive, serve answers with a documented status and prints no traceback."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from console_browser import console_running

FUZZER = Path(__file__).parents[3] / "benchmarks" / "fuzz_serve.py"


@pytest.mark.long
@pytest.mark.parametrize("mode", [[], ["--lenient"]], ids=["strict", "lenient"])
def test_fuzzed_requests_get_documented_answers_and_cause_no_traceback(mode: list[str]) -> None:
    command = [sys.executable, str(FUZZER), "--requests", "1500", *mode]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_form_whose_sender_hangs_up_prints_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    with console_running(callback=False) as run:
        port = int(run.url.rpartition(":")[2])
        for path in ("/console/login", "/console/do/enter"):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nroom".encode())
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /sim/clock HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
    assert "Traceback" not in capfd.readouterr().err
