"""The tables of a journal are filled from its log by whoever comes next, once each, whatever has died before."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from roomhook.errors import ConfigurationError
from roomhook.simulator.journal import index, log, records
from roomhook.simulator.journal.file import JournalFile
from roomhook.simulator.journal.index import bring_up_to_date
from roomhook.simulator.journal.log import segment_path, segments
from roomhook.simulator.journal.reader import Filters, reading
from roomhook.simulator.journal.writer import Journal
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.transport.attempt import Attempt, AttemptResult
from roomhook.simulator.transport.delivery import Delivery
from roomhook.simulator.transport.target import Target

TARGET = Target(CallbackUrl.parse("http://127.0.0.1:9/"), 1400000001)
OK = AttemptResult(DeliveryOutcome.DELIVERED, received=b"HTTP/1.1 200 OK\r\n\r\n{}", status=200)


def events(count: int) -> Iterator[CallbackEvent]:
    for number in range(1, count + 1):
        yield CallbackEvent(1670574414123, "Room.CallbackAfterMemberLeave", "203.0.113.7", "iOS", b'{"n":%d}' % number)


def opened(path: Path, *, resume: bool = False) -> Journal:
    return Journal(path, TARGET, mode="test", options={}, resume=resume)


def begun(deliveries: list[Delivery], request_time: int = 0) -> list[Attempt]:
    return [
        Attempt(b"", delivery=one, number=one.number + 1, request_time=request_time, sent_ns=time.monotonic_ns())
        for one in deliveries
    ]


def ended(attempts: list[Attempt], result: AttemptResult = OK) -> list[Attempt]:
    for one in attempts:
        one.result, one.done_ns = result, time.monotonic_ns()
    return attempts


def carry_out(journal: Journal, count: int = 1000, turn: int = 10, result: AttemptResult = OK) -> None:
    """*count* events in turns: each notes the ends of the one before."""
    deliveries = journal.schedule(events(count))
    before: list[Attempt] = []
    while block := list(islice(deliveries, turn)):
        journal.end(ended(before, result))
        before = begun(block)
        journal.begin(before)
    journal.end(ended(before, result))
    journal.write()


def summary(path: Path) -> dict[str, Any]:
    with reading(path) as reader:
        found = reader.summary()
    assert found["scheduled"] == found["delivered"] + found["failed"] + found["unsent"]
    return found


def test_a_run_of_many_segments_is_indexed_meanwhile_and_leaves_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_SEGMENT_BYTES", 20_000)
    path = tmp_path / "run.db"
    journal = opened(path)
    carry_out(journal)
    until = time.monotonic() + 90  # it only takes time that nobody else wants
    while segments(path)[0] < 4 and time.monotonic() < until:
        time.sleep(0.05)
    assert segments(path)[0] >= 4  # by the process beside the run
    journal.close()
    assert summary(path)["delivered"] == 1000
    assert [one.name for one in tmp_path.iterdir()] == ["run.db"]


def test_whoever_indexes_next_takes_over_wherever_another_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_SEGMENT_BYTES", 20_000)
    monkeypatch.setattr("roomhook.simulator.journal.file.start_indexer", lambda _: subprocess.Popen(["true"]))
    path = tmp_path / "run.db"
    journal = opened(path)
    for _ in range(20):  # each time somebody who knows nothing of the last one, in the middle of a segment
        carry_out(journal, 50)
        assert bring_up_to_date(path)
    JournalFile.abandon(journal)
    found = summary(path)
    assert (found["delivered"], found["attempts"], found["outcomes"]) == (1000, 1000, {"delivered": 1000})
    with reading(path) as reader:
        assert {row["answer"] for row in reader.rows(Filters())} == {OK.received.decode()}
        assert reader.connection.execute("SELECT count(*) FROM answers").fetchone() == (1,)


def test_what_fails_inside_a_transaction_is_done_again_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.db"
    journal = opened(path)
    carry_out(journal)
    journal.close()
    write = index._write_rows

    def interrupted(*arguments: Any) -> tuple[int, int]:
        write(*arguments)
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(index, "_write_rows", interrupted)
        with pytest.raises(ConfigurationError, match=r"can't be written \(database or disk is full\)"):
            summary(path)
    assert summary(path)["delivered"] == 1000


def test_a_live_journal_shows_what_is_on_record_and_what_is_in_flight(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    journal = opened(path)
    deliveries = list(journal.schedule(events(10)))
    journal.begin(attempts := begun(deliveries[:4]))
    found = summary(path)
    assert (found["live"], found["scheduled"], found["in_doubt"], found["unsent"]) == (True, 10, 4, 10)
    journal.end(ended(attempts))
    journal.write()
    found = summary(path)
    assert (found["delivered"], found["in_doubt"], found["outcomes"]) == (4, 0, {"delivered": 4})
    journal.close()
    found = summary(path)
    assert (found["live"], found["delivered"], found["unsent"]) == (False, 4, 6)


def test_a_flipped_bit_is_told_and_a_resumed_run_sends_what_it_cost(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    journal = opened(path)
    carry_out(journal, turn=20)
    journal.close()
    segment = segment_path(path, 1)
    content = bytearray(segment.read_bytes())
    content[100] ^= 4  # in the frame with the first events, of which the ends follow
    content[len(content) // 2] ^= 64  # in one in the middle
    segment.write_bytes(content)
    found = summary(path)
    assert found["lost_bytes"] > 1000
    assert found["scheduled"] == 1000
    assert 900 <= found["delivered"] < 1000
    journal = opened(path, resume=True)
    assert not journal.restore(events(999))
    assert journal.restore(events(1000))
    owed = list(journal.unfinished())
    assert len(owed) == journal.owed() == found["unsent"]
    journal.begin(attempts := begun(owed))
    journal.end(ended(attempts))
    journal.close()
    assert summary(path)["delivered"] == 1000
    with reading(path) as reader:
        assert Counter(event.body for event in reader.events(Filters())) == Counter(one.body for one in events(1000))


def test_an_end_is_known_whole_although_its_begin_and_its_answer_were_damaged(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    journal = opened(path)
    carry_out(journal, 20, turn=10)
    journal.close()
    segment = segment_path(path, 1)
    content = bytearray(segment.read_bytes())
    first, second, *_ = log.frames_in(bytes(content))
    content[(first.end + second.end) // 2] ^= 1  # the first ten ends with their answer, and ten begins
    segment.write_bytes(content)
    with reading(path) as reader:
        rows = list(reader.rows(Filters()))
    assert [row["outcome"] for row in rows] == ["in-doubt"] * 10 + ["delivered"] * 10
    last = rows[-1]
    assert (last["event"], last["attempt"], last["kind"], last["status"], last["final"]) == (20, 1, "first", 200, True)
    assert last["intended_us"] <= last["sent_us"] <= last["done_us"]
    assert (last["answer"], last["note"]) == ("", "its answer was in a damaged part of the log")


@pytest.mark.long
def test_two_writers_are_refused_through_links_too_and_the_log_is_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path, link, hard = tmp_path / "real" / "run.db", tmp_path / "link.db", tmp_path / "hard.db"
    opened(path).close()
    link.symlink_to(path)
    journal = opened(link, resume=True)
    os.link(path, hard)
    for name in (path, link, hard):
        with pytest.raises(ConfigurationError, match="is being written by another run"):
            opened(name, resume=True)
    carry_out(journal)
    journal.close()
    assert not list(tmp_path.glob("link.db-*"))
    assert summary(path)["delivered"] == 1000
    assert summary(link)["delivered"] == 1000
    with pytest.raises(ConfigurationError, match="has several names"):
        opened(hard, resume=True)
    path.unlink()
    opened(hard, resume=True).close()


@pytest.mark.parametrize("size", [2_000, 50_000])
def test_answers_that_are_all_different_take_bounded_memory(tmp_path: Path, size: int) -> None:
    path = tmp_path / "run.db"
    journal = opened(path)
    count = 6_000_000 // size
    for number, delivery in enumerate(journal.schedule(events(count))):
        journal.begin(attempts := begun([delivery]))
        answer = b"HTTP/1.1 500 No\r\n\r\n" + (b"%d" % number).rjust(size)
        journal.end(ended(attempts, AttemptResult(DeliveryOutcome.HTTP_STATUS, ("ack.status",), received=answer)))
    journal.close()
    assert sum(len(one.received) for one in journal._known) < 2_500_000
    with reading(path) as reader:
        rows = list(reader.rows(Filters()))
    assert [int(row["answer"].split()[-1]) for row in rows] == list(range(count))


def test_a_journal_in_a_folder_that_can_not_be_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    journal = opened(path)
    carry_out(journal)
    journal.close()
    bring_up_to_date(path)
    assert path.read_bytes()[18:20] == b"\x01\x01"  # no write-ahead log is needed to read it


def test_a_signed_run_keeps_the_second_of_each_signature(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    target = Target(CallbackUrl.parse("http://127.0.0.1:9/"), 1400000001, token="s3cret")
    journal = Journal(path, target, mode="test", options={})
    for second, delivery in zip((7, 7, 5), journal.schedule(events(3)), strict=True):  # the clock was set back
        journal.begin(attempts := begun([delivery], second))
        journal.end(ended(attempts))
    journal.begin(begun([delivery], 5))
    journal.close()
    with reading(path) as reader:
        requests = [row["request"].partition(" HTTP/")[0] for row in reader.rows(Filters())]
        assert [request.partition("&RequestTime=")[2] for request in requests] == ["7", "7", "5"]
        assert all("&Sign=" in request for request in requests)
        assert reader.connection.execute("SELECT request_time FROM signatures").fetchall() == [(5,), (7,)]
    assert b"s3cret" not in path.read_bytes()


def test_an_old_journal_opens_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    journal = opened(path)
    carry_out(journal, 20)
    journal.close()
    summary(path)
    connection = sqlite3.connect(path)
    connection.executescript("DROP TABLE indexed")
    connection.close()
    assert summary(path)["delivered"] == 20
    opened(path, resume=True).close()
    assert summary(path)["lost_bytes"] == 0
    (tmp_path / "run.db-inflight").touch()
    with pytest.raises(ConfigurationError, match="was left by an older version that was killed: open it once with"):
        summary(path)


def test_the_clock_may_be_set_between_begin_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.db"
    journal = opened(path)
    (delivery,) = journal.schedule(events(1))
    journal.begin(attempts := begun([delivery]))
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() - 3_600_000_000_000)
    journal.end(ended(attempts))
    journal.close()
    with reading(path) as reader:
        (row,) = reader.rows(Filters())
    assert row["intended_us"] <= row["sent_us"] <= row["done_us"]


def test_the_log_of_a_deleted_journal_is_not_taken_for_that_of_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    journal = opened(path)
    carry_out(journal, 20)
    JournalFile.abandon(journal)
    path.unlink()
    with pytest.raises(ConfigurationError, match="can't be written: File exists"):
        opened(path)
    assert segments(path)


def test_an_indexer_that_is_killed_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_SEGMENT_BYTES", 20_000)
    path = tmp_path / "run.db"
    journal = opened(path)
    carry_out(journal, 300)
    assert journal._indexer is not None
    journal._indexer.kill()
    carry_out(journal, 700)
    journal.close()
    found = summary(path)
    assert (found["delivered"], found["attempts"], found["lost_bytes"]) == (1000, 1000, 0)
    assert [one.name for one in tmp_path.iterdir()] == ["run.db"]


def test_no_placeholder_has_a_number_because_some_python_3_12_warn_of_those() -> None:
    statements = [value for value in vars(records).values() if isinstance(value, str) and "?" in value]
    assert len(statements) > 5
    assert not [one for one in statements if re.search(r"\?[0-9]", one)]
