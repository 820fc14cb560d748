"""No command shows a token, a key, the value of a header or a secret in a URL: not in output, files, errors or `ps`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from recording_target import recording_target

from roomhook.cli import main as command_line
from roomhook.cli.main import main
from roomhook.cli.shared.secrets import without_secrets

MARK = "sesame"
QUERY = f"?tenant=7&token={MARK}-query"
SIGNED = ["--header", f"X-Gateway: {MARK}-header", "--token", f"{MARK}-token"]
REPORTS = ["--report", "json,junit,ndjson,html,sarif,markdown,har", "--report-dir", "reports"]
SENT = ["--journal", "run.db", "--report", "json", "--report", "html", "--events", "12", "--rate", "500/s"]

COMMANDS = {
    "fire": ["fire", "leave", "URL", *SIGNED, "--har", "fired.har"],
    "fire-json": ["fire", "leave", "URL", *SIGNED, "--format", "json"],
    "fire-curl": ["fire", "leave", "URL", *SIGNED, "--print", "curl", "--times", "2"],
    "fire-dry": ["fire", "leave", "URL", *SIGNED, "--dry-run", "--print", "json"],
    "check": ["check", "URL", *SIGNED, "--only", "ack.*,sign.*", *REPORTS],
    "check-json": ["check", "URL", *SIGNED, "--only", "ack.ok", "--format", "json"],
    "traffic": ["traffic", "URL", *SIGNED, *SENT],
    "traffic-json": ["traffic", "URL", *SIGNED, "--events", "12", "--rate", "500/s", "--format", "json"],
    "load": ["load", "URL", *SIGNED, "--duration", "1s", "--rate", "20/s", "--report-dir", "reports"],
    "load-gevent": ["load", "URL", *SIGNED, "--duration", "1s", "--engine", "gevent", "--format", "json"],
}
AFTERWARDS = {
    "traffic": [
        ["journal", "run.db"],
        ["journal", "run.db", "--export", "har"],
        ["journal", "run.db", "--format", "json"],
        ["replay", "run.db", "URL", *SIGNED, "--journal", "again.db"],
    ],
    "check": [["report", "reports/roomhook.json", "--html", "compared.html"]],
}
MISTAKES = {
    "a blank in the URL": ["fire", "leave", f"http://127.0.0.1:9/{QUERY} x"],
    "no scheme": ["traffic", f"127.0.0.1:9/{QUERY}"],
    "a bad port": ["load", f"http://127.0.0.1:0/{QUERY}"],
    "a password": ["check", f"http://me:{MARK}@127.0.0.1:9/"],
    "a header without a colon": ["fire", "leave", "http://127.0.0.1:9/", "--header", f"{MARK}"],
    "a header as Bearer": ["traffic", "http://127.0.0.1:9/", "--header", f"Bearer {MARK}: x"],
    "a header with a line break": ["load", "http://127.0.0.1:9/", "--header", f"X-Key: {MARK}\nx"],
    "a header beyond Latin-1": ["check", "http://127.0.0.1:9/", "--header", f"X-Key: {MARK}\u0416"],
    "a proxy without a port": ["check", "http://127.0.0.1:9/", "--proxy", f"http://me:{MARK}@:0"],
    "a proxy that is gone": ["fire", "leave", "http://127.0.0.1:9/", "--proxy", f"http://me:{MARK}@127.0.0.1:9"],
    "another host": ["traffic", f"http://elsewhere.example/{QUERY}"],
    "a key of no app": ["serve", "--sdkappid", "1", "--sdkappid", "2", "--secret-key", f"{MARK}-key"],
    "a callback elsewhere": ["serve", "--memory", "--callback", f"http://elsewhere.example/{QUERY}"],
    "a forward elsewhere": ["listen", "--forward", f"http://elsewhere.example/{QUERY}"],
    "an unknown option": ["fire", "leave", f"http://127.0.0.1:9/{QUERY}", "--tokn", "x"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["right", "wrong", "gone"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with recording_target() as target:
        if request.param == "wrong":
            target.status, target.answer = 500, b"<html>no</html>"
        if request.param != "gone":
            yield target.url + QUERY
    if request.param == "gone":
        yield target.url + QUERY


def assert_nothing_shown(folder: Path, text: str) -> None:
    assert MARK not in text
    for file in folder.rglob("*"):
        assert not file.is_file() or MARK.encode() not in file.read_bytes(), file.name


def with_url(words: list[str], url: str) -> list[str]:
    return [url if word == "URL" else word for word in words]


@pytest.mark.long
@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=[pytest.mark.exhaustive] if "load" in one else []) for one in COMMANDS]
)
def test_no_secret_is_shown_or_written(name: str, url: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    main(with_url(COMMANDS[name], url))
    for words in AFTERWARDS.get(name, []):
        if (folder / words[1]).exists():
            main(with_url(words, url))
    captured = capfd.readouterr()
    assert captured.out + captured.err
    assert_nothing_shown(folder, captured.out + captured.err)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_no_error_line_repeats_a_secret(mistake: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(MISTAKES[mistake]) in {2, 3}
    captured = capfd.readouterr()
    assert captured.err
    assert_nothing_shown(folder, captured.out + captured.err)


@pytest.mark.parametrize("debug", ["", "1"])
def test_no_crash_text_holds_a_secret(
    debug: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise RuntimeError(f"{MARK}-token, {MARK}-query, {MARK}-header and {MARK}-key")

    monkeypatch.setenv("ROOMHOOK_DEBUG", debug)
    monkeypatch.setenv("ROOMHOOK_SECRET_KEY", f"{MARK}-key")
    monkeypatch.setattr(command_line, "command_line", lambda: crash)
    assert main(["fire", "leave", f"http://127.0.0.1:9/{QUERY}", *SIGNED]) == 4
    said = capfd.readouterr().err
    assert ("Traceback" in said) == bool(debug)
    assert "***, ***, *** and ***" in said
    assert MARK not in said


def test_short_words_are_not_taken_for_secrets() -> None:
    assert without_secrets("no room a", ["--token", "a", "--auth=b"], {"ROOMHOOK_TOKEN": "no"}) == "no room a"


def started(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "roomhook", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "ROOMHOOK_TOKEN": f"{MARK}-token", "ROOMHOOK_AUTH": f"{MARK}-auth"}
        | {"ROOMHOOK_SECRET_KEY": f"{MARK}-key", "ROOMHOOK_HEADER": f"X-Gateway: {MARK}-header"},
    )


def titles(pid: int) -> Iterator[str]:
    """The command lines of a process's descendants."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
        yield from titles(int(child))


