"""``roomhook listen`` as a command: what it prints, records across restarts, and refuses."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from listener_packets import LEAVE, NOW_S, fired, inspected, packet, query
from listener_process import running_listener
from scripted_server import until

from roomhook.cli.callbacks.listen_output import as_json, as_line
from roomhook.schemas.loader import schema
from roomhook.simulator.journal.reader import reading
from roomhook.simulator.journal.writer import ReceivedCallback
from roomhook.simulator.listener.answers import parse_answer
from roomhook.simulator.listener.server import Listener
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.request_check import CallbackValidator, ValidationResult
from roomhook.simulator.sending.dispatcher import Dispatcher, SendPlan
from roomhook.simulator.transport.delivery import numbered
from roomhook.simulator.transport.sender import Sender, run_loop
from roomhook.simulator.transport.target import Target

pytestmark = pytest.mark.long


def test_an_answered_callback_is_in_the_journal_even_then(tmp_path: Path) -> None:
    """The listener dies by SIGKILL while callbacks pour in: whoever got an answer finds his callback recorded."""
    path = tmp_path / "arrived.db"

    def events() -> Iterator[CallbackEvent]:
        for number in range(1_000_000):
            yield CallbackEvent(NOW_S * 1000, LEAVE, "203.0.113.7", "iOS", packet(EventTime=1670574414123 + number))

    async def main(url: str, listener: subprocess.Popen[str]) -> int:
        target = Target(CallbackUrl.parse(url), 1400000001)
        async with Sender(target, connections=16) as sender:
            run = Dispatcher(sender, numbered(events()), SendPlan(), Random(1))
            going = asyncio.ensure_future(run.go())
            await until(lambda: run.tally.delivered >= 2000, seconds=30)
            listener.kill()
            run.stop()
            return (await going).delivered

    with running_listener("--journal", str(path)) as listener:
        answered = run_loop(main(listener.url, listener.process))
    with reading(path) as reader:
        summary = reader.summary()
    assert answered <= summary["distinct"] <= answered + 16
    assert summary["invalid"] == 0


def test_the_command_prints_a_line_a_callback_and_records_across_restarts(tmp_path: Path) -> None:
    path = tmp_path / "arrived.db"
    with running_listener("--journal", str(path)) as listener:
        assert fired(listener.url, packet()) == b"HTTP/1.1 200 OK"
        assert fired(listener.url, packet(MemberCount="x")) == b"HTTP/1.1 400 Bad Request"
        listener.process.send_signal(signal.SIGINT)
        lines, said = listener.process.communicate(timeout=10)
        assert listener.process.returncode == 0
    good, bad = lines.splitlines()
    assert good.endswith("ok  Leave   rid-123 user1, 20 in the room")
    assert "refused  Leave rid-123: packet: $.MemberCount" in bad
    assert "received 2, refused 1; Leave 1" in said
    with running_listener("--journal", str(path), "--count", "1", "--quiet") as listener:
        fired(listener.url, packet())
        lines, _ = listener.process.communicate(timeout=10)
        assert (lines, listener.process.returncode) == ("", 0)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT run, count(*) FROM received GROUP BY run").fetchall() == [(1, 2), (2, 1)]
    connection.close()


def test_a_taken_port_or_journal_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "arrived.db"
    with running_listener("--journal", str(path)) as listener:
        port = CallbackUrl.parse(listener.url).port
        for options, said in (
            (["--listen", f"127.0.0.1:{port}"], "choose another --listen"),
            (["--listen", "127.0.0.1:0", "--journal", str(path)], "is being written by another run"),
            (["--listen", "nonsense"], "is no HOST:PORT"),
            (["--answer", "maybe"], "is none of ok"),
        ):
            command = [sys.executable, "-m", "roomhook", "listen", *options]
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
            assert (done.returncode, done.stdout) == (2, "")
            assert said in done.stderr.splitlines()[0]


def test_every_kind_of_callback_has_its_line() -> None:
    for name in ("create", "destroy", "update", "seat", "enter", "leave"):
        document = schema(name)["examples"][0]
        command = document["CallbackCommand"]
        found = inspected(query(CallbackCommand=command), json.dumps(document).encode())
        line = as_line(ReceivedCallback(0, "", b"", b"", found, b""))
        assert " ok  " in line
        assert "None" not in line
        assert document.get("Type", command.rpartition("Callback")[2].removeprefix("After")) in line
    assert as_line(ReceivedCallback(0, "", b"", b"", ValidationResult(), b"")).endswith("ok  ?       ?")


def test_a_callback_without_type_does_not_end_the_output() -> None:
    with running_listener("--lenient", "--count", "3") as listener:
        for kind in (..., 5, "Leave"):
            fired(listener.url, packet(Type=kind))
        lines, _ = listener.process.communicate(timeout=10)
    assert len(lines.splitlines()) == 3


def test_types_are_counted_by_name_up_to_a_limit() -> None:
    listener = Listener(CallbackValidator("1400000001", lambda: NOW_S), parse_answer("ok"))
    batch = [ReceivedCallback(0, "", b"", b"", ValidationResult(type=f"t{number}"), b"") for number in range(1000)]
    listener._count(batch)
    assert len(listener.counts) <= 102
    assert sum(listener.counts.values()) == 2000


def test_a_journal_that_was_deleted_during_the_run_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "arrived.db"
    with running_listener("--journal", str(path), "--count", "1") as listener:
        path.unlink()
        fired(listener.url, packet())
        _, said = listener.process.communicate(timeout=10)
        assert listener.process.returncode != 0
    assert "was deleted during the run" in said


def test_lines_can_not_forge_lines() -> None:
    found = inspected(
        body=packet(RoomId="a\n12:00:00 ok  Leave", MemberList_Account=["x\x1b[2J"], Operator_Account="boss")
    )
    line = as_line(ReceivedCallback(1_670_574_414_123_456, "127.0.0.1:5", b"", b"", found, b""))
    assert "\n" not in line
    assert "\x1b" not in line
    assert "by boss" in line
    assert json.loads(as_json(ReceivedCallback(5, "p", b"", b"", found, b"")))["room"].startswith("a\n")
