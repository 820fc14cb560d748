"""``roomhook journal`` and the reports of sending: counted, listed, filtered, exported, and without secrets."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import pytest
from listening_backend import Backend, complaint

from roomhook.cli.main import main
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.response_check import ACK_MUST


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ROOMHOOK_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend() as running:
        yield running


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
    command = f"{quote(sys.executable)} -m roomhook journal run.db --format ndjson > /dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "roomhook: the output can't be written: No space left on device; make room, or write it elsewhere"
    ]


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


@pytest.mark.long
def test_following_shows_a_run_until_it_ends(backend: Backend) -> None:
    ours = [sys.executable, "-m", "roomhook"]
    order = ["traffic", backend.url, "--events", "400", "--rate", "200/s", "--journal", "run.db"]
    with subprocess.Popen([*ours, *order], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as sender:
        until = time.monotonic() + 30
        while len(backend.receipts) < 5 and time.monotonic() < until:
            time.sleep(0.01)
        sender.send_signal(signal.SIGSTOP)  # until somebody follows it
        follow = [*ours, "journal", "run.db", "--follow", "--format", "json"]
        with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as follower:
            assert follower.stdout is not None
            shown = [follower.stdout.readline()]
            sender.send_signal(signal.SIGCONT)
            shown += follower.stdout
        sender.communicate()
    assert follower.returncode == 0
    first, *_, last = map(json.loads, shown)
    assert first["live"]
    assert 5 <= first["scheduled"] <= last["scheduled"] == 400
    assert not last["live"]
    assert last["delivered"] + last["failed"] == 400  # what was under way when the sender was stopped may be too late
    assert last["in_doubt"] == 0


def test_following_is_for_the_summary(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traffic", backend.url, "--events", "5", "--rate", "max", "--journal", "run.db"]) == 0
    capsys.readouterr()
    assert main(["journal", "run.db", "--follow"]) == 0
    assert "5 scheduled = 5 delivered" in capsys.readouterr().out
    for more in (["--state", "failed"], ["--format", "events"]):
        assert "--follow shows the summary" in complaint(capsys, "journal", "run.db", "--follow", *more)


def test_damage_is_told_and_made_good_by_resume(
    backend: Backend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = ["traffic", backend.url, "--events", "200", "--seed", "3", "--rate", "max", "--connections", "4"]
    with monkeypatch.context() as patched:
        patched.setattr("roomhook.simulator.journal.index.bring_up_to_date", lambda *_: False)
        assert main([*order, "--journal", "run.db"]) == 0
    log = Path("run.db-log-1")
    content = bytearray(log.read_bytes())
    for place in (1000, len(content) // 2):
        content[place] ^= 1
    log.write_bytes(content)
    capsys.readouterr()
    assert main(["journal", "run.db"]) == 0
    assert "bytes of the log can't be read; the events in them are sent by --resume" in capsys.readouterr().out
    assert main(["traffic", "--resume", "--journal", "run.db"]) == 0
    capsys.readouterr()
    assert main(["journal", "run.db", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["scheduled"], found["delivered"]) == (200, 200)
    assert len(set(backend.bodies())) == 200


def test_a_journal_becomes_a_scenario_that_traffic_plays(backend: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    order = [
        "traffic",
        backend.url,
        "--with-enter",
        "--rooms",
        "5",
        "--duration",
        "30m",
        "--speed",
        "max",
        "--seed",
        "7",
        "--start",  # by default it is now, and evenings are busier than nights
        "2026-01-02T18:00:00Z",
    ]
    assert main([*order, "--journal", "run.db"]) == 0
    capsys.readouterr()
    assert main(["journal", "run.db", "--export-scenario"]) == 0
    written = capsys.readouterr().out
    assert 'members left in "run.db"' in written
    Path("seen.toml").write_text(written, encoding="utf-8")
    assert main(["traffic", "--scenario", "seen.toml", "--seed", "7", "--events", "30"]) == 0
    assert capsys.readouterr().out.count("\n") == 30
    assert "has no documented leave" in complaint(capsys, "journal", "run.db", "--room", "nobody", "--export-scenario")
