"""How ``roomhook check`` ends when somebody stops it, when nothing answers, and when the target's URL is a mistake."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from inner_pytest import PYTEST
from variant_server import Variant, listening

from roomhook.cli.main import main
from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, MemberEvent, RefusedCallback
from roomhook.contract_tests.engine import opening
from roomhook.contract_tests.engine.suite import SuiteRun
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import CaseJudged, RunFinished, RunOutcome, Verdict
from roomhook.contract_tests.reports import json_report
from roomhook.schemas import loader

pytestmark = pytest.mark.long

CHECK = [sys.executable, "-m", "roomhook", "check"]
KINDS = ("json", "junit", "ndjson", "html", "sarif", "markdown")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "ROOMHOOK_TOKEN", "NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def silent() -> Iterator[str]:
    """A port that accepts connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/callback"


def interrupted(target: str, *options: str, when: Callable[[list[Any]], bool]) -> subprocess.CompletedProcess[str]:
    """A check that gets Ctrl-C as soon as *when* holds for the events so far."""
    reports = [part for kind in KINDS for part in ("--report", kind)]
    with subprocess.Popen(
        [*CHECK, target, *options, *reports], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        events = Path("roomhook-report/roomhook.ndjson")
        end = time.monotonic() + 30
        while not (events.exists() and when(so_far(events))):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def so_far(events: Path) -> list[Any]:
    lines = events.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


class MindsKicked(Variant):
    """Refuses Kicked, and takes so long over each callback that somebody can stop the run amid its cases."""

    delay_s = 0.05

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        event = super().read(callback)
        if event is not None and event.type == "Kicked":
            raise RefusedCallback(9, "not so")
        return event


def test_ctrl_c_tells_what_was_found_so_far_in_every_report_and_claims_nothing() -> None:
    with listening(MindsKicked()) as url:
        done = interrupted(url, when=lambda events: any(one.get("id") == "type.expired" for one in events))

    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "roomhook: interrupted"
    assert "FAIL  type.kicked (MUST)" in done.stdout
    assert "not judged: " in done.stdout
    assert "\nINTERRUPTED  1 failed, " in done.stdout
    assert done.stdout.splitlines()[-1].endswith("run and no verdict")
    folder = Path("roomhook-report")
    document = json.loads((folder / "roomhook.json").read_bytes())
    assert loader.problems("report", document) == []
    assert (document["verdict"], document["exit_code"]) == ("interrupted", 130)
    assert document["totals"]["fail"] == 1
    assert document["totals"]["not-judged"] > 50
    assert json_report.load(folder / "roomhook.json").verdict is RunOutcome.INTERRUPTED
    assert ET.parse(folder / "roomhook-junit.xml").getroot().get("errors") == "1"
    assert so_far(folder / "roomhook.ndjson")[-1]["verdict"] == "interrupted"
    assert "<h1>Interrupted</h1>" in (folder / "roomhook.html").read_text(encoding="utf-8")
    assert not json.loads((folder / "roomhook.sarif").read_bytes())["runs"][0]["invocations"][0]["executionSuccessful"]
    assert "INTERRUPTED" in (folder / "roomhook.md").read_text(encoding="utf-8")


def test_ctrl_c_before_the_first_answer_leaves_reports_too(silent: str) -> None:
    done = interrupted(silent, "--format", "json", when=bool)

    document = json.loads(done.stdout)
    assert (done.returncode, document["verdict"]) == (130, "interrupted")
    assert {one["verdict"] for one in document["requirements"]} == {"not-judged"}


def test_ctrl_c_while_the_target_starts_leaves_reports_too(tmp_path: Path) -> None:
    started = tmp_path / "started"
    command = [*CHECK, "--exec", f"touch {started}; exec sleep 6$PORT", "--report", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 30
        while not started.exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)

    assert process.returncode == 130
    assert json.loads(Path("roomhook-report/roomhook.json").read_bytes())["verdict"] == "interrupted"


def test_a_run_that_is_cut_short_sends_nothing_more() -> None:
    variant = Variant()
    with listening(variant) as url:
        run = SuiteRun(Settings(url, 1400000001, exclude=("http.idle", "http.slow-body", "http.split-head")))
        events = run.events()
        told = [next(events) for _ in range(6)]
        before = variant.requests
        last = run.cut_short("stopped")

    assert isinstance(last, RunFinished)
    assert variant.requests == before
    assert last.summary.outcome is RunOutcome.INTERRUPTED
    assert [case for case in told if isinstance(case, CaseJudged) and case not in last.cases] == []
    assert last.count(Verdict.NOT_JUDGED) > 100


def test_a_target_that_never_answers_is_told_so_and_nothing_is_said_of_its_answers(
    silent: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_WARM_UP_MS", 100)
    assert main(["check", silent, "--deadline", "0.1", "--only", "ack"]) == 1
    shown = capsys.readouterr().out
    assert "FAIL  ack.deadline (MUST)" in shown
    assert "it gave no whole answer in time (none within 2.3 s)" in shown
    assert "compliant: unknown, nothing was answered" in shown
    assert "0 of 0" not in shown


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_https_at_a_port_that_speaks_http_hints_at_the_scheme(
    answer: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        code = main(["check", f"https://127.0.0.1:{server.getsockname()[1]}/", "--only", "ack"])
        thread.join()
    shown = " ".join(capsys.readouterr().out.split())
    assert code == 3
    assert "if it speaks plain http on this port, say http://" in shown
    assert "Start your App backend" not in shown


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ((), "ERROR: the contract tests need your callback URL: --room-target http://127.0.0.1:8000/callback"),
        (
            ("--room-target", "htp://x"),
            "ERROR: 'htp://x' is not a callback URL: it must start with http:// or https://",
        ),
        (("--room-target", "http://x", "--room-known", "none.toml"), "ERROR: --known none.toml can't be read"),
    ],
)
def test_a_bad_option_of_the_suite_under_pytest_is_one_line(options: tuple[str, ...], line: str) -> None:
    command = [*PYTEST, "--pyargs", "roomhook.contract_tests", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 4
    assert [one for one in done.stderr.splitlines() if one][-1].startswith(line)
    assert "Traceback" not in done.stdout + done.stderr
    assert "UsageError" not in done.stdout + done.stderr
