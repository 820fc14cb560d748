"""``roomhook check``: verdicts, exit codes, reports and mistakes, as somebody at a command line meets them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from chromium import browser
from inner_pytest import PYTEST

from roomhook.cli.contract.check_reports import FILES
from roomhook.cli.main import main
from roomhook.cli.shared.terminal import style_for_stdout
from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.contract_tests.reports.labels import SYMBOLS
from roomhook.contract_tests.transport.target_process import TargetProcess, free_port
from roomhook.schemas import loader

Golden = Callable[[str, str], None]

FEW = ("--only", "ack,type,app-id,url.https", "--deadline", "10")
"""Requirements that are judged in a moment, by a deadline that a busy machine keeps too."""

PYTHON = sys.executable


@pytest.fixture(scope="module")
def server() -> Iterator[BackendServer]:
    with BackendServer() as running:
        yield running


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


def normalised(text: str) -> str:
    """*text* without what differs from run to run: ports, ids, times."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r"\brh-[a-z2-9]{4}-", "rh-RUN-", text)
    text = re.sub(r"\bu[a-z2-9]{4}\d{5}\b", "uRUN", text)
    text = re.sub(r'"EventTime":\d{13}', '"EventTime":TIME', text)
    return re.sub(r"in \d+\.\d s", "in SECONDS s", text)


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a mistake leaves on stderr."""
    assert main(["check", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    return err


def run(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """``roomhook`` as a program of its own."""
    return subprocess.run(
        [PYTHON, "-m", "roomhook", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        cwd=cwd,
        env={**os.environ, **environment},
        timeout=60,
    )


# ── whole ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_healthy_backend(server: BackendServer, capsys: pytest.CaptureFixture[str], golden: Golden) -> None:
    assert main(["check", server.url(), *FEW]) == 0
    golden("check-reference.txt", normalised(capsys.readouterr().out))


def test_a_broken_backend(server: BackendServer, capsys: pytest.CaptureFixture[str], golden: Golden) -> None:
    assert main(["check", server.url("app-id.near"), *FEW]) == 1
    golden("check-app-id.near.txt", normalised(capsys.readouterr().out))


def test_a_backend_whose_baseline_fails(
    server: BackendServer, capsys: pytest.CaptureFixture[str], golden: Golden
) -> None:
    assert main(["check", server.url("ack.status"), "--deadline", "10"]) == 1
    golden("check-ack.status.txt", normalised(capsys.readouterr().out))


def test_nobody_there(nobody: str, capsys: pytest.CaptureFixture[str], golden: Golden) -> None:
    assert main(["check", nobody]) == 3
    golden("check-unreachable.txt", normalised(capsys.readouterr().out))


# ── exit codes ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_should_decides_only_when_strict(server: BackendServer, capsys: pytest.CaptureFixture[str]) -> None:
    url = server.url("bad.scalar")
    assert main(["check", url, "--only", "bad.scalar"]) == 0
    out = capsys.readouterr().out
    assert "WARN  bad.scalar" in out
    assert "--strict fails on warnings" in out
    assert main(["check", url, "--only", "bad.scalar", "--strict"]) == 1
    assert "FAIL  bad.scalar" in capsys.readouterr().out


def test_a_run_in_which_nothing_was_judged_is_no_success(
    server: BackendServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", server.url(), "--only", "sign"]) == 2
    assert "NOTHING JUDGED" in capsys.readouterr().out


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
    free = {"target", "sent", "source", "https:", "delivered:", "CONFORMS"}
    assert {line.split()[0].partition("//")[0] for line in wide} <= free


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("CI", "true"), ("TERM", "dumb"), ("TERM", "xterm")])
def test_colour_is_for_a_terminal_that_wants_it(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    assert ("\x1b[31m" in style_for_stdout()("word", "red")) == (value == "xterm")


def test_a_file_gets_no_colours(server: BackendServer, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", server.url("bad.scalar"), "--only", "bad.scalar,ack.ok,type"])
    assert "\x1b" not in capsys.readouterr().out


def test_letters_that_a_terminal_lacks_are_written_another_way(server: BackendServer) -> None:
    done = run("check", server.url("reason.unicode"), "--only", "reason.unicode", PYTHONIOENCODING="ascii")
    assert done.returncode == 1, done.stderr
    assert "FAIL  reason.unicode" in done.stdout


# ── mistakes ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ((), "check needs your callback URL, as in: roomhook check http://127.0.0.1:8000/callback"),
        (("127.0.0.1:8000",), "it must start with http:// or https://"),
        (("http://127.0.0.1:99999/",), "its port is not a number from 1 to 65535"),
        (("http://user:secret@host/",), "--header 'Authorization: Basic"),
        (("http://127.0.0.1/", "--no-such-option"), "See 'roomhook check --help'"),
        (("http://127.0.0.1/", "--deadline", "soon"), "--deadline"),
        (("http://127.0.0.1/", "--deadline", "0"), "--deadline"),
        (("http://127.0.0.1/", "--sdkappid", "0"), "--sdkappid 1400000001"),
        (("http://127.0.0.1/", "--only", "app-idd"), "did you mean app-id"),
        (("http://127.0.0.1/", "--exclude", "nonsense"), "'roomhook requirements' lists them"),
        (("http://127.0.0.1/", "--only", "sign", "--exclude", "sign"), "exclude less"),
        (("http://127.0.0.1/", "--header", "no colon"), "write it as 'Name: value'"),
        (("http://127.0.0.1/", "--refusal", "loud"), "--refusal"),
        (("http://127.0.0.1/", "--report", "pdf"), "--report"),
        (("https://127.0.0.1/", "--cacert", "missing.pem"), "missing.pem"),
        (("https://127.0.0.1/", "--cert", "missing.pem"), "missing.pem"),
        (("http://127.0.0.1/", "--proxy", "socks5://x"), "write it as http://127.0.0.1:3128"),
        (("--exec", "python app.py", "http://127.0.0.1/"), "write {port} where it belongs"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_remedy(
    arguments: tuple[str, ...], remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert remedy in fails(capsys, *arguments)


def test_a_report_folder_that_can_not_be_written_is_told_before_the_run(
    nobody: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    line = fails(capsys, nobody, "--report", "json", "--report-dir", str(tmp_path / "file" / "folder"))
    assert "name another folder" in line


def test_a_bad_configuration_file_is_told_in_one_line(
    nobody: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "roomhook.toml").write_text("deadline = [\n")
    assert "roomhook.toml is not TOML" in fails(capsys, nobody)
    (tmp_path / "roomhook.toml").write_text("[check]\ndeadlin = 3\n")
    assert "has no option 'deadlin'" in fails(capsys, nobody)
    (tmp_path / "roomhook.toml").write_text('[check]\ndeadline = "soon"\n')
    assert "(from roomhook.toml)" in fails(capsys, nobody)


def test_the_list_names_what_would_be_judged_and_sends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--list", "--only", "type", "--exclude", "type.unknown"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == ["type.leave", "type.kicked", "type.expired"]


def test_a_set_up_that_was_right_before_is_not_doubted(
    server: BackendServer, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["check", server.url("count.large"), "--only", "count.large", "--deadline", "10"])
    assert "--enter-first" not in capsys.readouterr().out
    main(["check", server.url("ack.ok"), "--only", "ack.ok", "--deadline", "10"])
    assert "--enter-first" in capsys.readouterr().out


# ── --exec ──────────────────────────────────────────────────────────────────────────────────────────────────────────

BACKEND = f"{PYTHON} -m roomhook backend --listen 127.0.0.1:{{port}}"


def test_a_target_of_ours_is_started_waited_for_and_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--exec", BACKEND, "http://127.0.0.1:{port}/reference", "--only", "ack.ok,type.leave"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    port = re.findall(r"127\.0\.0\.1:(\d+)", out)[0]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port))) != 0


def test_the_last_lines_of_a_target_of_ours_are_shown_when_it_fails(capsys: pytest.CaptureFixture[str]) -> None:
    url = "http://127.0.0.1:{port}/broken/ack.status"
    assert main(["check", "--exec", f"echo 'started by the test'; {BACKEND}", url, "--only", "ack"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("the last lines of --exec:\nstarted by the test\n")


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
    assert "(--wait-for gives it longer); its last lines:\nup" in capsys.readouterr().out


def test_a_target_of_ours_may_listen_on_the_port_that_the_url_names() -> None:
    port = str(free_port())
    url = f"http://127.0.0.1:{port}/reference"
    assert main(["check", "--exec", BACKEND.replace("{port}", port), url, "--only", "ack.ok"]) == 0


def test_a_port_that_is_taken_is_told_before_another_target_is_judged_in_place_of_ours(
    server: BackendServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "or write {port} into the URL" in fails(capsys, "--exec", "sleep 60", server.url("reference"))


def test_a_target_of_ours_is_stopped_when_the_job_is_cancelled(tmp_path: Path) -> None:
    command = f"echo $$ > {tmp_path}/pid; exec sleep 60  # {{port}}"
    with subprocess.Popen([PYTHON, "-m", "roomhook", "check", "--exec", command]) as cancelled:
        pid = tmp_path / "pid"
        while not (pid.exists() and pid.read_text()):
            assert cancelled.poll() is None
            time.sleep(0.02)
        cancelled.terminate()
        assert cancelled.wait(30) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_target_of_ours_is_stopped_even_if_the_job_is_cancelled_amid_its_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Cancelled(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(subprocess, "Popen", Cancelled)
    before = signal.getsignal(signal.SIGTERM)
    target = TargetProcess("exec sleep 60  # {port}", free_port(), wait_s=5)
    with closing(target), pytest.raises(SystemExit), target:
        pass
    assert started[0].returncode == -signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


# ── whatever stands around it ───────────────────────────────────────────────────────────────────────────────────────


def hostile(folder: Path) -> dict[str, str]:
    """Make *folder* one in which no pytest can run; what makes it worse still, to be added to the environment."""
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --cov -n4\nfilterwarnings = error\n")
    (folder / "conftest.py").write_text("raise RuntimeError('this conftest is not for you')\n")
    (folder / "plugin_of_theirs.py").write_text("raise RuntimeError('this plugin is not for you')\n")
    for name in ("schemas", "contract_tests", "simulator"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f"raise RuntimeError('{name} of theirs')\n")
    return {"PYTEST_ADDOPTS": "--no-such-option", "PYTEST_PLUGINS": "plugin_of_theirs", "PYTHONPATH": str(folder)}


def verdicts(report: str) -> list[tuple[str, str]]:
    return [(one["id"], one["verdict"]) for one in json.loads(report)["requirements"]]


def test_the_verdict_is_the_same_where_no_pytest_could_run(
    server: BackendServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """pytest-django, pytest-asyncio, pytest-xdist or any other plugin can't matter either: no pytest is imported."""
    arguments = ("check", server.url("app-id.near"), *FEW, "--format", "json")
    assert main([*arguments]) == 1
    here = capsys.readouterr().out
    there = run(*arguments, cwd=tmp_path, **hostile(tmp_path))
    assert there.returncode == 1, there.stderr
    assert verdicts(there.stdout) == verdicts(here)


