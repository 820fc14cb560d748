"""Sending that is interrupted: by Ctrl-C, by a full disk, or by the loss of its journal."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pty
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from listener_process import clean_environment
from listening_backend import Backend

from roomhook.cli.callbacks import sending_run
from roomhook.cli.main import main
from roomhook.simulator.journal.log import JournalError, LogWriter
from roomhook.simulator.journal.writer import Journal

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ROOMHOOK_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend() as running:
        yield running


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.exhaustive)])
def test_a_second_control_c_does_not_wait_and_is_no_error_of_ours(processes: int, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        order = ["traffic", url, "--rate", "200/s", "--timeout", "60", "--journal", str(tmp_path / "run.db")]
        command = [sys.executable, "-m", "roomhook", *order, "--processes", str(processes)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=clean_environment()) as sender:
            journals = [tmp_path / "run.db"] if processes == 1 else [tmp_path / "run.1-of-2.db"]
            deadline = time.monotonic() + 30
            while not all(map(Path.exists, journals)) and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.5)
            sender.send_signal(signal.SIGINT)
            time.sleep(0.3)
            assert sender.poll() is None
            sender.send_signal(signal.SIGINT)
            _, said = sender.communicate(timeout=20)
    assert sender.returncode == 130
    assert "interrupted at once, what was in flight is in doubt; the same command with --resume" in said
    assert "Traceback" not in said


@pytest.mark.exhaustive
def test_control_c_while_processes_start_ends_them_in_order(backend: Backend) -> None:
    order = ["traffic", backend.url, "--events", "100000", "--rate", "400/s", "--processes", "2"]
    command = [sys.executable, "-m", "roomhook", *order]
    pipe = subprocess.PIPE
    for wait_s in (0, 0.2, 0.5):
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=clean_environment()) as sender:
            assert sender.stderr is not None
            assert sender.stderr.readline().startswith("seed")
            time.sleep(wait_s)
            sender.send_signal(signal.SIGINT)
            _, said = sender.communicate(timeout=30)
        assert sender.returncode == 130, said
        assert "Traceback" not in said


def test_control_c_ends_in_order_and_the_journal_resumes(
    backend: Backend, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = [
        "traffic",
        backend.url,
        "--events",
        "2000",
        "--rate",
        "500/s",
        "--seed",
        "1",
        "--journal",
        str(tmp_path / "run.db"),
    ]
    command = [sys.executable, "-m", "roomhook", *order]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment()
    ) as sender:
        deadline = time.monotonic() + 30
        while len(backend.receipts) < 100 and time.monotonic() < deadline:
            time.sleep(0.01)
        sender.send_signal(signal.SIGINT)
        out, said = sender.communicate(timeout=20)
        assert sender.returncode == 130
    assert said.endswith(f"interrupted; the same command with --resume --journal {tmp_path / 'run.db'} goes on\n")
    scheduled, delivered, failed, unsent = (
        int(one) for one in re.findall(r"(\d+) (?:scheduled|delivered|failed|unsent)\b", out.replace(",", ""))[:4]
    )
    assert scheduled == delivered + failed + unsent
    assert main(["journal", "run.db", "--format", "json"]) == 0
    journal = json.loads(capsys.readouterr().out)
    assert [journal[name] for name in ("scheduled", "delivered", "failed", "unsent")] == [
        scheduled,
        delivered,
        failed,
        unsent,
    ]
    assert main(["traffic", "--resume", "--journal", "run.db", backend.url, "--rate", "max"]) == 0
    assert len(backend.receipts) == 2000
    assert len(set(backend.bodies())) == 2000


@pytest.mark.exhaustive
def test_control_c_ends_all_processes_in_order(backend: Backend, tmp_path: Path) -> None:
    order = ["traffic", backend.url, "--events", "4000", "--rate", "400/s", "--processes", "2", "--journal", "run.db"]
    command = [sys.executable, "-m", "roomhook", *order]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=clean_environment()) as sender:
        deadline = time.monotonic() + 30
        begun = [tmp_path / f"run.{part}-of-2.db-log-1" for part in (1, 2)]
        while not (len(backend.receipts) >= 100 and all(one.exists() for one in begun)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        sender.send_signal(signal.SIGINT)
        out, _ = sender.communicate(timeout=20)
    assert sender.returncode == 130
    assert "0 failed" in out
    for part in ("run.1-of-2.db", "run.2-of-2.db"):
        assert not (tmp_path / f"{part}-inflight").exists()
    assert main(["traffic", "--resume", "--journal", "run.db", backend.url, "--rate", "max"]) == 0
    assert len(set(backend.bodies())) == len(backend.receipts) == 4000


def test_a_terminal_shows_a_live_line_and_a_pipe_does_not(backend: Backend) -> None:
    command = [sys.executable, "-m", "roomhook", "traffic", backend.url, "--events", "150", "--rate", "200/s"]
    environment = clean_environment() | {"TERM": "xterm", "COLUMNS": "200"}
    environment.pop("CI", None)
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment) as sender:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal is gone when the sender is
            while piece := os.read(ours, 65536):
                shown += piece
        assert sender.wait(20) == 0
    os.close(ours)
    assert re.search(
        rb"\d+ sent  \d+/s  \d+ in flight  delivered \d+  p50 [\d.]+ ms, p99 [\d.]+ ms .* rooms alive", shown
    )
    done = subprocess.run(command, capture_output=True, env=environment, timeout=30, check=True)
    assert b"in flight" not in done.stderr


class FullDisk:
    """Lets a journal write so many frames, fails so many times, and then writes again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, after: int, times: int) -> None:
        write, calls = LogWriter.append, itertools.count()

        def append(log: LogWriter, payload: bytes) -> bool:
            if after <= next(calls) < after + times:
                raise JournalError("No space left on device")
            return write(log, payload)

        monkeypatch.setattr(LogWriter, "append", append)


