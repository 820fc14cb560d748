"""``roomhook traffic URL`` and ``replay``: what is sent, byte by byte, by how many processes, and what is refused."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shlex import quote
from typing import Any

import pytest
from listener_process import clean_environment, running_listener
from listening_backend import Backend, complaint

from roomhook.cli.main import main
from roomhook.simulator.protocol.callback_url import CallbackUrl

TOKEN = "t0ken"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ROOMHOOK_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend() as running:
        yield running


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


@pytest.mark.long
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
    assert capsys.readouterr().err.endswith("nothing to replay: no failures\n")


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
    assert capsys.readouterr().err.endswith("nothing was left to send: every callback in run.db is finished\n")
    assert len(backend.receipts) == 5


@pytest.mark.long
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


@pytest.mark.long
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
    assert re.search(r"recovered     20 by a retry: p50 [^(]*\(from the first attempt\)", out)
    page = Path("roomhook-report/roomhook-sending.html").read_text()
    assert "Every callback was delivered and acknowledged" in page
    assert "<title>20 callbacks to" in page
    assert "20 recovered by a retry" in page


def test_compressed_time_is_called_by_its_factor(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    found = sent(capsys, "traffic", backend.url, "--events", "20", "--seed", "3", "--speed", "36000x")
    assert found["mode"] == "open loop, the events' own times at 36000x"


@pytest.mark.long
def test_traffic_pipes_into_replay(backend: Backend) -> None:
    ours = f"{quote(sys.executable)} -m roomhook"
    command = f"{ours} traffic --events 25 --seed 5 | {ours} replay - {backend.url} --speed max"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, timeout=60, env=clean_environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(backend.receipts) == 25


@pytest.mark.long
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
        (["listen", "--listen", "127.0.0.1:0", "--journal", "."], "can't be written: Is a directory; choose a file"),
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


def test_a_file_without_a_callback_is_one_line_and_no_table(
    backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.ndjson").write_text("nonsense\n")
    assert main(["replay", "bad.ndjson", backend.url]) == 2
    out, said = capsys.readouterr()
    assert out == ""
    assert "bad.ndjson, line 1" in said


def test_a_byte_order_mark_before_the_first_callback_is_skipped(
    backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["traffic", "--events", "3", "--seed", "6"]) == 0
    Path("day.ndjson").write_text(capsys.readouterr().out, encoding="utf-8-sig")
    assert main(["replay", "day.ndjson", backend.url, "--speed", "max"]) == 0
    assert len(backend.receipts) == 3
