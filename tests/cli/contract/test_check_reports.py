"""The reports of ``roomhook check``: as files, on a terminal, for GitHub, and without secrets."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from check_runs import FEW, PYTHON, run
from chromium import browser

from roomhook.cli.contract.check_reports import FILES
from roomhook.cli.main import main
from roomhook.cli.shared.terminal import painter
from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.contract_tests.reports.labels import SYMBOLS
from roomhook.palette import Style
from roomhook.schemas import loader


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, and nobody's pipeline."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROOMHOOK_SEED", "7")
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "ROOMHOOK_TOKEN", "NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def nobody() -> Iterator[str]:
    """The address of a port at which nobody listens, and nobody will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/callback"


# ── reports ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_reports_are_written_as_files_and_told_on_stderr(
    server: BackendServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = ["json", "junit", "ndjson", "html", "sarif", "markdown"]
    wanted = [part for kind in kinds for part in ("--report", kind)]
    folder = tmp_path / "out" / "deep"
    assert main(["check", server.url("app-id.near"), *FEW, *wanted, "--report-dir", str(folder)]) == 1
    out, err = capsys.readouterr()
    assert "wrote" not in out
    names = ["roomhook.json", "roomhook-junit.xml", "roomhook.ndjson", "roomhook.html", "roomhook.sarif", "roomhook.md"]
    assert err.splitlines() == [f"wrote {folder / name}" for name in names]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    report = json.loads((folder / "roomhook.json").read_bytes())
    assert loader.problems("report", report) == []
    lines = [json.loads(line) for line in (folder / "roomhook.ndjson").read_text(encoding="utf-8").splitlines()]
    judged = {one["id"]: one["verdict"] for one in lines if one["event"] == "case-judged"}
    assert judged == {one["id"]: one["verdict"] for one in report["requirements"]}
    suites = ET.parse(folder / "roomhook-junit.xml").getroot()
    assert (suites.get("failures"), suites.get("errors")) == ("1", "0")


def test_reports_lie_in_a_folder_of_their_own_by_default(server: BackendServer, tmp_path: Path) -> None:
    main(["check", server.url(), "--only", "ack.ok", "--report", "json"])
    assert (tmp_path / "roomhook-report" / "roomhook.json").exists()


@pytest.mark.parametrize("broken", [None, "ack.family", "ack.status", "bad.deep"])
def test_every_run_makes_a_json_report_that_matches_its_schema(
    server: BackendServer, broken: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["check", server.url(broken), "--only", "ack,bad.deep,sign", "--format", "json"])
    assert loader.problems("report", json.loads(capsys.readouterr().out)) == []