@pytest.mark.parametrize(("after", "times"), [(0, 1_000_000), (5, 1_000_000), (5, 1)])
def test_a_disk_that_is_full_at_any_moment_is_one_line_and_loses_nothing(
    backend: Backend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, after: int, times: int
) -> None:
    order = ["traffic", backend.url, "--events", "300", "--rate", "max", "--connections", "8", "--journal", "run.db"]
    with monkeypatch.context() as patched:
        FullDisk(patched, after=after, times=times)
        assert main(order) == 2
    assert "run.db can't be written any more (No space left on device)" in capsys.readouterr().err
    assert main(["traffic", "--resume", "--journal", "run.db"]) == 0
    bodies = Counter(backend.bodies())
    assert len(bodies) == 300
    capsys.readouterr()
    assert main(["journal", "run.db", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["scheduled"], found["delivered"]) == (300, 300)
    assert sum(bodies.values()) - 300 <= found["in_doubt"]


def test_tables_that_no_disk_has_room_for_are_one_line_and_the_log_keeps_everything(
    backend: Backend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("roomhook.simulator.journal.index._write_rows", full)
        assert main(["traffic", backend.url, "--events", "50", "--rate", "max", "--journal", "run.db"]) == 2
    said = "the tables of run.db can't be written (database or disk is full): its log beside it keeps everything"
    assert said in capsys.readouterr().err
    assert main(["journal", "run.db", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["delivered"] == 50
    assert [one.name for one in Path().iterdir()] == ["run.db"]


def test_a_journal_that_is_deleted_during_a_run_is_no_success(
    backend: Backend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def deleting(log: LogWriter, payload: bytes, write: Any = LogWriter.append) -> bool:
        Path("run.db").unlink(missing_ok=True)
        return bool(write(log, payload))

    monkeypatch.setattr(LogWriter, "append", deleting)
    assert main(["traffic", backend.url, "--events", "50", "--rate", "max", "--journal", "run.db"]) == 2
    assert "run.db is not complete: it was deleted during the run" in capsys.readouterr().err


def test_a_signal_that_comes_before_the_first_callback_leaves_nothing_in_doubt(
    backend: Backend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(journal: Journal, chosen: Any = Journal.owed) -> int:
        signal.raise_signal(signal.SIGINT)
        owed: int = chosen(journal)
        return owed

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "owed", interrupted)
        assert main(["traffic", backend.url, "--events", "50", "--rate", "max", "--journal", "run.db"]) == 130
    assert backend.receipts == []
    assert main(["traffic", "--resume", "--journal", "run.db"]) == 0
    capsys.readouterr()
    assert main(["journal", "run.db", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["delivered"], found["in_doubt"]) == (50, 0)


@pytest.mark.parametrize("journal", [None, "run.db"])
def test_a_signal_after_the_last_callback_names_a_journal_only_if_there_is_one(
    backend: Backend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, journal: str | None
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sending_run, "finish_journals", interrupted)
    kept = ["--journal", journal] if journal else []
    assert main(["traffic", backend.url, "--events", "5", "--rate", "max", *kept]) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    advice = "; `roomhook journal run.db` writes the tables that are still missing" if journal else ""
    assert last == f"roomhook: interrupted{advice}"
