"""The command lines of the docs that run until Ctrl-C, or on several machines: as they stand, with ports of our own."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from backend_process import BackendProcess, running_backend

from roomhook.contract_tests.transport.target_process import free_port

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
SERVERS = {
    "README.md": r"^roomhook listen .*$",
    "docs/tutorial-console.md": r"^roomhook (?:serve|listen) .*$",
    "docs/tutorial-serve.md": r"^roomhook serve --clock virtual --memory$",
}
LINES = [
    pytest.param(line, id=f"{page} {line.split()[1]}")
    for page, pattern in SERVERS.items()
    for line in re.findall(pattern, (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
]
SMALLER = {
    "-u 100 -r 10": "-u 4 -r 4",
    "-t 5m": "-t 2s",
    "-t 1m": "-t 2s",
    "'p99>500ms'": "'p99>20s'",
    "'p99>200ms'": "'p99>20s'",
    "--callback-rate 200": "--callback-rate 20",
    "--duration 1d": "--duration 1m",
    "--rate 20000/s": "--rate 200/s",
    "control.internal": "127.0.0.1",
    "--allow-host …": "--allow-host app.example",
    "--allow-host app.example": "--allow-host 127.0.0.1",
}
"""What a line of several machines is run with instead, to be short and on this machine."""


@pytest.fixture(scope="module")
def backend() -> Iterator[BackendProcess]:
    with running_backend() as running:
        yield running


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ROOMHOOK_", "LOCUST_", "GITHUB_"))}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"} | more


def test_each_page_has_its_lines() -> None:
    assert len(LINES) == 4


@pytest.mark.exhaustive
@pytest.mark.parametrize("line", LINES)
def test_a_server_of_the_docs_starts_shows_its_console_and_stops(
    line: str, backend: BackendProcess, tmp_path: Path
) -> None:
    words = shlex.split(line.replace("http://127.0.0.1:8000/callback", backend.url))
    if "--listen" in words:
        words[words.index("--listen") + 1] = "127.0.0.1:0"
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env=environment(ROOMHOOK_LISTEN="127.0.0.1:0"),
    ) as process:
        assert process.stdout is not None
        shown = [process.stdout.readline()]
        while "Ctrl-C" not in shown[-1] and process.poll() is None:
            shown.append(process.stdout.readline())
        pages = re.findall(r"http://\S+/console", "".join(shown))
        statuses = [requests.get(page, timeout=10).status_code for page in pages]
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=20)[0]
    assert statuses == [200], shown
    assert process.returncode == 0, rest


def machine_lines(page: str) -> list[list[str]]:
    """The blocks of *page* whose lines begin with the name of a machine, as lists of commands without that name."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    found = [re.findall(r"^(?:load\d|control)\$ (.*)$", block, re.MULTILINE) for block in blocks]
    return [block for block in found if block]


def small(command: str, url: str) -> str:
    command = command.replace("https://app.example/callback", url).replace("http://127.0.0.1:8000/callback", url)
    for stands, instead in SMALLER.items():
        command = command.replace(stands, instead)
    return command


def variable(name: str) -> str:
    """What docs/howto-load-test.md sets the variable *name* to."""
    found = re.search(rf"^\$ {name}='(.*)'$", (ROOT / "docs/howto-load-test.md").read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.exhaustive
@pytest.mark.parametrize("crew", machine_lines("docs/howto-distributed.md"), ids=lambda crew: crew[-1][:30])
def test_the_lines_of_several_machines_work_together(crew: list[str], backend: BackendProcess, tmp_path: Path) -> None:
    port = str(free_port())
    (tmp_path / "loadtests").symlink_to(ROOT / "loadtests")
    env = environment(LOCUST_MASTER_NODE_PORT=port, LOCUST_MASTER_BIND_PORT=port)
    started = [
        subprocess.Popen(
            shlex.split(small(command, backend.url)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
            env=env,
        )
        for command in crew
    ]
    try:
        said = [process.communicate(timeout=100)[0] for process in reversed(started)]
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert [process.returncode for process in started] == [0] * len(crew), said


def test_both_pages_start_the_workers_alike() -> None:
    (load_test,) = machine_lines("docs/howto-load-test.md")
    workers = [line.replace("$L", variable("L")) for line in load_test[:-1]]
    (distributed, _) = machine_lines("docs/howto-distributed.md")
    ours = [line.replace("http://127.0.0.1:8000/callback", "https://app.example/callback") for line in workers]
    assert [shlex.split(line) for line in ours] == [shlex.split(line) for line in distributed[:-1]]


@pytest.mark.exhaustive
def test_two_workers_on_one_machine_work_as_the_page_says(backend: BackendProcess, tmp_path: Path) -> None:
    page = (ROOT / "docs/howto-load-test.md").read_text(encoding="utf-8")
    block = page[page.index("$ L=") :].partition("```")[0]
    script = small(re.sub(r"^\$ ", "", block, flags=re.MULTILINE), backend.url)
    port = str(free_port())
    (tmp_path / "loadtests").symlink_to(ROOT / "loadtests")
    done = subprocess.run(
        ["bash", "-euc", f"{script}\nwait"],
        cwd=tmp_path,
        env=environment(LOCUST_MASTER_NODE_PORT=port, LOCUST_MASTER_BIND_PORT=port),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "noncompliant>0" in done.stdout


DOLLARS = re.findall(
    r"^\$ ((?:ROOMHOOK_\w+=\S+ )?roomhook .*)$",
    (ROOT / "docs/howto-load-test.md").read_text(encoding="utf-8")
    + (ROOT / "docs/reference-reports.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
SHORTEST_S = {"spike": 8, "staircase": 20}


def test_the_pages_about_load_and_reports_have_their_lines() -> None:
    assert len(DOLLARS) == 8


@pytest.mark.exhaustive
@pytest.mark.parametrize("line", DOLLARS)
def test_a_line_of_a_page_runs_at_a_low_rate_and_for_a_short_time(
    line: str, backend: BackendProcess, tmp_path: Path
) -> None:
    (tmp_path / "users.txt").write_text("".join(f"user{number}\n" for number in range(40)))
    (tmp_path / "rooms.txt").write_text("standup\nlobby\n")
    script = re.sub(r"\bURL\b", backend.url, re.sub(r"--rate \d+/s", "--rate 20/s", line.replace("=…", "=t0ken")))
    shape = re.search(r"--shape (\w+)", line)
    seconds = SHORTEST_S.get(shape[1], 1) if shape else 1
    script = re.sub(r"--duration \S+", f"--duration {seconds}s", small(script, backend.url))
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=tmp_path,
        env=environment(ROOMHOOK_DURATION=f"{seconds}s", ROOMHOOK_RATE="20/s"),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
