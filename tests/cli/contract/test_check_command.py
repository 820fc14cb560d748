"""``roomhook check``: verdicts, exit codes and mistakes, as people at a command line meet them."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from check_runs import FEW, PYTHON, fails, run
from inner_pytest import PYTEST

from roomhook.cli.main import main
from roomhook.contract_tests.app_backends.server import BackendServer

Golden = Callable[[str, str], None]


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


@pytest.mark.long
def test_no_pytest_is_imported_for_a_check(server: BackendServer) -> None:
    check = f"main(['check', {server.url()!r}, '--only', 'ack.ok', '--report', 'html', '--report', 'junit'])"
    code = f"import sys; from roomhook.cli.main import main; {check}; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([PYTHON, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.long
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
    assert "NOTE url.https: " in done.stdout
    assert done.returncode == code
