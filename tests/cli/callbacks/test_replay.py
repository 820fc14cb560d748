"""``roomhook traffic URL``, ``replay`` and ``journal`` as commands: options, byte-exactness, reports, complaints."""

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
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest
from listener_process import clean_environment, running_listener

from roomhook.cli.main import main
from roomhook.simulator.journal.log import JournalError, LogWriter
from roomhook.simulator.journal.received import ReceivedCallback
from roomhook.simulator.journal.rows import Rows
from roomhook.simulator.listener.answers import parse_answer
from roomhook.simulator.listener.server import Listener
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.request_check import CallbackValidator
from roomhook.simulator.protocol.response_check import ACK_MUST
from roomhook.simulator.transport.sender import run_loop

TOKEN = "t0ken"


class Backend:
    """A listener in a thread of this process; ``receipts`` are what it has taken."""

    def __init__(self, answer: str = "ok", **options: Any) -> None:
        import asyncio

        self.receipts: list[ReceivedCallback] = []
        self.url = ""
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        inspector = CallbackValidator("1400000001", time.time, **options)
        self._listener = Listener(inspector, parse_answer(answer), on_complete=self.receipts.extend)
        self._thread = threading.Thread(target=lambda: run_loop(self._serve()))

    async def _serve(self) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        host, port = await self._listener.start("127.0.0.1", 0)
        self.url = f"http://{host}:{port}/hook?tenant=7"
        self._ready.set()
        await self._stop.wait()
        await self._listener.stop()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def queries(self) -> list[str]:
        return [one.head.split(b" ")[1].decode().partition("tenant=7&")[2] for one in self.receipts]

    def bodies(self) -> list[bytes]:
        return [one.body for one in self.receipts]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ROOMHOOK_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend() as running:
        yield running


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()[-1]


