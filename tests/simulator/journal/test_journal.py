"""The journal: it reconciles, survives the death of its sender at any moment, and resumes without sending twice."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from scripted_server import OK_ANSWER, OK_BODY, Peer, Script, scripted, until

from roomhook.errors import ConfigurationError
from roomhook.simulator.journal.file import JournalFile
from roomhook.simulator.journal.log import segments
from roomhook.simulator.journal.reader import Filters, reading
from roomhook.simulator.journal.writer import Journal
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.sending.dispatcher import Dispatcher, SendPlan
from roomhook.simulator.sending.network_faults import NetworkFaults
from roomhook.simulator.transport.attempt import Attempt, AttemptResult
from roomhook.simulator.transport.retry_policy import PROFILES, RetryPolicy
from roomhook.simulator.transport.sender import Sender, run_loop
from roomhook.simulator.transport.target import Target


def events(count: int, room: str = "rid") -> Iterator[CallbackEvent]:
    for number in range(count):
        body = b'{"RoomId":"%b-%d","Type":"Leave","MemberList_Account":["user%d"]}' % (
            room.encode(),
            number % 10,
            number,
        )
        yield CallbackEvent(1670574414123 + number, "Room.CallbackAfterMemberLeave", "203.0.113.7", "iOS", body)


def opened(path: Path, target: Target, **options: Any) -> Journal:
    return Journal(path, target, mode="closed loop", options={}, **options)


async def run_with_journal(
    path: Path,
    count: int,
    *scripts: Script,
    plan: SendPlan | None = None,
    token: str | None = None,
    resume: bool = False,
) -> list[bytes]:
    """Send *count* events, or what an earlier run has left; returns the requests that arrived."""
    async with scripted(*scripts or (Peer.serve,)) as (url, requests):
        target = Target(CallbackUrl.parse(url), 1400000001, token=token)
        journal = opened(path, target, resume=resume)
        async with Sender(target, connections=8, deadline_ms=300) as sender:
            deliveries = journal.unfinished() if resume else journal.schedule(events(count))
            await Dispatcher(sender, deliveries, plan or SendPlan(), Random(1), journal).go()
        journal.close()
        return requests


def summary(path: Path) -> dict[str, Any]:
    with reading(path) as reader:
        found = reader.summary()
    assert found["scheduled"] == found["delivered"] + found["failed"] + found["unsent"]
    return found


def test_every_event_and_attempt_is_in_it_byte_by_byte(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    requests = run_loop(run_with_journal(path, 1000, token="s3cret"))
    found = summary(path)
    assert {name: found[name] for name in ("scheduled", "delivered", "failed", "unsent", "in_doubt", "attempts")} == {
        "scheduled": 1000,
        "delivered": 1000,
        "failed": 0,
        "unsent": 0,
        "in_doubt": 0,
        "attempts": 1000,
    }
    with reading(path) as reader:
        rows = list(reader.rows(Filters()))
    assert sorted(row["request"].encode() for row in rows) == sorted(requests)
    assert {row["answer"] for row in rows} == {OK_ANSWER.decode()}
    assert all(row["intended_us"] <= row["sent_us"] <= row["done_us"] for row in rows)
    assert b"s3cret" not in path.read_bytes()
    assert [each.name for each in tmp_path.iterdir()] == ["run.db"]


def test_failures_carry_their_outcome_and_requirements(tmp_path: Path) -> None:
    async def refusing(peer: Peer) -> None:
        await peer.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + b'{"code":0}')

    path = tmp_path / "run.db"
    run_loop(run_with_journal(path, 20, refusing))
    found = summary(path)
    assert found["outcomes"] == {"delivered": 20}
    assert found["requirements"] == {"ack.action-status": 20, "ack.error-code": 20, "ack.error-info": 20}
    with reading(path) as reader:
        assert len(list(reader.rows(Filters(requirement="ack.error-info")))) == 20
        assert list(reader.rows(Filters(requirement="ack.error"))) == []


def test_retries_and_copies_are_attempts_of_their_event(tmp_path: Path) -> None:
    async def grumpy(peer: Peer) -> None:
        seen: Counter[bytes] = Counter()
        while True:
            body = (await peer.read()).partition(b"\r\n\r\n")[2]
            seen[body] += 1
            await peer.write(OK_ANSWER if seen[body] > 1 else b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")

    path = tmp_path / "run.db"
    plan = SendPlan(retry=RetryPolicy("now", None, until_ms=60_000, most=9), disorder=NetworkFaults(duplicate=0.5))
    run_loop(run_with_journal(path, 50, grumpy, plan=plan))
    found = summary(path)
    assert (found["scheduled"], found["delivered"], found["unsent"]) == (50, 50, 0)
    assert found["attempts"] == 50 + found["retries"] + found["copies"]
    assert found["copies"] > 10


def test_filters_find_rooms_members_states_and_outcomes(tmp_path: Path) -> None:
    path = tmp_path / "run.db"

    async def twice_well(peer: Peer) -> None:
        while True:
            request = await peer.read()
            await peer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" if b'"rid-3"' in request else OK_ANSWER)

    run_loop(run_with_journal(path, 100, twice_well))
    with reading(path) as reader:

        def ids(**filters: Any) -> list[int]:
            return [row["event"] for row in reader.rows(Filters(**filters))]

        third = [4, 14, 24, 34, 44, 54, 64, 74, 84, 94]
        assert (
            ids(room="rid-3")
            == ids(state="failed")
            == ids(outcome="http-status")
            == ids(requirement="ack.status")
            == third
        )
        assert ids(member="user13") == [14]
        assert ids(state="unsent") == []
        assert ids(state="delivered", limit=2) == [1, 2]
        failed = list(reader.events(Filters(state="failed", limit=2)))
    assert [json.loads(event.body)["MemberList_Account"] for event in failed] == [["user3"], ["user13"]]
    assert all(event.query.startswith("SdkAppid=1400000001&CallbackCommand=Room.") for event in failed)


@pytest.mark.long
def test_a_second_run_is_told_that_the_journal_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    target = Target(CallbackUrl.parse("http://127.0.0.1:9/"), 1)
    first = opened(path, target)
    with pytest.raises(ConfigurationError, match="is being written by another run"):
        opened(path, target, resume=True)
    with reading(path) as reader:
        assert reader.live
    first.close()
    assert not summary(path)["live"]
    with pytest.raises(ConfigurationError, match="exists; add --resume"):
        opened(path, target)
    opened(path, target, resume=True).close()


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to be one" * 50])
def test_a_file_of_another_kind_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "precious.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="is no journal"), reading(path):
        pass
    with pytest.raises(ConfigurationError, match="is no journal"):
        opened(path, Target(CallbackUrl.parse("http://127.0.0.1:9/"), 1), resume=True)
    assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["precious.txt"]
    with pytest.raises(ConfigurationError, match="there is no journal"), reading(tmp_path / "missing.db"):
        pass


def test_anybodys_database_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE attempts (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="is no journal"), reading(path):
        pass
    assert path.read_bytes() == before


def test_what_was_in_flight_is_in_doubt_and_what_had_ended_is_not(tmp_path: Path) -> None:
    """A sender that dies between batches: 3 attempts begun, of which one has ended and none is in the tables."""
    path = tmp_path / "run.db"
    target = Target(CallbackUrl.parse("http://127.0.0.1:9/"), 1)
    journal = opened(path, target)
    deliveries = list(journal.schedule(events(5)))
    sendings = [Attempt(b"", 1, delivery=delivery) for delivery in deliveries[:3]]
    journal.begin(sendings)
    ended = sendings[1]
    ended.result, ended.done_ns = AttemptResult(DeliveryOutcome.DELIVERED, status=200), time.monotonic_ns()
    journal.end([ended])
    journal.write()
    JournalFile.abandon(journal)  # as the kernel does for a process that is killed
    assert segments(path)

    found = summary(path)
    assert (found["scheduled"], found["delivered"], found["unsent"], found["in_doubt"]) == (5, 1, 4, 2)
    assert [one.name for one in tmp_path.iterdir()] == ["run.db"]
    journal = opened(path, target, resume=True)
    assert [(delivery.id, delivery.number) for delivery in journal.unfinished()] == [(1, 1), (3, 1), (4, 0), (5, 0)]
    journal.close()
    assert summary(path)["in_doubt"] == 2


SENDER = """
import sys
from pathlib import Path
from random import Random
sys.path.insert(0, sys.argv[3])
from test_journal import events, opened
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.sending.dispatcher import Dispatcher, SendPlan
from roomhook.simulator.transport.sender import Sender, run_loop
from roomhook.simulator.transport.target import Target

