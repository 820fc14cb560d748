"""``roomhook load --web``: locust's web UI with the options of the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from counting_target import counting_target
from locust_runs import ENVIRONMENT, free_port, get, wait_for

from roomhook.cli.main import main


@pytest.mark.exhaustive
@pytest.mark.long
def test_the_web_ui_has_our_options_and_its_run_ends_in_our_verdict(tmp_path: Path) -> None:
    port = free_port()
    site = f"http://127.0.0.1:{port}"
    with counting_target() as target:
        options = ["--web", "--web-port", str(port), "--rate", "40/s", "--users", "4", "--sdkappid", "1400000009"]
        with subprocess.Popen(
            [sys.executable, "-m", "roomhook", "load", target.url, *options, "--shape", "soak", "--seed", "5"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            cwd=tmp_path,
            start_new_session=True,
        ) as process:
            try:
                assert process.stderr is not None
                said = [process.stderr.readline() for _ in range(3)]
                page = get(site)
                assert target.answers == 0, "it waits for Start"
                form = {"user_count": "4", "spawn_rate": "4", "host": target.url, "sdkappid": "1400000009"}
                with urllib.request.urlopen(
                    f"{site}/swarm", urllib.parse.urlencode(form).encode(), timeout=90
                ) as answer:
                    assert json.load(answer)["success"]
                wait_for(lambda: target.answers > 20)
                os.killpg(process.pid, signal.SIGINT)
                out, _ = process.communicate(timeout=90)
                assert process.returncode == 0, out
            finally:
                process.kill()
    assert site in said[1]
    assert "Ctrl-C" in said[2]
    assert "1400000009" in page
    assert target.url in page
    found = json.loads((tmp_path / "roomhook-report" / "load.json").read_text())
    assert found["requests"] == target.answers
    assert (found["sdkappid"], found["seed"]) == (1400000009, 5)
    assert "noncompliant>0" in out


def test_a_port_that_is_taken_is_one_line_that_names_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    with counting_target() as target, socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        assert main(["load", target.url, "--web", "--web-port", port]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.endswith("choose another --web-port")