def sent(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main([*arguments, "--format", "json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_traffic_arrives_as_documented_and_is_told(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    found = sent(capsys, "traffic", backend.url, "--events", "300", "--seed", "7", "--rate", "max")
    assert (found["scheduled"], found["delivered"], found["unsent"], found["seed"]) == (300, 300, 0, 7)
    assert found["mode"] == "closed loop, 64 connections"
    assert len(backend.receipts) == 300
    assert all(one.inspected.problem is None for one in backend.receipts)
    assert sum(found["check_outs"].values()) == 300
    moments = [json.loads(body)["EventTime"] for body in backend.bodies()]
    assert abs(min(moments) / 1000 - time.time()) < 3600


def test_the_closing_table_reconciles(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traffic", backend.url, "--events", "40", "--rate", "400/s"]) == 0
    captured = capsys.readouterr()
    assert "open loop, 400/s, constant" in captured.out
    assert "40 scheduled = 40 delivered + 0 failed + 0 unsent" in captured.out
    assert "(from the intended moment)" in captured.out
    assert re.match(r"seed \d+ \(--seed", captured.err)


def test_answers_that_are_no_acknowledgement_end_in_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with Backend("fail") as backend:
        found = sent(capsys, "traffic", backend.url, "--events", "20", "--rate", "max", code=1)
    assert (found["delivered"], found["acknowledged"], found["requirements"]) == (20, 0, {"ack.ok": 20})
    assert found["failures"][0]["curl"].startswith("curl -sS -i")


def test_a_token_signs_and_copies_and_retries_are_signed_afresh(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOMHOOK_TOKEN", TOKEN)
    with Backend(token=TOKEN) as backend:
        found = sent(capsys, "traffic", backend.url, "--events", "50", "--rate", "max", "--duplicate", "50%")
    assert found["attempts"] == 50 + found["copies"] == len(backend.receipts)
    assert found["acknowledged"] == found["attempts"]
    assert found["copies"] > 5


def test_several_processes_share_the_rooms(
    backend: Backend, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    journal = tmp_path / "run.db"
    options = ("--events", "400", "--seed", "3", "--rate", "max", "--start", "2026-01-02T18:00:00Z")
    found = sent(capsys, "traffic", backend.url, *options, "--processes", "2", "--journal", str(journal))
    assert (found["scheduled"], found["delivered"], found["connections"]) == (400, 400, 64)
    assert main(["traffic", *options[:4], *options[6:]]) == 0
    alone = {line.partition('"packet":')[2].removesuffix("}") for line in capsys.readouterr().out.splitlines()}
    assert {body.decode() for body in backend.bodies()} == alone
    assert main(["journal", "run.1-of-2.db", "run.2-of-2.db", "--format", "json"]) == 0
    total = json.loads(capsys.readouterr().out)
    assert (total["scheduled"], total["delivered"], total["attempts"]) == (400, 400, 400)


def test_a_journal_is_replayed_byte_by_byte_with_its_old_signature(
    backend: Backend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOMHOOK_TOKEN", TOKEN)
    assert main(["traffic", backend.url, "--events", "60", "--rate", "max", "--journal", "first.db"]) == 0
    monkeypatch.delenv("ROOMHOOK_TOKEN")
    bodies, queries = backend.bodies(), backend.queries()
    assert all("&Sign=" in query for query in queries)
    backend.receipts.clear()
    assert main(["replay", "first.db", backend.url, "--speed", "max", "--journal", "second.db"]) == 0
    assert sorted(backend.bodies()) == sorted(bodies)
    assert sorted(backend.queries()) == sorted(queries)
    backend.receipts.clear()
    assert main(["replay", "second.db", backend.url, "--rate", "1000/s"]) == 0
    assert sorted(backend.queries()) == sorted(queries)
    capsys.readouterr()


def test_what_a_listener_recorded_is_replayed_byte_by_byte(backend: Backend, tmp_path: Path) -> None:
    strange = b'{ "CallbackCommand" : "Room.CallbackAfterMemberLeave",\r\n "x": "\xc3\xa9\xff" }'
    with running_listener("--journal", str(tmp_path / "arrived.db")) as listener:
        parts = CallbackUrl.parse(listener.url)
        import http.client

        connection = http.client.HTTPConnection(parts.host, parts.port)
        connection.request("POST", "/?own=1&SdkAppid=1400000001&OptPlatform=i%4fS&CallbackCommand=x", strange)
        connection.getresponse().read()
        connection.close()
    assert main(["replay", "arrived.db", backend.url]) == 1
    assert backend.bodies() == [strange]
    assert backend.queries() == ["SdkAppid=1400000001&OptPlatform=i%4fS&CallbackCommand=x"]


def test_refresh_renews_event_time_and_sign_and_nothing_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Backend(token=TOKEN) as backend:
        monkeypatch.setenv("ROOMHOOK_TOKEN", TOKEN)
        packet = (
            '{"CallbackCommand":"Room.CallbackAfterMemberLeave","Operator_Account":"a","RoomId":"r","MemberCount":1,'
            '"Type":"Leave","MemberList_Account":["a"],"Reason":"","EventTime": 1670574414123}'
        )
        url = '{"CallbackCommand":"Room.CallbackAfterMemberLeave","ClientIP":"203.0.113.7","OptPlatform":"iOS"}'
        lines = [f'{{"time":{moment},"parameters":{url},"packet":{packet}}}' for moment in (1, 501)]
        Path("old.ndjson").write_text("\n".join(lines))
        assert main(["replay", "old.ndjson", backend.url, "--refresh", "--speed", "10x"]) == 0
    first, second = (json.loads(body) for body in backend.bodies())
    assert abs(first["EventTime"] / 1000 - time.time()) < 30
    assert second["EventTime"] - first["EventTime"] == 50
    assert re.sub(rb"\d{13}", b"T", backend.bodies()[0]) == re.sub(r"\d{13}", "T", packet).encode()
    assert all(one.inspected.problem is None for one in backend.receipts)
    capsys.readouterr()


def test_only_what_failed_is_replayed_when_asked(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    with Backend("status:500") as broken:
        assert main(["traffic", broken.url, "--events", "15", "--rate", "max", "--journal", "run.db"]) == 1
    assert main(["replay", "run.db", backend.url, "--only-failed", "--speed", "max"]) == 0
    assert len(backend.receipts) == 15
    backend.receipts.clear()
    assert main(["replay", "run.db", backend.url, "--speed", "max", "--journal", "good.db"]) == 0
    capsys.readouterr()
    assert main(["replay", "good.db", backend.url, "--only-failed"]) == 0
    assert capsys.readouterr().err.endswith("nothing was to be sent: nothing had failed\n")


def test_a_run_that_sends_nothing_is_no_success_unless_it_had_been_finished(
    backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty.ndjson").write_text("\n")
    assert "there was no callback to send" in complaint(capsys, "replay", "empty.ndjson", backend.url)
    order = ["traffic", backend.url, "--seed", "3", "--rate", "max"]
    assert "there was no callback to send" in complaint(capsys, *order, "--duration", "1s")
    assert main([*order, "--events", "5", "--journal", "run.db"]) == 0
    capsys.readouterr()
    assert main(["traffic", "--resume", "--journal", "run.db"]) == 0
    assert capsys.readouterr().err == "nothing was left to send: every callback in run.db is finished\n"
    assert len(backend.receipts) == 5


def test_a_resumed_run_has_as_many_processes_as_it_was_begun_with(
    backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    order = ["traffic", backend.url, "--events", "60", "--seed", "3", "--rate", "max", "--processes", "2"]
    assert main([*order, "--journal", "run.db"]) == 0
    out, _ = capsys.readouterr()
    assert "journal       run.1-of-2.db\njournal       run.2-of-2.db\n" in out
    assert main(["journal", "run.db", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["delivered"] == 60
    again = ["traffic", backend.url, "--resume", "--journal"]
    said = complaint(capsys, *again, "run.db", "--processes", "3")
    assert said == "roomhook: run.1-of-2.db was begun with --processes 2, not 3: leave it out to go on"
    said = complaint(capsys, *again, "run.2-of-2.db")
    assert said.endswith("run.2-of-2.db is one of several journals of one run; go on with all: --journal run.db")
    said = complaint(capsys, *order, "--journal", "run.db", "--processes", "3")
    assert "run.1-of-2.db exists; add --resume to go on with it" in said
    assert main([*again, "run.db"]) == 0
    assert len(backend.receipts) == 60


def test_what_a_retry_has_delivered_is_well_and_the_time_it_took_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tries: Counter[bytes] = Counter()

    class Grumpy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            tries[body] += 1
            answer = b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'
            self.send_response(200 if tries[body] > 1 else 503)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Grumpy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        order = ["traffic", f"http://127.0.0.1:{server.server_port}/", "--events", "20", "--rate", "500/s"]
        assert main([*order, "--retry", "trtc", "--report", "html"]) == 0
        assert main([*order, "--seed", "9"]) == 1
        server.shutdown()
    out = capsys.readouterr().out
    assert "events        20 scheduled = 20 delivered + 0 failed + 0 unsent" in out
    assert "acknowledged  20 of 40" in out
    assert re.search(r"recovered     20 by a retry: p50 [\d.]+ .*  \(from the first attempt\)", out)
    page = Path("roomhook-report/roomhook-sending.html").read_text()
    assert "Every callback was delivered and acknowledged" in page
    assert "<title>20 callbacks to" in page
    assert "20 recovered by a retry" in page


def test_compressed_time_is_called_by_its_factor(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    found = sent(capsys, "traffic", backend.url, "--events", "20", "--seed", "3", "--speed", "36000x")
    assert found["mode"] == "open loop, the events' own times at 36000x"


def test_traffic_pipes_into_replay(backend: Backend) -> None:
    ours = f"{sys.executable} -m roomhook"
    command = f"{ours} traffic --events 25 --seed 5 | {ours} replay - {backend.url} --speed max"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, timeout=60, env=clean_environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(backend.receipts) == 25


def test_processes_share_a_replay_by_rooms(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traffic", "--events", "120", "--seed", "6"]) == 0
    Path("day.ndjson").write_text(capsys.readouterr().out)
    found = sent(capsys, "replay", "day.ndjson", backend.url, "--speed", "max", "--processes", "2", "--journal", "r.db")
    assert (found["scheduled"], found["delivered"]) == (120, 120)
    assert len(set(backend.bodies())) == 120
    rooms: list[set[str]] = []
    for part in ("r.1-of-2.db", "r.2-of-2.db"):
        connection = sqlite3.connect(part)
        packets = connection.execute("SELECT packet FROM deliveries").fetchall()
        connection.close()
        rooms.append({json.loads(packet)["RoomId"] for (packet,) in packets})
    assert rooms[0]
    assert rooms[1]
    assert not rooms[0] & rooms[1]


@pytest.mark.parametrize("processes", [1, 2])
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

        def append(log: LogWriter, payload: bytes) -> None:
            if after <= next(calls) < after + times:
                raise JournalError("No space left on device")
            write(log, payload)

        monkeypatch.setattr(LogWriter, "append", append)


@pytest.mark.parametrize(("after", "times"), [(0, 1_000_000), (5, 1_000_000), (5, 1)])
def test_a_disk_that_is_full_at_any_moment_is_one_line_and_loses_nothing(
    backend: Backend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, after: int, times: int
) -> None:
    order = ["traffic", backend.url, "--events", "300", "--rate", "max", "--connections", "8", "--journal", "run.db"]
    with monkeypatch.context() as patched:
        FullDisk(patched, after=after, times=times)
        assert main(order) == 4
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
        patched.setattr(Rows, "write", full)
        assert main(["traffic", backend.url, "--events", "50", "--rate", "max", "--journal", "run.db"]) == 4
    said = "the tables of run.db can't be written (database or disk is full): its log beside it keeps everything"
    assert said in capsys.readouterr().err
    assert main(["journal", "run.db", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["delivered"] == 50
    assert [one.name for one in Path().iterdir()] == ["run.db"]


def test_a_journal_that_is_deleted_during_a_run_is_no_success(
    backend: Backend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def deleting(log: LogWriter, payload: bytes, write: Any = LogWriter.append) -> None:
        write(log, payload)
        Path("run.db").unlink(missing_ok=True)

    monkeypatch.setattr(LogWriter, "append", deleting)
    assert main(["traffic", backend.url, "--events", "50", "--rate", "max", "--journal", "run.db"]) == 4
    assert "run.db is not complete: it was deleted during the run" in capsys.readouterr().err


def test_a_secret_in_the_url_is_in_no_output_report_or_journal(
    backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"{backend.url}&token=hush-hush"
    order = ["traffic", url, "--events", "20", "--rate", "max", "--report", "html", "--report", "json"]
    assert main([*order, "--journal", "run.db"]) == 0
    assert main(["journal", "run.db", "--format", "ndjson"]) == 0
    assert main(["journal", "run.db"]) == 0
    assert main(["traffic", f"{url} ", "--events", "1"]) == 2
    assert main(["traffic", "http://me:hush-hush@127.0.0.1:x/", "--events", "1"]) == 2
    out, said = capsys.readouterr()
    assert "token=***" in out
    assert "token=***" in said
    assert "hush" not in out + said
    for file in ("run.db", *(str(one) for one in Path("roomhook-report").iterdir())):
        assert b"hush" not in Path(file).read_bytes()
    assert "the URL of run.db has a secret, which no journal holds" in complaint(
        capsys, "traffic", "--resume", "--journal", "run.db"
    )
    assert main(["traffic", url, "--resume", "--journal", "run.db"]) == 0


def test_more_connections_than_files_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "ulimit -n" in complaint(capsys, "traffic", "http://127.0.0.1:9/", "--connections", "2000000000")


def test_resuming_with_other_events_is_refused(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traffic", backend.url, "--events", "20", "--seed", "4", "--rate", "max", "--journal", "run.db"]) == 0
    capsys.readouterr()
    said = complaint(capsys, "traffic", backend.url, "--seed", "5", "--journal", "run.db", "--resume")
    assert said == "roomhook: run.db was begun with --seed 4, not 5: leave it out to go on"
    Path("other.ndjson").write_text('{"time":1,"parameters":{},"packet":{}}\n')
    assert main(["replay", "other.ndjson", backend.url, "--journal", "replayed.db"]) == 1
    Path("other.ndjson").write_text('{"time":1,"parameters":{},"packet":{"changed":1}}\n')
    capsys.readouterr()
    assert "begun with other events" in complaint(
        capsys, "replay", "other.ndjson", backend.url, "--journal", "replayed.db", "--resume"
    )


def test_reports_are_written_and_need_no_network(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    with Backend("status:500") as broken:
        arguments = ["traffic", broken.url, "--events", "30", "--rate", "500/s", "--report", "html", "--report", "json"]
        assert main(arguments) == 1
    data = json.loads(Path("roomhook-report/roomhook-sending.json").read_text())
    assert data["outcomes"] == {"http-status": 30}
    assert data["late"] >= 0
    page = Path("roomhook-report/roomhook-sending.html").read_text()
    assert page.startswith("<!doctype html>")
    for shown in (
        "from the scheduled send time",
        "Outcomes over time",
        "Check-out methods",
        "Slowest attempts",
        "curl -sS",
        "<svg",
        "ack.status",
    ):
        assert shown in page
    assert not re.search(r"""(?:src|href)\s*=(?!"data:,")""", page)
    assert "@import" not in page
    assert "url(" not in page
    assert "wrote roomhook-report/roomhook-sending.html" in capsys.readouterr().err
    assert backend.receipts == []


def test_the_report_shows_what_a_target_sends_as_text_only(capsys: pytest.CaptureFixture[str]) -> None:
    evil = '{"time":1,"parameters":{"CallbackCommand":"<script>alert(1)</script>"},"packet":{"Type":"<img src=x>"}}\n'
    Path("evil.ndjson").write_text(evil)
    with Backend() as backend:
        assert main(["replay", "evil.ndjson", backend.url, "--report", "html"]) == 1
    page = Path("roomhook-report/roomhook-sending.html").read_text()
    assert "<script" not in page
    assert "<img" not in page
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["traffic", "http://203.0.113.9/"], "203.0.113.9 is not this machine; add --allow-host 203.0.113.9"),
        (["replay", "-", "http://203.0.113.9/"], "add --allow-host"),
        (["traffic", "127.0.0.1:8000"], "must start with http://"),
        (["traffic", "http://127.0.0.1:9/", "--rate", "fast"], "--rate 'fast' is no rate; write it as 2000/s"),
        (["traffic", "http://127.0.0.1:9/", "--duplicate", "1.5"], "--duplicate '1.5' is no share; write it as 1%"),
        (["traffic", "http://127.0.0.1:9/", "--delay", "2s-1s"], "ends before it begins"),
        (["traffic", "http://127.0.0.1:9/", "--delay", "soon"], "--delay 'soon' is no time"),
        (["traffic", "http://127.0.0.1:9/", "--delay", "-1s"], "--delay '-1s' is no time"),
        (
            ["traffic", "http://127.0.0.1:9/", "--rate", "max", "--delay", "1s"],
            "--delay needs callbacks that have a time",
        ),
        (["traffic", "http://127.0.0.1:9/", "--resume"], "--resume needs the --journal"),
        (["traffic", "http://127.0.0.1:9/", "--resume", "--journal", "none.db"], "there is no journal none.db"),
        (["traffic", "http://127.0.0.1:9/", "--format", "ndjson"], "leave out the URL"),
        (["traffic", "--rate", "5/s"], "--rate is about sending: give the URL"),
        (["traffic", "--format", "json"], "give the URL to send to"),
        (["traffic", "https://127.0.0.1:9/", "--cacert", "none.pem"], "--cacert none.pem can't be used"),
        (["replay", "none.ndjson", "http://127.0.0.1:9/"], "none.ndjson can't be read"),
        (["replay", "-", "http://127.0.0.1:9/", "--only-failed"], "--only-failed needs a journal"),
        (["replay", "-", "http://127.0.0.1:9/", "--processes", "2"], "--processes can't share stdin"),
        (["replay", "-", "http://127.0.0.1:9/", "--resume", "--journal", "x.db"], "there is no journal x.db"),
        (["journal", "none.db"], "there is no journal none.db"),
        (["journal", "none.db", "--state", "lost"], "--state 'lost' is none of delivered, failed, unsent"),
        (["journal", "none.db", "--outcome", "nope"], "--outcome 'nope' is none of in-doubt, delivered, http-status"),
        (["journal", "none.db", "--outcome", "timeuot"], "did you mean timeout?"),
        (["journal", "none.db", "--requirement", "nope"], "--requirement 'nope' is none of ack.status, ack.complete"),
        (["journal", "none.db", "--requirement", "ack.jsn"], "did you mean ack.json"),
        (["journal", "none.db", "--format", "json", "--room", "r"], "with --room, ask for --format ndjson"),
        (["journal", "."], ". is a folder and no journal; name the file, as in run.db"),
        (["listen", "--listen", "127.0.0.1:0", "--journal", "."], ". is a folder and no journal"),
    ],
)
def test_mistakes_are_one_line_with_a_remedy(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert said in complaint(capsys, *arguments)
    assert not list(Path().iterdir())


def test_a_dead_target_is_told_before_anything_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traffic", "http://127.0.0.1:9/", "--seed", "1", "--journal", "run.db"]) == 3
    assert "refused the connection" in capsys.readouterr().err
    assert not list(Path().iterdir())


def test_a_bad_line_is_named_and_what_came_before_is_counted(
    backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("half.ndjson").write_text('{"time":1,"parameters":{},"packet":{}}\nnonsense\n')
    assert main(["replay", "half.ndjson", backend.url, "--journal", "run.db", "--report", "json"]) == 2
    out, said = capsys.readouterr()
    assert "half.ndjson, line 2" in said
    assert "events        1 scheduled" in out
    assert json.loads(Path("roomhook-report/roomhook-sending.json").read_text())["scheduled"] == 1
    assert main(["journal", "run.db", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scheduled"] == found["delivered"] + found["failed"] + found["unsent"]


def test_several_journals_are_each_counted_once_and_limited_together(
    backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one.db", "two.db"):
        assert main(["traffic", backend.url, "--events", "5", "--rate", "max", "--journal", name]) == 0
    Path("same.db").symlink_to("one.db")
    capsys.readouterr()
    assert main(["journal", "one.db", "./one.db", "same.db", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["scheduled"] == 5
    for form in ("text", "ndjson", "events"):
        for limit in (1, 7, 20):
            assert main(["journal", "one.db", "two.db", "--limit", str(limit), "--format", form]) == 0
            assert len(capsys.readouterr().out.splitlines()) == min(limit, 10)


def test_every_known_outcome_and_requirement_may_be_asked_for(
    backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["traffic", backend.url, "--events", "5", "--rate", "max", "--journal", "run.db"]) == 0
    capsys.readouterr()
    for outcome in ("in-doubt", *DeliveryOutcome):
        assert main(["journal", "run.db", "--outcome", outcome]) == 0
        assert len(capsys.readouterr().out.splitlines()) == (5 if outcome == "delivered" else 0)
    for requirement in ACK_MUST:
        assert main(["journal", "run.db", "--requirement", requirement]) == 0
        assert capsys.readouterr().out == ""


def test_the_reference_of_journals_lists_what_may_be_asked_for() -> None:
    reference = (Path(__file__).parents[3] / "docs" / "reference-journal.md").read_text(encoding="utf-8")
    for name in ("in-doubt", *DeliveryOutcome, *ACK_MUST):
        assert f"`{name}`" in reference


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_rows_that_no_disk_has_room_for_are_one_line(backend: Backend) -> None:
    assert main(["traffic", backend.url, "--events", "5", "--rate", "max", "--journal", "run.db"]) == 0
    command = f"{sys.executable} -m roomhook journal run.db --format ndjson > /dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "roomhook: the output can't be written: No space left on device; make room, or write it elsewhere"
    ]


def test_a_byte_order_mark_before_the_first_callback_is_skipped(
    backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["traffic", "--events", "3", "--seed", "6"]) == 0
    Path("day.ndjson").write_text(capsys.readouterr().out, encoding="utf-8-sig")
    assert main(["replay", "day.ndjson", backend.url, "--speed", "max"]) == 0
    assert len(backend.receipts) == 3


def test_a_journal_lists_filters_and_exports(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traffic", backend.url, "--events", "30", "--seed", "2", "--rate", "max", "--journal", "run.db"]) == 0
    capsys.readouterr()
    assert main(["journal", "run.db"]) == 0
    assert "30 scheduled = 30 delivered + 0 failed + 0 unsent" in capsys.readouterr().out
    assert main(["journal", "run.db", "--format", "ndjson"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["request"].partition("\r\n\r\n")[2].encode() for row in rows} == set(backend.bodies())
    assert main(["journal", "run.db", "--limit", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert main(["journal", "run.db", "--format", "events"]) == 0
    exported = capsys.readouterr().out
    Path("events.ndjson").write_text(exported)
    backend.receipts.clear()
    assert main(["replay", "events.ndjson", backend.url, "--rate", "max"]) == 0
    assert len(backend.receipts) == 30
    connection = sqlite3.connect("run.db")
    assert connection.execute("SELECT count(*) FROM deliveries WHERE state = 'delivered'").fetchone() == (30,)
    connection.close()