async def main():
    target = Target(CallbackUrl.parse(sys.argv[2]), 1400000001)
    journal = opened(Path(sys.argv[1]), target)
    async with Sender(target, connections=8) as sender:
        await Dispatcher(sender, journal.schedule(events(1_000_000)), SendPlan(), Random(1), journal).go()

run_loop(main())
"""


def test_kill_minus_nine_at_any_moment_leaves_a_journal_that_resumes(tmp_path: Path) -> None:
    path = tmp_path / "run.db"

    async def main() -> list[bytes]:
        async with scripted(Peer.serve) as (url, requests):
            command = [sys.executable, "-c", SENDER, str(path), url, str(Path(__file__).parent)]
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
            sender = await asyncio.create_subprocess_exec(*command, env=environment)
            await until(lambda: len(requests) > 1500, seconds=30)
            sender.kill()
            await sender.wait()
            return requests

    before = run_loop(main())
    found = summary(path)
    assert found["in_doubt"] <= 8
    assert found["delivered"] <= len(before) <= found["delivered"] + found["in_doubt"]
    assert found["runs"][0]["ended_us"] is None
    after = run_loop(run_with_journal(path, 0, resume=True))
    found = summary(path)
    assert found["scheduled"] == found["delivered"]
    bodies = Counter(request.partition(b"\r\n\r\n")[2] for request in before + after)
    assert len(bodies) == found["scheduled"]
    assert sum(bodies.values()) - len(bodies) <= found["in_doubt"]


def test_anybody_can_query_it_with_sql(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    run_loop(run_with_journal(path, 30))
    summary(path)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT state, count(*), max(attempts) FROM deliveries GROUP BY state").fetchall() == [
        ("delivered", 30, 1)
    ]
    (packet,) = connection.execute("SELECT packet FROM deliveries WHERE id = 3").fetchone()
    assert json.loads(packet)["MemberList_Account"] == ["user2"]
    (answer,) = connection.execute("SELECT bytes FROM answers").fetchone()
    assert answer.endswith(OK_BODY)
    connection.close()


def test_the_retry_profiles_have_names_for_the_command_line() -> None:
    assert list(PROFILES) == ["none", "on-timeout", "trtc"]