def test_an_unreachable_target_is_in_every_report(
    nobody: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["--report", "json", "--report", "junit", "--report", "html", "--report", "ndjson"]
    assert main(["check", nobody, *wanted, "--report-dir", str(tmp_path)]) == 3
    assert "UNREACHABLE" in capsys.readouterr().out
    report = json.loads((tmp_path / "roomhook.json").read_bytes())
    assert loader.problems("report", report) == []
    assert (report["verdict"], report["exit_code"]) == ("unreachable", 3)
    assert ET.parse(tmp_path / "roomhook-junit.xml").getroot().get("errors") == "1"
    assert "<h1>Unreachable</h1>" in (tmp_path / "roomhook.html").read_text(encoding="utf-8")
    last = (tmp_path / "roomhook.ndjson").read_text(encoding="utf-8").splitlines()[-1]
    assert json.loads(last)["verdict"] == "unreachable"


def test_github_gets_annotations_and_a_summary(
    server: BackendServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("an earlier step\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert main(["check", server.url("app-id.near"), *FEW]) == 1
    out, _ = capsys.readouterr()
    (annotation,) = [line for line in out.splitlines() if line.startswith("::")]
    assert annotation.startswith("::error title=app-id.near (MUST)::")
    written = summary.read_text(encoding="utf-8")
    assert written.startswith("an earlier step\n## ❌ Roomhook: DOES NOT CONFORM")
    assert main(["check", server.url("app-id.near"), *FEW, "--format", "json"]) == 1
    out, err = capsys.readouterr()
    json.loads(out)
    assert err.startswith("::error")


def test_a_summary_that_can_not_be_written_does_not_hide_the_verdict(
    server: BackendServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert main(["check", server.url(), "--only", "ack.ok"]) == 0
    assert "GITHUB_STEP_SUMMARY can't be written" in capsys.readouterr().err


def test_elsewhere_no_annotations_are_printed(server: BackendServer, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", server.url("app-id.near"), *FEW])
    assert "::error" not in capsys.readouterr().out


@pytest.mark.long
def test_the_page_of_a_real_run_in_a_browser(server: BackendServer, tmp_path: Path) -> None:
    main(["check", server.url("app-id.near"), *FEW, "--report", "html", "--report-dir", str(tmp_path)])
    with browser() as page:
        page.open(tmp_path / "roomhook.html")
        assert (page.complaints, page.requests) == ([], [(tmp_path / "roomhook.html").as_uri()])
        assert page.evaluate("document.querySelector('h1').textContent") == "Does not conform"
        assert page.evaluate("document.querySelector('.finding code').textContent") == "app-id.near"


def test_secrets_stay_out_of_all_output(
    server: BackendServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROOMHOOK_TOKEN", "sesame-token")
    wanted = [part for kind in ("json", "junit", "ndjson", "html", "sarif", "markdown") for part in ("--report", kind)]
    secret = f"{server.url('app-id.near')}?token=sesame-query"
    given = ["--header", "Authorization: Bearer sesame-header", *wanted, "--report-dir", str(tmp_path)]
    assert main(["check", secret, *FEW, *given]) == 1
    out, err = capsys.readouterr()
    written = "".join(path.read_text(encoding="utf-8") for path in tmp_path.iterdir() if path.is_file())
    assert "sesame" not in out + err + written
    assert "Authorization: ***" in out


# ── colour, width, letters ──────────────────────────────────────────────────────────────────────────────────────────


def in_a_terminal(*arguments: str, **environment: str) -> str:
    """What ``roomhook`` prints on a terminal."""
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [PYTHON, "-m", "roomhook", *arguments],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "70", **environment},
    )
    os.close(theirs)
    text = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux's word for the end of a terminal
            break
        if not chunk:
            break
        text += chunk
    os.close(ours)
    process.wait()
    return text.decode()


def test_a_terminal_gets_colours_and_lines_of_its_width(server: BackendServer) -> None:
    coloured = in_a_terminal("check", server.url("bad.scalar"), "--only", "bad.scalar,ack.ok,type")
    assert "\x1b[33m" in coloured
    plain = re.sub(r"\x1b\[[\d;]*m", "", coloured)
    wide = [line for line in plain.splitlines() if len(line) > 70]
    free = {"target", "sent", "again", "source", "https:", "'http:", "delivered:", "CONFORMS"}
    assert {line.split()[0].partition("//")[0] for line in wide} <= free


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("CI", "true"), ("TERM", "dumb"), ("TERM", "xterm")])
def test_colour_is_for_a_terminal_that_wants_it(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    assert ("\x1b[31m" in painter()("word", Style.BAD)) == (value == "xterm")


def test_a_file_gets_no_colours(server: BackendServer, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", server.url("bad.scalar"), "--only", "bad.scalar,ack.ok,type"])
    assert "\x1b" not in capsys.readouterr().out


def test_letters_that_a_terminal_lacks_are_written_another_way(server: BackendServer) -> None:
    done = run("check", server.url("reason.unicode"), "--only", "reason.unicode", PYTHONIOENCODING="ascii")
    assert done.returncode == 1, done.stderr
    assert "FAIL  reason.unicode" in done.stdout


def test_the_reference_of_reports_names_every_kind_and_file() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference-reports.md").read_text(encoding="utf-8")
    for kind, (file, _) in FILES.items():
        assert f"| `{kind}` | {file} |" in page
    for verdict, sign in SYMBOLS.items():
        assert f"| `{verdict}` | `{sign}` |" in page