def test_no_pytest_is_imported_for_a_check(server: BackendServer) -> None:
    check = f"main(['check', {server.url()!r}, '--only', 'ack.ok', '--report', 'html', '--report', 'junit'])"
    code = f"import sys; from roomhook.cli.main import main; {check}; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([PYTHON, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("broken", ["app-id.near", "bad.scalar"])
def test_the_pytest_package_comes_to_the_same_verdicts(
    server: BackendServer, broken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, only = server.url(broken), "ack.ok,app-id,bad.scalar,bad.array,sign.valid,url.https"
    code = main(["check", url, "--only", only, "--format", "json"])
    judged = {one: verdict for one, verdict in verdicts(capsys.readouterr().out) if verdict != "not-judged"}
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    options = ["--pyargs", "roomhook.contract_tests", "--room-target", url, "--room-only", only]
    done = subprocess.run(
        [*PYTEST, "-rA", *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    line = r"(?m)^(PASSED|FAILED|XFAIL) \S*::test_requirement\[([^\]]+)\]"
    told = {found[2]: found[1] for found in re.finditer(line, done.stdout)}
    words = {"PASSED": {"pass", "info"}, "FAILED": {"fail"}, "XFAIL": {"warn"}}
    assert set(told) == set(judged), done.stdout
    assert all(judged[one] in words[word] for one, word in told.items())
    assert done.returncode == code


def test_the_reference_of_reports_names_every_kind_and_file() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference-reports.md").read_text(encoding="utf-8")
    for kind, (file, _) in FILES.items():
        assert f"| `{kind}` | {file} |" in page
    for verdict, sign in SYMBOLS.items():
        assert f"| `{verdict}` | `{sign}` |" in page