@pytest.mark.exhaustive
@pytest.mark.long
def test_the_processes_of_a_load_test_have_no_secret_in_their_titles(folder: Path) -> None:
    with recording_target() as target:
        seen: set[str] = set()
        words = ["load", target.url + QUERY, "--duration", "2s", "--processes", "2", "--report-dir", "reports"]
        with started(folder, *words) as process:
            while process.poll() is None:
                try:
                    seen |= set(titles(process.pid))
                except OSError:  # it has just ended
                    continue
                time.sleep(0.02)
            assert process.stdout is not None
            assert_nothing_shown(folder, process.stdout.read())
    assert any("locust" in title for title in seen)
    assert not [title for title in seen if MARK in title and "-m roomhook load" not in title]  # a fork of ours


@pytest.mark.long
def test_serve_and_listen_show_no_secret_of_theirs_and_none_that_arrives(folder: Path) -> None:
    with recording_target() as target:
        serve = ["serve", "--memory", "--listen", "127.0.0.1:0", "--callback", target.url + QUERY]
        listen = ["listen", "--listen", "127.0.0.1:0", "--forward", target.url + QUERY]
        for words in (serve, listen):
            with started(folder, *words) as process:
                assert process.stdout is not None
                first = process.stdout.readline()
                lines: list[str] = []
                reader = threading.Thread(target=lambda out=process.stdout, to=lines: to.extend(out))
                reader.start()
                port = int(first.strip().rstrip("/").rpartition(":")[2].partition("/")[0])
                talk(port)
                process.send_signal(signal.SIGTERM)
                process.wait(20)
                reader.join()
                assert lines
                assert_nothing_shown(folder, first + "".join(lines))


def talk(port: int) -> None:
    """Do a few things that print lines: enter a room, with and without the token; send something wrong."""
    auth = f"Authorization: Bearer {MARK}-auth\r\n"
    for path, body in (
        ("create-room", '{"room":"r","owner":"o"}'),
        ("enter", '{"room":"r","account":"a","wait":true}'),
    ):
        for head in (auth, "", f"Authorization: Bearer {MARK}-wrong\r\n"):
            with socket.create_connection(("127.0.0.1", port), 10) as client:
                line = (
                    f"POST /sim/{path}{QUERY} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{head}"
                )
                client.sendall(f"{line}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
                while client.recv(65536):
                    pass
